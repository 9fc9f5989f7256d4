"""How time and memory grow: with the batch, the image, the text, the queue, the model, the studies.

    python benchmarks/scaling.py [--preset small] [--only CURVE …] [--rounds 3] [--json FILE]

Each curve changes one size of a joint step and fits exponents (slopes between logarithms) to the
time, to the memory beyond the process before the model is built, and to the operations counted
from shapes. The mathematics demands the exponent of the operations and no more; a time that grows
more slowly has fixed costs. The points of a curve are timed in turn, so that all meet the same
load. Ten minutes on 2 cores.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from kia.bench.links import CHUNK, write_linked
from kia.bench.operations import step_products
from kia.bench.rounds import time_in_turn
from kia.bench.step import bench, peak_memory
from kia.config import RunConfig, load_config
from kia.data.batches.batch import BatchBuilder, EpochBatches
from kia.data.readers.phantoms import write_phantoms
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.processing import KIAProcessor, train_tokenizer

TOLERANCE = 0.15  # of an exponent
BASE = (
    *("train.batch_size=8", "model.image_size=96"),
    *("model.text_encoder.max_positions=640", "data.max_words=1000"),  # room for long reports
)


@dataclass(frozen=True)
class Curve:
    """One size that grows.

    Attributes:
        values: From small to large.
        settings: Of the configuration, for a value.
        memory: Largest exponent that the mathematics demands of the memory.
        why: What stands behind the exponents.
        longer: Whether the value says how many times a report is repeated.
    """

    values: tuple[int, ...]
    settings: Callable[[int], list[str]]
    memory: float
    why: str
    longer: bool = False


def towers(name: str, value: int) -> list[str]:
    return [f"model.{tower}_encoder.{name}={value}" for tower in ("image", "text")]


CURVES = {
    "batch size": Curve(
        (4, 8, 16, 32),
        lambda n: [f"train.batch_size={n}"],
        1,
        "every study costs the same; weights, momentum and optimiser do not grow",
    ),
    "image side, pixels": Curve(
        (64, 96, 128, 192),
        lambda n: [f"model.image_size={n}"],
        2,
        "patches grow with the square; their attention with its square, a small part at these "
        "sizes, and without memory of its own, for the fused kernel keeps no table",
    ),
    "report, times its length": Curve(
        (1, 2, 4, 8),
        lambda n: [],
        1,
        "words grow in proportion, their attention with the square; the image tower does not grow",
        longer=True,
    ),
    "queue, embeddings": Curve(
        (1024, 4096, 16384, 65536),
        lambda n: [f"tasks.irc.queue_length={n}"],
        1,
        "similarities with the queue are a small part of a step",
    ),
    "width": Curve(
        (64, 128, 256, 384),
        lambda n: [*towers("width", n), *towers("ffn_width", 4 * n)],
        2,
        "weights and products grow with the square, activations and attention in proportion",
    ),
    "depth, layers": Curve(
        (1, 2, 4, 8),
        lambda n: towers("depth", n),
        1,
        "layers cost the same; the stem and the heads do not grow",
    ),
}
STUDIES = (
    "opening reads an index with an entry for 1,024 studies; an epoch's order sorts their lengths "
    "and is what the memory holds, 80 bytes a study; a batch reads its own studies alone",
    {"opening": 1, "order": 1, "batch": 0, "memory": 1},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--only", nargs="*", choices=[*CURVES, "studies"], metavar="CURVE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = {}
    for name, curve in CURVES.items():
        if not given.only or name in given.only:
            found[name] = step_curve(given.preset, curve, given.rounds)
            show(name, found[name], curve.why, {"memory": curve.memory})
    if not given.only or "studies" in given.only:
        found["studies"] = study_curve(load_config(given.preset, BASE))
        show("studies", found["studies"], *STUDIES)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def step_curve(preset: str, curve: Curve, rounds: int) -> dict[str, Any]:
    """Seconds, operations and MB of a joint step at each value."""
    configs = [load_config(preset, [*BASE, *curve.settings(n)]) for n in curve.values]
    longer = curve.values if curve.longer else [1] * len(configs)
    memory = [peak_memory(*pair) for pair in zip(configs, longer, strict=True)]
    with ExitStack() as open_ones:
        made = [
            open_ones.enter_context(bench(config, longer=times))
            for config, times in zip(configs, longer, strict=True)
        ]
        steps = {str(n): each.ours() for n, each in zip(curve.values, made, strict=True)}
        device = made[0].objective.model.device
        seconds = [min(each) for each in time_in_turn(steps, rounds, device).values()]
        operations = [sum(p.operations for p in step_products(each.sizes)) for each in made]
    return {"values": curve.values, "seconds": seconds, "operations": operations, "memory": memory}


def study_curve(config: RunConfig) -> dict[str, Any]:
    """Processor seconds and memory of what training does with 1,024 to 270,336 studies."""
    found: dict[str, list[float]] = {"values": [CHUNK * n for n in (1, 8, 64, 264)]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with DatasetWriter(
            folder / "few", image_size=config.model.image_size, source="phantom"
        ) as writer:
            write_phantoms(writer, 64, seed=0)
        few = PreparedDataset.open(folder / "few")
        for count in found["values"]:
            data = write_linked(few, folder / str(count), int(count) // CHUNK)
            with ProcessPoolExecutor(1, get_context("spawn")) as alone:
                for key, value in alone.submit(open_and_load, config, data).result().items():
                    found.setdefault(key, []).append(value)
    return found


def open_and_load(config: RunConfig, data: Path) -> dict[str, float]:
    def spent() -> float:
        nonlocal since
        since, before = time.process_time(), since
        return since - before

    few = [f"Report {number}." for number in range(100)]
    text = config.model.text_encoder
    size = config.model.image_size
    processor = KIAProcessor(train_tokenizer(few, text.vocab_size), image_size=size)
    before, since, found = private_memory(), time.process_time(), {}
    dataset = PreparedDataset.open(data)
    studies = dataset.indices("train")
    found["opening"] = spent()
    builder = BatchBuilder(
        dataset,
        processor,
        config.data,
        config.tasks,
        patch_size=config.model.image_encoder.patch_size,
        max_tokens=text.max_positions,
        seed=0,
    )
    spent()
    batches = EpochBatches(builder, studies, batch_size=config.train.batch_size, epoch=0)
    found["order"] = spent()
    batches[0]
    spent()
    for number in range(1, 21):
        batches[number]
    found["batch"] = spent() / 20
    return found | {"memory": private_memory() - before}


def private_memory() -> int:
    """Bytes of this process that are not files (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.split("RssAnon:")[1].split()[0])


