"""A run folder as `kia train` and `kia evaluate` leave it, around a tiny model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from kia.config import validate
from kia.processing import KIAProcessor, train_tokenizer
from kia.training.build import build_model

CONFIG: dict[str, Any] = {
    "model": {
        "image_size": 32,
        "image_encoder": {"width": 32, "depth": 1, "heads": 2, "ffn_width": 64, "patch_size": 16},
        "text_encoder": {
            **{"width": 32, "depth": 1, "heads": 2, "ffn_width": 64},
            **{"max_positions": 40, "vocab_size": 300},
        },
        "projection_width": 16,
    },
    "tasks": {"mlm": {"weight": 0}},
    "generation": {"beams": 2, "max_tokens": 30},
}
REPORTS = ["The heart is normal in size.", "No pleural effusion or pneumothorax is seen."]


@pytest.fixture(scope="session")
def make_model() -> Callable[[Path], Path]:
    """`make_model(folder)` writes a model folder."""

    def make(folder: Path) -> Path:
        config = validate(CONFIG, "test")
        processor = KIAProcessor(train_tokenizer(REPORTS, 300), image_size=32)
        torch.manual_seed(0)
        model = build_model(config, processor)
        with torch.no_grad():  # large enough to tell images apart
            for parameter in model.parameters():
                if parameter.ndim == 2:
                    parameter.mul_(20)
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        return folder

    return make


@pytest.fixture
def run(make_model: Callable[[Path], Path], tmp_path: Path) -> Path:
    """A run folder with a model, and beside it what must never leave the machine."""
    folder = tmp_path / "secret-hospital" / "run"
    make_model(folder / "model")
    record = {
        "config": validate(CONFIG, "test").model_dump(),
        "data": {"path": str(tmp_path / "secret-hospital" / "data"), "hash": "1f" * 32},
        "environment": {"kia": "0.1", "torch": "2.13.0", "transformers": "5.24.0"},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(record), encoding="utf-8")
    (folder / "log.jsonl").write_text('{"loss": 1}\n', encoding="utf-8")
    (folder / "predictions-test.jsonl").write_text('{"id": "p1", "report": "x"}\n')
    (folder / "model" / "notes.txt").write_text("patient 17", encoding="utf-8")
    (folder / "model" / "checkpoint").mkdir()
    (folder / "model" / "checkpoint" / "model.safetensors").write_bytes(b"x")
    return folder


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    """Noise as frontal.png and lateral.png."""
    rng = np.random.default_rng(0)
    files = [tmp_path / "frontal.png", tmp_path / "lateral.png"]
    for file in files:
        Image.fromarray(rng.integers(0, 256, (40, 48), dtype=np.uint8)).save(file)
    return [str(file) for file in files]
