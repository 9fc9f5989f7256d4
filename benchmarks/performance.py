"""Measures kia on this machine and writes docs/performance.md.

    python benchmarks/performance.py [--long] [--data DIR] [--images DIR] [--reports FILE]

The short form takes under ten minutes on 2 cores; `--long` adds the `base` preset. Run it on a
machine that does nothing else: ratios are measured side by side, but rates and shares are not.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
KIA = [str(Path(sys.executable).with_name("kia"))]
TEXT = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- measured -->", "<!-- end -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="the base preset too")
    parser.add_argument("--data", help="prepared data set (160 pixels) for the data benchmark")
    parser.add_argument("--images", help="folder of its image files")
    parser.add_argument("--reports", help="table of reports for the labeler and the graphs")
    parser.add_argument("--out", type=Path, default=TEXT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = list(report(Path(folder), given))
    old = given.out.read_text(encoding="utf-8") if given.out.exists() else f"{BEGIN}\n{END}\n"
    before, rest = old.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    measured = "\n".join(lines)
    given.out.write_text(f"{before}{BEGIN}\n{measured}\n{END}{after}", encoding="utf-8")


def report(folder: Path, given: argparse.Namespace) -> Iterator[str]:
    yield f"Measured on {datetime.date.today()}, {machine()}."
    yield ""
    steps = [bench(folder, "step", "small", "--batch", "32", "--rounds", "5")]
    if given.long:
        steps.append(bench(folder, "step", "base", "--batch", "8", "--rounds", "2"))
    yield from step_table(steps)
    decoded = [
        bench(folder, "generate", "small", "--batch", str(studies), "--rounds", "9")
        for studies in (32, 1)
    ]
    yield from generation_table(decoded)
    source = [
        word
        for name in ("data", "images")
        if getattr(given, name)
        for word in (f"--{name}", getattr(given, name))
    ]
    yield from data_table(bench(folder, "data", "small", *source))
    read = [given.reports] if given.reports else []
    yield from knowledge_table(bench(folder, "knowledge", *read))
    yield from search_table(folder)
    yield from felt(folder)


def bench(folder: Path, *words: str) -> dict[str, Any]:
    print("kia bench", *words, flush=True)
    file = folder / "found.json"
    subprocess.run([*KIA, "bench", *words, "--json", str(file)], check=True)
    return json.loads(file.read_text(encoding="utf-8"))


def machine() -> str:
    from importlib.metadata import version

    from kia.bench.step import device_name

    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "numpy"))
    return (
        f"{device_name()}, {os.cpu_count()} cores, Python {platform.python_version()}, {packages}"
    )


def table(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def step_table(steps: list[dict[str, Any]]) -> Iterator[str]:
    yield "### A joint step"
    yield ""
    names = [f"`{s['preset']}`, batch {s['studies']}, {s['dtype']}" for s in steps]
    rows = {
        "studies a second": lambda s: f"{s['studies_per_second']:.2f}",
        "plain / kia": lambda s: f"{s['ratio']:.2f} ({s['ratio_low']:.2f}–{s['ratio_high']:.2f})",
        "bound by operations": lambda s: f"{s['ratio_bound']:.2f}",
        "share of the bound": lambda s: f"{s['ratio'] / s['ratio_bound']:.0%}",
        "G operations a study (kia, plain)": lambda s: (
            f"{s['operations_per_study'] / 1e9:.2f}, {s['plain_operations_per_study'] / 1e9:.2f}"
        ),
        "peak, G operations a second": lambda s: f"{s['peak_operations_per_second'] / 1e9:.0f}",
        "share of the peak (kia, plain)": lambda s: (
            f"{s['peak_share']:.0%}, {s['plain_peak_share']:.0%}"
        ),
        "memory, plain / kia": lambda s: f"{s['memory_ratio']:.2f}",
        "loading a batch, of a step": lambda s: f"{s['load_share']:.1%}",
    }
    yield from table(["", *names], [[name, *map(get, steps)] for name, get in rows.items()])
    for kind in ("part", "task"):
        keys = dict.fromkeys(key for s in steps for key in s[f"time_by_{kind}"])
        yield from table(
            [f"time by {kind}", *names],
            [[key, *(f"{s[f'time_by_{kind}'].get(key, 0):.1%}" for s in steps)] for key in keys],
        )


def generation_table(decoded: list[dict[str, Any]]) -> Iterator[str]:
    yield "### Generation"
    yield ""
    yield from table(
        ["`small`, beam 3, 60 tokens", "kia, s", "without caches / kia", "BLIP / kia"],
        [
            [
                f"batch {d['studies']}",
                f"{d['cached']:.2f}",
                f"{d['uncached_ratio']:.1f}",
                f"{d['blip_ratio']:.2f}",
            ]
            for d in decoded
        ],
    )


def data_table(d: dict[str, Any]) -> Iterator[str]:
    yield "### Data"
    yield ""
    wide, high = d["file_pixels"]
    yield from table(
        ["", "studies a second", "times decoding"],
        [
            ["loader, with masks and augmentation", f"{d['loaded_per_second']:.0f}",
             f"{d['ratio']:.1f}"],
            ["images as they lie", f"{d['pixels_per_second']:.0f}", f"{d['pixels_ratio']:.0f}"],
            [f"JPEGs of {wide} × {high} pixels", f"{d['decoded_per_second']:.1f}", "1"],
        ],
    )  # fmt: skip


def knowledge_table(d: dict[str, Any]) -> Iterator[str]:
    yield "### Knowledge"
    yield ""
    yield "Processor time."
    yield ""
    yield from table(
        [f"reports a second, one core, of {d['reports']:,} reports", ""],
        [
            ["labels", f"{d['labels_per_second']:,.0f}"],
            ["graphs", f"{d['graphs_per_second']:,.0f}"],
        ],
    )


def search_table(folder: Path) -> Iterator[str]:
    """Exact search in embeddings that lie in a file; the best of thirty queries."""
    import numpy as np

    from kia.explain.retrieval.index import nearest

    yield "### Retrieval"
    yield ""
    random, rows = np.random.default_rng(0), []
    for width in (64, 256):
        file = folder / f"embeddings-{width}.npy"
        np.save(file, random.standard_normal((270_000, width)).astype(np.float32))
        embeddings = np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))
        best = float("inf")
        for query in random.standard_normal((30, 1, width)).astype(np.float32):
            since = time.perf_counter()
            nearest(embeddings, query, 32)
            best = min(best, time.perf_counter() - since)
        rows.append([str(width), f"{1000 * best:.0f}"])
    yield from table(["features of 270,000 studies", "a query, ms"], rows)


# `kia train` until its first step begins
START = """
import os, sys
from pathlib import Path
from kia.config import load_config
from kia.training import train