def exponent(values: Sequence[float], found: Sequence[float]) -> float:
    """Slope of the line through the logarithms."""
    return float(np.polyfit(np.log(values), np.log(np.maximum(found, 1e-9)), 1)[0])


def show(name: str, found: dict[str, Any], why: str, demanded: dict[str, float]) -> None:
    """Prints a curve, its exponents beside those demanded, and why."""
    columns = [column for column in found if column != "values"]
    if "operations" in found:
        demanded = demanded | {"seconds": exponent(found["values"], found["operations"])}
    print(f"\n{name}")
    print(f"{'':>12}" + "".join(f"{column:>14}" for column in columns))
    for row, value in enumerate(found["values"]):
        print(f"{value:>12,}" + "".join(cell(column, found[column][row]) for column in columns))
    slopes = {column: exponent(found["values"], found[column]) for column in columns}
    print(f"{'exponent':>12}" + "".join(f"{slopes[column]:>14.2f}" for column in columns))
    limits = (f"{demanded[c]:>14.2f}" if c in demanded else " " * 14 for c in columns)
    print(f"{'demanded':>12}" + "".join(limits))
    above = [c for c in demanded if slopes[c] > demanded[c] + TOLERANCE]
    print(f"{why}{f'; GROWS FASTER: {above}' if above else ''}", flush=True)


def cell(column: str, value: float) -> str:
    if column == "operations":
        return f"{value / 1e9:>12.1f} G"
    if column == "memory":
        return f"{value / 2**20:>11.0f} MB"
    return f"{value:>12.4f} s"


if __name__ == "__main__":
    main()
