"""A training step whose EfficientNet stem is trained, too, as it is and as it was before ADR 0036.

    python benchmarks/stem.py [RECIPE] [--batch N] [--rounds N]

The whole step of `kia train` (forward, backward, optimiser) on phantoms of two views, by default
with the shipped model's recipe and `train.frozen: []`, 32 studies, in the precision that the recipe
has on this machine. Before: the whole batch at once, in float32, with torch's own backward pass.
Both in turn, each round one step; the processor's seconds beside those of the clock, because other
work on the machine stretches the latter.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad, relu6

from kia.bench.rounds import ratios
from kia.bench.step import bench
from kia.config import load_config
from kia.models.efficientnet import Convolution, EfficientNetStem
from kia.training.freed_memory import keep_freed_memory

RECIPE = Path(__file__).parents[1] / "models/kia-small-iu-xray/recipe.yaml"


def convolved(layer: Convolution, x: Tensor) -> Tensor:
    """A convolution as torch differentiates it."""
    x = pad(x, layer.uneven) if layer.uneven else x
    return conv2d(x, layer.weight, layer.bias, layer.stride, layer.padding, groups=layer.groups)


def before(stem: EfficientNetStem, pixel_values: Tensor) -> Tensor:
    """The features of a batch as kia 0.1 computed them in training."""
    numbers = (stem.scale, stem.offset)
    scale, offset = (pixel_values.new_tensor(n).view(1, 3, 1, 1) for n in numbers)
    x = torch.addcmul(offset, pixel_values.expand(-1, 3, -1, -1), scale)
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", enabled=False):
        x = relu6(convolved(stem.first, x.float()))
        for block in stem.blocks:
            inside = x if block.expand is None else relu6(convolved(block.expand, x))
            y = convolved(block.project, relu6(convolved(block.depthwise, inside)))
            x = x + y if block.residual else y
        return relu6(convolved(stem.last, x))


@contextmanager
def steps(recipe: Path, batch: int) -> Iterator[dict[str, Callable[[], Any]]]:
    """The same step both ways."""
    trained = ["train.frozen=[]", "train.keep_frozen_features=false"]
    config = load_config(str(recipe), [*trained, f"train.batch_size={batch}"])
    keep_freed_memory()
    with bench(config) as made:
        own = made.ours()

        def old() -> None:
            with patch.object(EfficientNetStem, "features", before):
                own()

        yield {"now": own, "before": old}


def main() -> None:
    """Prints studies a second both ways, and how many times as many they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path, nargs="?", default=RECIPE)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    clocks = {"clock": time.perf_counter, "processor": time.process_time}
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    with steps(given.recipe, given.batch) as ways:
        for done in range(given.rounds + 1):
            for name, step in ways.items():
                started = {clock: read() for clock, read in clocks.items()}
                step()
                if done:  # the first round finds kernels and memory
                    for clock, read in clocks.items():
                        taken[clock, name].append(read() - started[clock])
    for clock in clocks:
        now, old = taken[clock, "now"], taken[clock, "before"]
        better = ratios(now, old)
        print(
            f"{clock}: now {given.batch / median(now):.2f} studies/s, "
            f"before {given.batch / median(old):.2f}, "
            f"ratio {median(better):.2f} ({min(better):.2f}–{max(better):.2f})"
        )


if __name__ == "__main__":
    main()
