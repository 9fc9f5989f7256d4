"""A model folder to ship: weights in bfloat16, nothing of the run but its processor.

    python experiments/ship_model.py RUN OUT

The configuration keeps float32, so that the model computes in it after loading.
"""

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from kia.generation import MODEL_FILES, load_model, model_folder
from kia.processing import PROCESSOR_FILES

MOST_BYTES = 32 * 10**6


def ship(run: Path, out: Path) -> int:
    """Writes the folder; returns the bytes of its weights."""
    source = model_folder(run)
    out.mkdir(parents=True, exist_ok=True)
    for name in {*MODEL_FILES, *PROCESSOR_FILES} - {"model.safetensors", "README.md"}:
        if (source / name).is_file():
            shutil.copy(source / name, out / name)
    weights = {n: w.to(torch.bfloat16) for n, w in load_file(source / "model.safetensors").items()}
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    model, _ = load_model(out)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    return (out / "model.safetensors").stat().st_size


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    size = ship(given.run, given.out)
    print(f"{given.out}: {size / 1e6:.1f} MB of weights")
    if size > MOST_BYTES:
        raise SystemExit(f"more than {MOST_BYTES / 1e6:.0f} MB")
