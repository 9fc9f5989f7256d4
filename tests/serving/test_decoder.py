"""What strangers upload costs at most its own worker."""

import asyncio
import re
import signal
import sys
import time

import numpy as np
import psutil
import pytest

from kia.imaging.reading import read_image
from kia.imaging.resize import resize_square
from kia.serving import decoder as serving
from kia.serving.batcher import Busy
from kia.serving.decoder import Decoder


@pytest.fixture(scope="module")
def decoder():
    decoder = Decoder(1, 32, "squash")
    decoder.start()
    yield decoder
    decoder.close()


def test_the_pixels_are_those_of_the_command_line(decoder, png):
    loaded = asyncio.run(decoder.decode(png(), "image 1"))
    np.testing.assert_array_equal(loaded.pixels, resize_square(read_image(png()), 32))
    assert (loaded.why_not, loaded.shape) == ("", (80, 80))


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff" + bytes(99)])
def test_a_damaged_file_is_a_reason_that_names_it(decoder, content):
    loaded = asyncio.run(decoder.decode(content, "image 2"))
    assert loaded.pixels is None and loaded.why_not.startswith("image 2: ")


slow = pytest.mark.slow
linux = pytest.mark.skipif(sys.platform != "linux", reason="signals of Linux")


@pytest.fixture
def make_decoder(stub_decoder, monkeypatch):
    """`make_decoder(workers)`: one whose processes do what the contents say, watched closely."""
    for name, seconds in (("IDLE", 0.2), ("PRESENT", 0.6), ("DOUBTFUL", 0.3)):
        monkeypatch.setattr(serving, name, seconds)
    made = []

    def make(workers: int = 1, longest: float = 1.0) -> Decoder:
        decoder = Decoder(workers, 32, "squash", longest)
        made.append(decoder)
        decoder.start()
        return decoder

    yield make
    for decoder in made:
        decoder.close()


def decode(decoder, *contents: bytes):
    async def together():
        return await asyncio.gather(*(decoder.decode(content, "x") for content in contents))

    return asyncio.run(together())


def children(*decoders) -> list[psutil.Process]:
    return [psutil.Process(post._child.process.pid) for one in decoders for post in one._posts]


def until(wanted, seconds=10.0) -> float:
    """Waits for it; gives the seconds that it took."""
    since = time.monotonic()
    while not wanted():
        assert time.monotonic() - since < seconds
        time.sleep(0.01)
    return time.monotonic() - since


@linux
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"crash", "crashes with -11"),
        (b"hang", "takes too long|decoded within"),
        (b"stall", "not read and decoded within 1 s"),
        (b"pickle", "answers nonsense"),
        pytest.param(b"killed", "its decoder was killed", marks=slow),
        pytest.param(b"stop", "not read and decoded within 1 s", marks=slow),
        pytest.param(b"half", "not read and decoded within 1 s", marks=slow),
    ],
)
def test_a_file_that_ruins_its_process_costs_nobody_else_anything(make_decoder, content, why):
    decoder = make_decoder()
    ruined, *others = decode(decoder, content, b"fine", b"fine")
    assert re.match(f"x: .*({why})", ruined.why_not)
    assert all(one.pixels is not None for one in others)


@linux
@pytest.mark.parametrize(
    "kind", ["crash", "stop", *(pytest.param(k, marks=slow) for k in ("killed", "stall", "noise"))]
)
def test_a_good_file_is_tried_again_on_a_new_process(make_decoder, tmp_path, kind):
    decoder = make_decoder()
    (loaded,) = decode(decoder, f"once:{kind}:{tmp_path / 'tried'}".encode())
    assert loaded.pixels is not None and (tmp_path / "tried").exists()


@linux
@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGSTOP, pytest.param(signal.SIGSEGV, marks=slow)]
)
def test_processes_that_die_or_hang_while_idle_cost_no_upload_anything(make_decoder, number):
    decoder = make_decoder(2)
    for _ in range(3):
        for child in children(decoder):
            child.send_signal(number)
        assert all(one.pixels is not None for one in decode(decoder, *[b"fine"] * 4))


@linux
def test_a_large_upload_to_a_process_that_does_not_read_is_given_up(make_decoder):
    """More than a socket's buffer holds: it is the sending that hangs."""
    decoder = make_decoder(longest=1.0)
    (child,) = children(decoder)
    child.suspend()
    (loaded,) = decode(decoder, b"fine" + bytes(4 << 20))
    assert loaded.pixels is not None


@linux
def test_it_is_ready_while_a_process_is_there(make_decoder):
    decoder = make_decoder(2)
    first, second = children(decoder)
    assert decoder.ready
    first.suspend()
    time.sleep(0.5)
    assert decoder.ready  # the other one is there
    first, second = children(decoder)
    first.suspend()
    second.suspend()
    # both are replaced; whether there is a moment without any depends on which is asked first
    until(lambda: not (first.is_running() or second.is_running()))
    until(lambda: decoder.ready)


@linux
def test_it_is_not_ready_while_all_processes_hang_over_images(make_decoder):
    decoder = make_decoder(1, longest=2.0)

    async def ask():
        asked = asyncio.ensure_future(decoder.decode(b"stall", "x"))
        await asyncio.sleep(0.3)
        assert decoder.ready  # it may be a large one
        await asyncio.sleep(0.6)
        assert not decoder.ready
        await asked

    asyncio.run(ask())
    until(lambda: decoder.ready)


@linux
@pytest.mark.parametrize("stopped", [True, False])
def test_the_end_is_soon_whatever_hangs(make_decoder, stopped):
    decoder = make_decoder(2, longest=60.0)
    found = children(decoder)

    async def ask():
        asked = [asyncio.ensure_future(decoder.decode(b"stall", "x")) for _ in range(5)]
        await asyncio.sleep(0.3)
        if stopped:
            for child in found:
                child.suspend()
        since = time.monotonic()
        await asyncio.to_thread(decoder.close)
        assert time.monotonic() - since < 0.5
        return await asyncio.gather(*asked, return_exceptions=True)

    assert [type(error) for error in asyncio.run(ask())] == [Busy] * 5
    assert not any(child.is_running() for child in found)
    assert not decoder.ready


@linux
def test_what_nobody_waits_for_is_not_tried_again(make_decoder, tmp_path):
    decoder = make_decoder(longest=0.8)
    content = f"once:stall:{tmp_path / 'tried'}".encode()

    async def leave():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(decoder.decode(content, "x"), 0.2)

    asyncio.run(leave())
    (loaded,) = decode(decoder, content)
    assert loaded.pixels is not None  # the file was made by the only try of the first


@slow
@linux
def test_descriptors_and_processes_do_not_grow(make_decoder):
    decoder = make_decoder(2)
    here, counted = psutil.Process(), set()
    for _ in range(3):
        decode(decoder, b"crash", b"fine", b"noise", b"fine")
        until(lambda: all(post.ready for post in decoder._posts))
        counted.add((here.num_fds(), len(here.children())))
    assert len(counted) == 1
