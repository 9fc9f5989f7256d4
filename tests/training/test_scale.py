"""270,000 studies open and train as 1,000 do: start and memory hardly grow with their number.

How long the start takes is measured by benchmarks/scaling.py and benchmarks/performance.py; here is
counted what it reads, because seconds test the machine.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kia.bench.links import write_linked
from kia.data.store.dataset import PreparedDataset

MEASURE = """
import os, sys, time
from pathlib import Path
from kia.config import load_config
from kia.data.store.dataset import PreparedDataset
from kia.studies import Study

read, init = [0], Study.__init__
def counted(self, *given, **named):
    read[0] += 1
    init(self, *given, **named)
Study.__init__ = counted

def anonymous():
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024

class FirstStep:
    def begin(self, what, total, done): pass
    def note(self, text): pass
    def advance(self, studies, losses=None):
        if studies:
            print(opening, read[0], anonymous(), flush=True)
            os._exit(0)

start = time.process_time()
dataset = PreparedDataset.open(sys.argv[2])
dataset.indices("train"), dataset.study(len(dataset) - 1), dataset.pixels(len(dataset) - 1)
opening = time.process_time() - start
from kia.training.loop import train
train(load_config(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), reporter=FirstStep())
"""


def measured(config: dict, data: Path, run: Path) -> tuple[float, float, float]:
    """Processor seconds to open, studies read until the first step, MB that are not files."""
    file = run.with_suffix(".yaml")
    file.write_text(yaml.safe_dump(config))
    words = [sys.executable, "-c", MEASURE, str(file), str(data), str(run)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    opening, read, memory = map(float, done.stdout.split())
    return opening, read, memory


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_first_step_comes_at_once_and_memory_does_not_grow(dataset, tmp_path, configured):
    config = json.loads(configured().model_dump_json())
    small = measured(config, write_linked(dataset, tmp_path / "small", 1), tmp_path / "run-small")
    big = measured(config, write_linked(dataset, tmp_path / "big", 264), tmp_path / "run-big")
    assert PreparedDataset.open(tmp_path / "big").ids("val")[-1].startswith("263-")
    print(small, big)
    assert big[0] < 2
    # The last one, above, and the first batch. What all studies need, vocabulary and shares, comes
    # from columns, without an object for each.
    assert big[1] == small[1] == 1 + config["train"]["batch_size"]
    assert big[2] - small[2] < 60
