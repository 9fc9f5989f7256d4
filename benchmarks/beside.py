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
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from PIL import Image

from kia.cli.main import SPINS
from kia.data.phantom import phantom_study

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


def seconds(image: Path, spins: str) -> float:
    """Of a report, from the start of its process."""
    kia = str(Path(sys.executable).with_name("kia"))
    place = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    since = time.perf_counter()
    subprocess.run(
        [kia, "generate", "kia-small-iu-xray", str(image)],
        env=place | {"GOMP_SPINCOUNT": spins},
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - since


def main() -> None:
    """Prints a line for no other work and one for some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busy", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.png"
        Image.fromarray(phantom_study(0, 0, size=512).pixels[0]).save(image)
        seconds(image, SPINS)
        for count in (0, given.busy):
            with busy(count):
                rounds = [
                    {who: seconds(image, WAITING[who]) for who in sorted(WAITING, reverse=turn % 2)}
                    for turn in range(given.rounds)
                ]
            shown = {who: median(each[who] for each in rounds) for who in WAITING}
            ratios = sorted(each["libgomp"] / each["kia"] for each in rounds)
            print(
                f"{count} busy processes: kia {shown['kia']:.1f} s, "
                f"libgomp {shown['libgomp']:.1f} s, "
                f"ratio {median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})"
            )


if __name__ == "__main__":
    main()
