"""A report beside other work: kia's waiting threads (`kia.cli.main.SPINS`) and libgomp's own.

    python benchmarks/beside.py [--busy N] [--rounds N]

Whole processes of `kia generate kia-small-iu-xray`, in turn, with no other work and with N
processes that each keep a core busy, as in another terminal. Linux; run it on a machine that does
nothing else.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

import torch
from PIL import Image

from kia.bench.rounds import ratios, time_in_turn
from kia.cli.main import SPINS
from kia.phantoms.studies import phantom_study

WAITING = {"kia": SPINS, "libgomp": "300000"}  # which is libgomp's default


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that never rest, each in a session (and scheduler's group) of its own."""
    others = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def report(image: Path, spins: str) -> None:
    """Writes a report in a process of its own."""
    place = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    subprocess.run(
        [sys.executable, "-m", "kia", "generate", "kia-small-iu-xray", str(image)],
        env=place | {"GOMP_SPINCOUNT": spins},
        check=True,
        capture_output=True,
    )


def main() -> None:
    """Prints a line for no other work and one for some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busy", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.png"
        Image.fromarray(phantom_study(0, 0, size=512).pixels[0]).save(image)
        runs = {who: partial(report, image, spins) for who, spins in WAITING.items()}
        for count in (0, given.busy):
            with busy(count):
                seconds = time_in_turn(runs, given.rounds, torch.device("cpu"))
            own, others = seconds["kia"], seconds["libgomp"]
            slower = ratios(own, others)
            print(
                f"{count} busy processes: kia {median(own):.1f} s, "
                f"libgomp {median(others):.1f} s, "
                f"ratio {median(slower):.2f} ({min(slower):.2f}–{max(slower):.2f})"
            )


if __name__ == "__main__":
    main()
