"""Memory that is freed is used again, without the system clearing its pages."""

import os
import subprocess
import sys

import pytest

CODE = """
import resource, sys
import torch
from kia.training.freed_memory import keep_freed_memory

def step():
    held = [torch.ones(10 * 2**20) for _ in range(3)]

if sys.argv[1] == "keep":
    keep_freed_memory()
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Pages that the system had to find in ten steps of three tensors of 40 MB."""
    words = [sys.executable, "-c", CODE, how]
    place = os.environ | {"THP_MEM_ALLOC_ENABLE": "0"}  # pages of 4 kB, which are counted
    done = subprocess.run(words, env=place, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
def test_freed_memory_is_kept() -> None:
    given_back = faults("give back")
    assert given_back > 300_000
    assert faults("keep") < given_back / 3
