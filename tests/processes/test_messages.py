"""Messages arrive as they were sent; what is none, too long or too late is refused."""

import pickle
import resource
import socket
import struct
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kia.processes.messages import Garbled, Message, receive, send

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def framed(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


@settings(max_examples=60, deadline=None)
@given(VALUES, st.lists(st.binary(max_size=2000), max_size=4))
def test_messages_arrive_as_they_were_sent(value, pieces):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for _ in range(2):
            send(ours, Message(value, pieces))
        for _ in range(2):
            found = receive(theirs, 1 << 20)
            assert (found.value, [bytes(piece) for piece in found.pieces]) == (value, pieces)


def test_names_that_are_no_text_arrive(pair):
    """Linux's file names are bytes; Python has what is no UTF-8 as lone surrogates."""
    ours, theirs = pair
    send(ours, Message("caf\udce9.png"))
    assert receive(theirs, 1 << 10).value == "caf\udce9.png"


def test_large_messages_arrive_while_they_are_read(pair):
    ours, theirs = pair
    content = bytes(range(256)) * (1 << 15)
    sender = threading.Thread(target=send, args=(ours, Message(None, [content])))
    sender.start()
    assert receive(theirs, 1 << 24).pieces[0] == content
    sender.join()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\xff" * 50, id="longer than is taken"),
        pytest.param(framed(pickle.dumps({"value": 1, "sizes": []})), id="pickle"),
        pytest.param(framed(b"[" * 60_000), id="deep"),
        pytest.param(framed(b"9" * 60_000), id="number of 60,000 digits"),
        pytest.param(framed(b"[]"), id="list"),
        pytest.param(framed(b'{"value": 1}'), id="no sizes"),
        pytest.param(framed(b'{"value": 1, "sizes": 4}'), id="sizes are no list"),
        pytest.param(framed(b'{"value": 1, "sizes": [1.5]}'), id="no whole number"),
        pytest.param(framed(b'{"value": 1, "sizes": [true]}'), id="true"),
        pytest.param(framed(b'{"value": 1, "sizes": [-1]}'), id="negative"),
        pytest.param(framed(b'{"value": 1, "sizes": [70000]}'), id="too large a piece"),
        pytest.param(framed(b'{"value": 1, "sizes": [40000, 40000]}'), id="too large together"),
        pytest.param(framed(b'{"value": 1, "sizes": [1e999]}'), id="infinite"),
    ],
)
def test_what_is_no_message_is_refused_at_once_and_takes_no_memory(pair, sent):
    ours, theirs = pair
    ours.sendall(sent)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(Garbled):
        receive(theirs, 1 << 16, time.monotonic() + 5)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


@pytest.mark.parametrize("sent", [b"", b"\0\0", framed(b'{"value": 1, "sizes": [5]}') + b"abc"])
def test_half_a_message_is_waited_for_until_the_deadline(pair, sent):
    ours, theirs = pair
    ours.sendall(sent)
    since = time.monotonic()
    with pytest.raises(TimeoutError):
        receive(theirs, 1 << 16, since + 0.2)
    assert 0.15 < time.monotonic() - since < 2
    ours.close()
    with pytest.raises(EOFError):
        receive(theirs, 1 << 16)


def test_a_drop_now_and_then_does_not_move_the_deadline(pair):
    ours, theirs = pair

    def drip():
        for byte in framed(b'{"value": 1, "sizes": []}'):
            ours.send(bytes([byte]))
            time.sleep(0.05)

    sender = threading.Thread(target=drip)
    sender.start()
    since = time.monotonic()
    with pytest.raises(TimeoutError):
        receive(theirs, 1 << 16, since + 0.3)
    assert time.monotonic() - since < 0.6
    sender.join()


def test_whoever_does_not_read_is_not_waited_for(pair):
    ours, _ = pair
    since = time.monotonic()
    with pytest.raises(TimeoutError):
        send(ours, Message(None, [bytes(1 << 22)]), since + 0.2)
    assert time.monotonic() - since < 2
