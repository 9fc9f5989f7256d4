"""What strangers upload costs at most its own worker."""

import asyncio
import os
import signal
import sys

import numpy as np
import pytest

from kia.imaging import workers as decoding
from kia.imaging.reading import read_image
from kia.imaging.resize import resize_square
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


@pytest.mark.skipif(sys.platform != "linux", reason="signals of Linux")
def test_a_file_that_kills_its_worker_costs_nobody_else_anything(monkeypatch, png):
    def load(content, size, resize, name):
        if content == b"crash":
            os.kill(os.getpid(), signal.SIGKILL)
        return decoding.LoadedImage(np.zeros((size, size), np.uint8))

    monkeypatch.setattr(decoding, "START", "fork")
    monkeypatch.setattr(decoding, "_load", load)
    decoder = Decoder(1, 32, "squash")
    decoder.start()

    async def together():
        return await asyncio.gather(*(decoder.decode(c, "x") for c in (b"crash", b"a", b"b")))

    try:
        crashed, *others = asyncio.run(together())
    finally:
        decoder.close()
    assert "its decoder was killed" in crashed.why_not
    assert all(one.pixels is not None for one in others)
