"""How many phantom studies a second one core draws (both views, masks, report, graph).

python benchmarks/phantoms.py [--studies 200]
"""

import argparse
import time

from kia.phantoms.studies import phantom_study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    count = parser.parse_args().studies
    for size in (128, 192, 256):
        phantom_study(0, 0, size=size)
        since = time.perf_counter()
        for index in range(count):
            phantom_study(1, index, size=size)
        rate = count / (time.perf_counter() - since)
        print(f"{size} x {size} pixels: {rate:.0f} studies a second on one core")


if __name__ == "__main__":
    main()
