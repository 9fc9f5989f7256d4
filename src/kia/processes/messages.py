"""Messages between a process and its child: a JSON value and pieces of bytes, never a pickle.

    4 bytes    N, big-endian
    N bytes    {"value": …, "sizes": [n, …]}, JSON
    n bytes    for each of `sizes`

A child that reads damaged files may have been taken over by one: whoever receives says how much it
will take, and believes nothing of it.
"""

import json
import math
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

_LENGTH = struct.Struct(">I")
Piece = bytes | bytearray | memoryview


class Message(NamedTuple):
    """What is sent.

    Attributes:
        value: Of JSON.
        pieces: Bytes that go with it.
    """

    value: Any
    pieces: Sequence[Piece] = ()


class Garbled(OSError):
    """The other side sent something that is no message, or is too long."""


def send(channel: socket.socket, message: Message, until: float = math.inf) -> None:
    """Sends a message.

    Args:
        channel: To the other process.
        message: What to send.
        until: Deadline on the clock of `time.monotonic`.

    Raises:
        OSError: The other process is gone; TimeoutError if it does not read.
    """
    sizes = [len(piece) for piece in message.pieces]
    head = json.dumps({"value": message.value, "sizes": sizes}).encode()
    for part in (_LENGTH.pack(len(head)) + head, *message.pieces):
        channel.settimeout(_left(until))
        channel.sendall(part)


def receive(channel: socket.socket, most: int, until: float = math.inf) -> Message:
    """Waits for a message.

    Args:
        channel: To the other process.
        most: Bytes that it may have.
        until: Deadline on the clock of `time.monotonic`.

    Raises:
        EOFError: The other process is gone.
        Garbled: It sent no message, or a longer one.
        OSError: Likewise; TimeoutError if the message is not complete in time.
    """
    (length,) = _LENGTH.unpack(_exactly(channel, _LENGTH.size, until))
    if length > most:
        raise Garbled(f"a message of {length} bytes, more than {most}")
    try:
        head = json.loads(_exactly(channel, length, until))
        value, sizes = head["value"], head["sizes"]
        if any(type(size) is not int or size < 0 for size in sizes):
            raise ValueError(sizes)
        total = length + sum(sizes)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Garbled(f"no message ({type(error).__name__})") from None
    if total > most:
        raise Garbled(f"a message of {total} bytes, more than {most}")
    return Message(value, [_exactly(channel, size, until) for size in sizes])


def _exactly(channel: socket.socket, count: int, until: float) -> bytearray:
    read = bytearray(count)
    left = memoryview(read)
    while left:
        channel.settimeout(_left(until))
        got = channel.recv_into(left)
        if not got:
            raise EOFError
        left = left[got:]
    return read


def _left(until: float) -> float | None:
    if math.isinf(until):
        return None
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
