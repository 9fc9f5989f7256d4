"""One child: how it starts, and how it ends."""

import atexit
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module

from kia.processes.messages import Message, receive, send
from kia.processes.safe_path import safe_environment, safe_path

# -P and the first line: nothing is imported from the current folder, not even by Python itself
_PROGRAM = """import sys
sys.path[:] = sys.argv[3:]
from kia.processes.child import run
run(sys.argv[1], int(sys.argv[2]))"""

_ANY = 1 << 40  # bytes of a request

_children: "set[Child]" = set()


class Child:
    """A new Python process that runs a function of kia, and the channel to it.

    Not multiprocessing's: that one's children look for modules in the current folder, import the
    user's script, send pickles, and leave helpers behind that nobody waits for.

    Attributes:
        channel: To the process; for `select` and its kin.
        process: It.

    Args:
        function: "module:name"; called with the channel to this process, until which ends.

    Raises:
        OSError: The machine has no more processes or files.
    """

    def __init__(self, function: str) -> None:
        self.channel, theirs = socket.socketpair()
        try:
            with theirs:
                self.process = _start(function, theirs.fileno())
        except BaseException:
            self.channel.close()
            raise
        self._owner = os.getpid()
        _children.add(self)

    @property
    def alive(self) -> bool:
        """Whether the process is still there; it may hang."""
        return self.process.poll() is None

    def send(self, message: Message, within: float | None = None) -> None:
        """`kia.processes.messages.send`, within so many seconds."""
        send(self.channel, message, _deadline(within))

    def receive(self, most: int, within: float | None = None) -> Message:
        """`kia.processes.messages.receive`, within so many seconds."""
        return receive(self.channel, most, _deadline(within))

    def kill(self) -> None:
        """Kills the process; whoever waits for a message sees the end of it."""
        self.process.kill()

    def end(self) -> int:
        """Kills the process if it is still there, and waits for it.

        Returns:
            Its exit code; minus the number of the signal that it died of before.
        """
        self.process.kill()  # changes nothing about one that has begun to die
        code = self.process.wait()
        self.channel.close()
        _children.discard(self)
        return code


@atexit.register
def end_all() -> None:
    """Ends the children that are left; a program that leaves by `os._exit` calls it before."""
    for child in list(_children):
        if child._owner == os.getpid():  # a fork has the list, but not the children
            child.end()


def run(function: str, descriptor: int) -> None:
    """What a child does: see `Child`."""
    for number in (signal.SIGINT, signal.SIGTERM):  # its parent tells it when to stop
        signal.signal(number, signal.SIG_IGN)
    module, _, name = function.partition(":")
    work = getattr(import_module(module), name)
    with socket.socket(fileno=descriptor) as channel, suppress(EOFError, ConnectionError):
        work(channel)


def serve(channel: socket.socket, answer: Callable[[Message], Message]) -> None:
    """Answers one message of the parent after another, until it is gone.

    Args:
        channel: To the parent, which is believed.
        answer: To a message.
    """
    while True:
        send(channel, answer(receive(channel, _ANY)))


def _start(function: str, descriptor: int) -> "subprocess.Popen[bytes]":
    flags = ["-P", *["-E"] * sys.flags.ignore_environment, *["-s"] * sys.flags.no_user_site]
    return subprocess.Popen(
        [sys.executable, *flags, "-c", _PROGRAM, function, str(descriptor), *safe_path()],
        stdin=subprocess.DEVNULL,
        pass_fds=[descriptor],
        env=safe_environment(),
        process_group=0,  # Ctrl-C is for the parent
    )


def _deadline(within: float | None) -> float:
    return float("inf") if within is None else time.monotonic() + within
