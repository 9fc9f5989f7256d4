"""The share of the peak that steps reach one after another, as in training.

    python benchmarks/in_a_row.py [PRESET] [--batch N] [--rounds N]

In `kia bench step` each step comes after one of the plain implementation, in whose caches and
memory it begins. Here four steps of kia follow each other, the last three count, and the peak is
measured after them; so for each round.
"""

import argparse
from statistics import median

from kia.bench.operations import step_products
from kia.bench.rounds import time_in_turn
from kia.bench.step import bench, matmul_peak
from kia.config import load_config
from kia.training.freed_memory import keep_freed_memory
from kia.training.precision import DTYPES, autocast_mode


def main() -> None:
    """Prints a line for each round and the median share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preset", nargs="?", default="small")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    config = load_config(given.preset, [f"train.batch_size={given.batch}"])
    keep_freed_memory()
    shares = []
    with bench(config) as made:
        device, step = made.objective.model.device, made.ours()
        products = step_products(made.sizes)
        operations = sum(product.operations for product in products)
        for _ in range(given.rounds):
            seconds = median(time_in_turn({"ours": step}, 3, device)["ours"])
            peak = matmul_peak(products, DTYPES[autocast_mode(config.train.precision)], device)
            shares.append(operations / seconds / peak)
            print(f"{seconds:.3f} s, peak {peak / 1e9:.0f} G a second, share {shares[-1]:.1%}")
    print(f"median {median(shares):.1%} ({min(shares):.1%} to {max(shares):.1%})")


if __name__ == "__main__":
    main()