class Stop:
    def begin(self, what, total, done):
        os._exit(0)

    def note(self, text):
        pass

run = Path(sys.argv[2]) / str(os.getpid())
train(load_config("small"), Path(sys.argv[1]), run, reporter=Stop())
"""


def felt(folder: Path) -> Iterator[str]:
    """What users wait for, as whole processes; the best of five."""
    yield "### What is felt"
    yield ""
    model, image = random_model(folder)
    data, runs = folder / "data", folder / "runs"
    phantoms = ["data", "phantom", "--out", str(data), "--studies", "1000", "--size", "160"]
    subprocess.run([*KIA, *phantoms], check=True, capture_output=True)
    python = [sys.executable, "-c"]
    commands = {
        "`kia --help`": [*KIA, "--help"],
        "`import kia`": [*python, "import kia"],
        "Python alone": [*python, ""],
        "first report, `kia generate`, small": [*KIA, "generate", str(model), str(image)],
        "start of training, `kia train`, small": [*python, START, str(data), str(runs)],
        "of both: `import torch`": [*python, "import torch"],
    }
    yield from table(
        ["", "seconds"], [[name, f"{seconds(words):.2f}"] for name, words in commands.items()]
    )


def seconds(words: list[str]) -> float:
    best = float("inf")
    for _ in range(5):
        since = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True)
        best = min(best, time.perf_counter() - since)
    return best


def random_model(folder: Path) -> tuple[Path, Path]:
    from PIL import Image

    from kia.bench.rates import phantom_reports
    from kia.config import load_config
    from kia.phantoms.studies import phantom_study
    from kia.training.build import build_model, build_processor

    config = load_config("small")
    model, image = folder / "model", folder / "image.png"
    processor = build_processor(config, phantom_reports(200), folder / "processor")
    build_model(config, processor).save_pretrained(model)
    processor.save_pretrained(model)
    Image.fromarray(phantom_study(0, 0, size=512).pixels[0]).save(image)
    return model, image


if __name__ == "__main__":
    main()
