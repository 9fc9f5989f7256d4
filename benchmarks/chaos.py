"""Does a run that is killed again and again end as the uninterrupted one does, bit for bit?

python benchmarks/chaos.py [--kills 20] [--processes 2] [--accumulate 2] [--seed 0]

Trains a toy model on phantoms once in peace. Then trains it again, ends it by kill -9 at random
moments, also while a checkpoint is being written, and by a disk that is full (a limit on the size
of files stands in for it), and continues with --resume each time. Compares weights, optimiser
state, the kept model and the log. CPU only: on a GPU sums have no fixed order.
"""

import argparse
import hashlib
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import yaml

TOWER = {"width": 32, "depth": 1, "heads": 2, "ffn_width": 64}
CONFIG = {
    "model": {
        "image_size": 64,
        "image_encoder": {**TOWER, "stem": "conv", "standardise": True},
        "text_encoder": {**TOWER, "max_positions": 160, "vocab_size": 400},
        "projection_width": 16,
        "standardise_projections": True,
    },
    "tasks": {"irc": {"queue_length": 32}},
    "train": {
        "batch_size": 8,
        "joint": {"epochs": 3, "learning_rate": 1e-3},
        "generation": {"epochs": 2, "learning_rate": 5e-4},
        "checkpoint_every": 2,
        "precision": "float32",
        "threads": 1,
    },
    "generation": {"beams": 1, "max_tokens": 12},
}
LARGEST = (200_000, 400_000, 570_000)  # bytes; the toy's files have up to 300, 560 and 590 KB


class Runs:
    """Starts `kia train --resume` in one or several processes, and ends it."""

    def __init__(self, folder: Path, processes: int, accumulate: int) -> None:
        self.data, self.yaml, self.processes = folder / "data", folder / "toy.yaml", processes
        config = {**CONFIG, "train": {**CONFIG["train"], "accumulate": accumulate}}
        self.yaml.write_text(yaml.safe_dump(config))
        words = ("data", "phantom", "--out", str(self.data), "--studies", "64", "--size", "64")
        subprocess.run([*kia(), *words], check=True, capture_output=True)

    def start(self, run: Path, largest_file: int | None = None) -> list[subprocess.Popen[str]]:
        """One process a rank; with `largest_file`, writing more than so many bytes fails."""

        def full_disk() -> None:
            if largest_file:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

        places = ("--data", str(self.data), "--out", str(run), "--resume")
        return [
            subprocess.Popen(
                [*kia(), "train", str(self.yaml), *places],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
                preexec_fn=full_disk,
            )
            for environment in environments(self.processes)
        ]

    def finish(self, run: Path) -> float:
        """Trains to the end; returns the seconds from its first sign of life."""
        ranks = self.start(run)
        self.wait_for(lambda: works_in(run, ranks), ranks)
        begun = time.monotonic()
        said = [process.communicate()[1] for process in ranks]
        if any(process.returncode for process in ranks):
            sys.exit(f"the run failed: {said}")
        return time.monotonic() - begun

    def kill(self, run: Path, seconds: float | None) -> bool:
        """Kills a run so long after its first sign of life; False if it ended before.

        Without `seconds` it dies while it writes a checkpoint.
        """
        ranks = self.start(run)
        self.wait_for(lambda: works_in(run, ranks), ranks)
        until = time.monotonic() + (seconds or 0)

        def now() -> bool:
            if seconds is None:
                return any((run / "checkpoints").glob(".step-*.partial/*"))
            return time.monotonic() >= until

        alive = self.wait_for(now, ranks)
        for process in ranks:
            process.kill()
            process.communicate()
        return alive

    def wait_for(self, when: Callable[[], bool], ranks: list[subprocess.Popen[str]]) -> bool:
        """Waits until `when()`; False if a process ended before."""
        while not when():
            if any(process.poll() is not None for process in ranks):
                return False
            time.sleep(0.001)
        return True

    def fill_disk(self, run: Path, largest_file: int) -> bool:
        """Lets a run fail on a full disk; False if it did not."""
        ranks = self.start(run, largest_file=largest_file)
        said = [process.communicate()[1] for process in ranks]
        failed = ranks[0].returncode == 1 and "cannot save" in said[0]
        if not failed and ranks[0].returncode:
            sys.exit(f"a full disk should be one line: {said[0]}")
        return failed


def works_in(run: Path, ranks: list[subprocess.Popen[str]]) -> bool:
    lock = run / "run.lock"
    return lock.is_file() and f"process {ranks[0].pid} " in lock.read_text()


def kia() -> list[str]:
    return [sys.executable, "-m", "kia.cli.main"]


def environments(processes: int) -> list[dict[str, str]]:
    """What a launcher would set for each process."""
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    if processes == 1:
        return [alone]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(processes)}
    shared["LOCAL_WORLD_SIZE"] = str(processes)
    return [alone | shared | {"RANK": str(r), "LOCAL_RANK": str(r)} for r in range(processes)]


def outcome(run: Path) -> dict[str, str]:
    """Hashes of what a run has produced; the log without its speeds."""
    last = sorted((run / "checkpoints").glob("step-*"))[-1]
    files = {
        "weights": last / "module.safetensors",
        "optimiser": last / "optimizer.safetensors",
        "kept model": run / "model" / "model.safetensors",
    }
    found = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    lines = [line for line in lines if line.get("rule") != "starved"]  # a warning about speed
    for line in lines:
        for timed in [name for name in line if "second" in name or "wait" in name]:
            line.pop(timed)
    return found | {"log": hashlib.sha256(json.dumps(lines).encode()).hexdigest()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--accumulate", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    draw, done = random.Random(options.seed), Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = Runs(folder, options.processes, options.accumulate)
        whole = runs.finish(folder / "in peace")
        expected = outcome(folder / "in peace")
        print(f"uninterrupted: {whole:.0f} s", flush=True)
        different = number = 0
        while done.total() < options.kills:
            number += 1
            run = folder / f"run {number}"
            done += harm(runs, run, options.kills - done.total(), whole, draw)
            runs.finish(run)
            found = outcome(run)
            wrong = [name for name, value in found.items() if value != expected[name]]
            different += bool(wrong)
            print(f"run {number}: so far {dict(done)}; other: {wrong or 'nothing'}", flush=True)
    print(f"{done.total()} ends, {number} runs, {different} with another outcome")
    sys.exit(bool(different))


def harm(runs: Runs, run: Path, most: int, whole: float, draw: random.Random) -> Counter[str]:
    """Ends a run and starts it again, until it has come through or `most` ends are reached."""
    done = Counter[str]()
    while done.total() < most:
        kind = draw.choices(["any moment", "a half-written checkpoint", "a full disk"], (6, 3, 1))[
            0
        ]
        if kind == "a full disk":
            ended = runs.fill_disk(run, draw.choice(LARGEST))
        else:
            seconds = draw.uniform(0, whole) if kind == "any moment" else None
            ended = runs.kill(run, seconds)
        if not ended:
            break
        done[kind] += 1
    return done


if __name__ == "__main__":
    main()
