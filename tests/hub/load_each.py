"""What the test of hostile folders runs: `load_each.py FOLDER…` prints a line of JSON for each.

Each folder is loaded by a child of its own, which also writes a report if it can.
"""

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

import numpy as np

from kia.candidates import chosen_reports
from kia.generation import generation_settings, load_model, study_inputs

LIMIT_BYTES = 16 << 30  # so that a folder that is not refused does no harm to the machine
LIMIT_SECONDS = 20


def attempt(folder: Path) -> str:
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    signal.alarm(LIMIT_SECONDS)
    try:
        model, processor = load_model(folder)
        size = processor.image_size
        square = np.arange(size * size, dtype=np.uint8).reshape(1, size, size)
        inputs = study_inputs(processor, [square], [["frontal"]])
        return f"report: {chosen_reports(model, processor, inputs, generation_settings(model))[0]}"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"


def in_child(folder: Path) -> dict[str, object]:
    ours, theirs = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if not child:
        os.write(theirs, attempt(folder).encode("utf-8", "replace")[:4000])
        os._exit(0)
    os.close(theirs)
    said = b"".join(iter(lambda: os.read(ours, 4096), b""))
    os.close(ours)
    _, status, usage = os.wait4(child, 0)
    if status:
        said = f"died of signal {os.WTERMSIG(status)}".encode()
    return {
        "folder": folder.name,
        "outcome": said.decode(),
        "seconds": time.monotonic() - began,
        "megabytes": usage.ru_maxrss / 1024,
    }


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(json.dumps(in_child(Path(name))), flush=True)
