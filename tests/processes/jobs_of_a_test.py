"""What children of the tests do."""

import os
import signal
import sys
from pathlib import Path

from kia.processes.child import serve
from kia.processes.messages import Message


def told(channel):
    """Path, environment, modules."""
    serve(channel, lambda _: Message([sys.path, dict(os.environ), sorted(sys.modules)]))


def work(channel):
    """Repeats what it is told; ["once", FILE] is the end of whoever makes FILE."""
    serve(channel, repeated)


def repeated(asked: Message) -> Message:
    kind, *words = asked.value if isinstance(asked.value, list) else [asked.value]
    if kind == "once" and not Path(words[0]).exists():
        Path(words[0]).touch()
        kind = "die"
    if kind == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    return Message([kind, os.getpid()], asked.pieces)
