"""Memory that a batch has freed does not stay with the server."""

import subprocess
import sys

import pytest

CODE = """
import random, sys
import psutil, torch
from kia.serving.freed_memory import give_back, keep_no_large_pieces

def mebibytes():
    return psutil.Process().memory_info().rss / 2**20

give = sys.argv[1] == "give"
if give:
    keep_no_large_pieces()
draw, kept, before = random.Random(0), [], mebibytes()
for _ in range(20):  # batches of ever other sizes, of each of which something small remains
    batch = []
    for _ in range(20):
        batch.append(torch.ones(draw.randrange(2**16, 2**21)))
        kept.append(torch.ones(2**12))
    del batch
    if give:
        give_back()
print(mebibytes() - before - sum(one.nbytes for one in kept) / 2**20)
"""


def held(how: str) -> float:
    """MiB that are freed and not given back."""
    words = [sys.executable, "-c", CODE, how]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
def test_freed_memory_goes_back() -> None:
    kept = held("keep")
    assert kept > 20
    assert held("give") < kept / 4
