"""What a decoding process does: one image after another, under limits of time and memory.

Decoders are C code: on damaged files they crash, hang, ask for memory without end, or are taken
over. So they run in children, which send nothing but plain bytes (`kia.processes.messages`), and
what these say is checked.
"""

import os
import signal
import socket
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kia.core_files import leave_none
from kia.errors import ImageError
from kia.imaging.grey import Doubt
from kia.imaging.reading import read_doubtful
from kia.imaging.resize import Resize, resize_square, shape_of
from kia.processes.child import serve
from kia.processes.messages import Garbled, Message

if TYPE_CHECKING:
    from pydantic import TypeAdapter

MAX_SECONDS = 5.0
"""Processor time that an image may take,"""
SECONDS_PER_BYTE = 0.25e-6
"""and this for each byte of its file: JPEG 2000 needs half as much."""
MAX_MEMORY = 360 << 20
"""Bytes that a process may ask for (on Linux): 18 million pixels of 16 bits in any compression."""
WORK = f"{__name__}:work"
"""What a decoding process runs."""
_WORDS = 1 << 16  # bytes of an answer besides its pixels


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """Pixels or, if there are none, the reason; and what is doubtful about the image.

    Attributes:
        pixels: uint8 (S, S).
        why_not: One line.
        doubts: Why it may not be a chest X-ray.
        shape: Height and width before it became square.
    """

    pixels: npt.NDArray[np.uint8] | None
    why_not: str = ""
    doubts: tuple[Doubt, ...] = ()
    shape: tuple[int, ...] = ()


def load(source: str | bytes, size: int, resize: Resize, name: str | None = None) -> LoadedImage:
    """Reads an image as a square, in this process.

    Args:
        source: Path, or the bytes of a file.
        size: Side S of the square, pixels.
        resize: How it becomes square.
        name: What to call it in errors; its path if absent.
    """
    name = name or (source if isinstance(source, str) else "image")
    try:
        picture = read_doubtful(source, name=name)
        pixels = resize_square(picture.grey, size, resize, picture.aspect)
    except ImageError as error:
        return LoadedImage(None, str(error))
    except MemoryError:
        return LoadedImage(None, f"{name}: needs too much memory to decode")
    return LoadedImage(pixels, doubts=picture.doubts, shape=shape_of(picture))


def request(source: str | bytes, size: int, resize: Resize, name: str | None = None) -> Message:
    """What a decoding process is sent, with the arguments of `load`."""
    path, pieces = (source, []) if isinstance(source, str) else (None, [source])
    return Message({"path": path, "size": size, "resize": resize, "name": name}, pieces)


def most_bytes(size: int) -> int:
    """Bytes that an answer may have, for squares of so many pixels a side."""
    return size * size + _WORDS


def understood(answer: Message, size: int) -> LoadedImage:
    """The image in an answer.

    Args:
        answer: Of a decoding process, whatever it says.
        size: Side S that was asked for.

    Raises:
        Garbled: It is no answer.
    """
    try:
        why_not, doubts, shape = _said().validate_python(answer.value)
        pixels = None
        if not why_not:
            (content,) = answer.pieces
            pixels = np.frombuffer(content, np.uint8).reshape(size, size)
    except ValueError as error:
        raise Garbled(f"no answer ({type(error).__name__})") from None
    return LoadedImage(pixels, why_not, doubts, shape)


def work(channel: socket.socket) -> None:
    """Answers requests until the channel closes, or an image ends this process."""
    leave_none()  # a core file would hold the image
    _be_quiet()
    _limit_memory()
    serve(channel, _answer)


def cause_of_loss(error: Exception, exitcode: int, within: float) -> str:
    """What the loss of a decoding process says about its image.

    Args:
        error: What the process did, as in `kia.processes.crew.Lost`.
        exitcode: Of the process; minus the signal that it died of.
        within: Seconds that it had.
    """
    if isinstance(error, TimeoutError):
        return f"not read and decoded within {within:.0f} s"
    if isinstance(error, Garbled):
        return "damaged (its decoder answers nonsense)"
    if exitcode == -signal.SIGPROF:
        return "takes too long to decode; damaged, or too large"
    if exitcode == -signal.SIGKILL:
        return "its decoder was killed; the machine may be out of memory"
    return f"damaged, or too large (its decoder crashes with {exitcode})"


def _answer(asked: Message) -> Message:
    if asked.value is None:  # only whether it is there
        return Message(None)
    source = bytes(asked.pieces[0]) if asked.pieces else asked.value["path"]
    asked = Message(asked.value)  # without the file, of which one copy is enough
    _limit_time(MAX_SECONDS + SECONDS_PER_BYTE * _bytes(source))
    found = load(source, *(asked.value[name] for name in ("size", "resize", "name")))
    _limit_time(0)
    pieces = [] if found.pixels is None else [found.pixels.tobytes()]
    return Message([found.why_not, found.doubts, found.shape], pieces)


@cache
def _said() -> "TypeAdapter[Any]":
    from pydantic import TypeAdapter  # the parent needs it, the children not

    return TypeAdapter(tuple[str, tuple[Doubt, ...], tuple[int, ...]])


def _be_quiet() -> None:
    """The C libraries print what they find, which may be the text of a header."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)


def _bytes(source: str | bytes) -> int:
    if isinstance(source, bytes):
        return len(source)
    try:
        return Path(source).stat().st_size
    except (OSError, ValueError):
        return 0


def _limit_time(seconds: float) -> None:
    """Die by SIGPROF after so much processor time (0: no limit), even if the parent is gone."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _limit_memory() -> None:
    if sys.platform != "linux":  # elsewhere the limit is not enforced, or counts other things
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MAX_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
