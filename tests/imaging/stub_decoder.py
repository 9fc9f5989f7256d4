"""A decoding process whose decoder does what the name, or the content, of a file says.

It has 0.2 seconds of processor time. "once:KIND:FILE" is KIND for whoever makes FILE, then fine.
"""

import contextlib
import os
import pickle
import signal
import socket
import struct
import sys
import time
from pathlib import Path

import numpy as np

from kia.imaging import decoding

decoding.MAX_SECONDS = 0.2


def load(source, size, resize, name):
    kind = source if isinstance(source, str) else source.decode()
    if kind.startswith("once:"):
        _, kind, file = kind.split(":")
        try:
            Path(file).touch(exist_ok=False)
        except FileExistsError:
            kind = "fine"
    kind = kind.rstrip("\0")
    if kind == "hang":
        while True:
            pass
    elif kind == "stall":
        time.sleep(1000)
    elif kind == "slow":
        time.sleep(0.3)
    elif kind in ("crash", "killed", "stop"):
        names = {"crash": "SIGSEGV", "killed": "SIGKILL", "stop": "SIGSTOP"}
        os.kill(os.getpid(), getattr(signal, names[kind]))
    elif kind in SENT:
        channel.sendall(SENT[kind])
        time.sleep(1000)
    return decoding.LoadedImage(np.full((size, size), 7, np.uint8))


def message(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


SENT = {
    "noise": bytes(range(255, -1, -1)) * 9,
    "pickle": message(pickle.dumps(decoding.LoadedImage(np.zeros((8, 8), np.uint8)))),
    "half": b"\0\0",
    "no pixels": message(b'{"value": ["", [], [8, 8]], "sizes": [3]}') + b"abc",
}
"""What a decoder sends that a file has taken over."""


def work(parent: socket.socket) -> None:
    global channel
    channel = parent
    with contextlib.suppress(ImportError):
        import faulthandler

        faulthandler.disable()
    decoding.work(parent)


decoding.load = load
channel: socket.socket
assert "torch" not in sys.modules
