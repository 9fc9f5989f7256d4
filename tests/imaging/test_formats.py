"""Images of every kind become 2-D grey, air dark and bone bright; anything else is one line."""

import contextlib
import io
import os
import struct
import threading
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kia.errors import ImageError
from kia.imaging.grey import MAX_BYTES
from kia.imaging.reading import read_image
from kia.imaging.resize import resize_square

RAMP = np.tile(np.arange(64, dtype=np.uint8) * 4, (32, 1))


def encode(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def test_8_bit_grey_keeps_its_values():
    np.testing.assert_array_equal(read_image(encode(Image.fromarray(RAMP))), RAMP)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_grey_stored_in_colour_reads_the_same(mode):
    grey = read_image(encode(Image.fromarray(RAMP).convert(mode)))
    assert grey.dtype == np.uint8
    np.testing.assert_allclose(grey, RAMP, atol=1)


def test_transparent_pixels_are_black():
    picture = Image.fromarray(RAMP).convert("RGBA")
    picture.putalpha(0)
    assert read_image(encode(picture)).max() == 0


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg(mode):
    grey = read_image(encode(Image.fromarray(RAMP).convert(mode), "JPEG", quality=95))
    np.testing.assert_allclose(grey.astype(int), RAMP.astype(int), atol=6)


def test_16_bit_png_is_stretched():
    deep = RAMP.astype(np.uint16) * 16 + 100
    grey = read_image(encode(Image.fromarray(deep)))
    np.testing.assert_allclose(grey, RAMP * (255 / 252), atol=0.01)


def test_one_bit_png():
    grey = read_image(encode(Image.fromarray(RAMP > 100)))
    assert set(np.unique(grey)) == {0, 255}


def test_paths_files_and_bytes_read_the_same(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encode(Image.fromarray(RAMP)))
    with path.open("rb") as file:
        np.testing.assert_array_equal(read_image(file), read_image(path))
    np.testing.assert_array_equal(read_image(str(path)), RAMP)


def test_dicom_by_content_or_by_name(dicom):
    deep = RAMP.astype(np.uint16) * 16
    np.testing.assert_allclose(read_image(dicom(deep)), RAMP * (255 / 252), atol=0.01)
    bare = dicom(deep)[132:]  # without preamble and magic number
    np.testing.assert_allclose(read_image(bare, name="a.DCM"), RAMP * (255 / 252), atol=0.01)


def png_with(kind: bytes, data: bytes) -> bytes:
    """A PNG with one more chunk before its pixels."""
    whole = encode(Image.fromarray(RAMP))
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    at = whole.index(b"IDAT") - 4
    return whole[:at] + chunk + whole[at:]


@pytest.mark.parametrize(("kind", "head"), [(b"zTXt", b"a\0\0"), (b"iCCP", b"a\0\0")])
def test_compressed_texts_and_profiles_are_no_bomb(kind, head):
    data = png_with(kind, head + zlib.compress(bytes(80 << 20)))
    tracemalloc.start()
    try:
        with contextlib.suppress(ImageError):
            np.testing.assert_array_equal(read_image(data), RAMP)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_flipped_bit_in_a_png_is_noticed():
    """Every chunk has a checksum; the last one has no content."""
    whole = encode(Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20), np.uint8)))
    for position in range(8, len(whole) - 12):
        damaged = bytearray(whole)
        damaged[position] ^= 4
        with pytest.raises(ImageError):
            read_image(bytes(damaged))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_truncated_pictures_are_refused(kind, part):
    whole = encode(
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)), kind
    )
    with pytest.raises(ImageError):
        read_image(whole[: int(len(whole) * part)])


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match=r"pipe\.png: cannot be decoded \(not a file\)"):
        read_image(tmp_path / "pipe.png")


def test_a_file_of_many_bytes_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ImageError, match="file larger than 256 MiB"):
        read_image(path)


def test_a_camera_turned_on_its_side():
    """EXIF orientation 6: the picture is stored a quarter turn to the left."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = read_image(encode(Image.fromarray(RAMP), "JPEG", exif=exif, quality=95))
    np.testing.assert_allclose(turned.astype(int), np.rot90(RAMP, -1).astype(int), atol=6)


def huge_png(side: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


BAD = {
    "no picture": b"hello",
    "empty": b"",
    "truncated png": encode(Image.fromarray(RAMP))[:-30],
    "truncated jpeg": encode(Image.fromarray(RAMP), "JPEG")[:-40],
    "bomb": huge_png(11_000),
    "larger bomb": huge_png(60_000),
    "gif": encode(Image.fromarray(RAMP), "GIF"),
    "dicom without image": b"\0" * 128 + b"DICM",
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_what_cannot_be_used_is_one_line_with_name_and_reason(kind):
    with pytest.raises(ImageError, match=r"^chest\.png: .{8,}") as caught:
        read_image(BAD[kind], name="chest.png")
    assert "\n" not in str(caught.value)


def test_missing_image_and_folder(tmp_path):
    with pytest.raises(ImageError, match="no such image"):
        read_image(tmp_path / "a.png")
    with pytest.raises(ImageError, match="cannot be decoded"):
        read_image(tmp_path)


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=200), keep=st.integers(0, 600), kind=st.sampled_from("pjd"))
def test_damaged_files_raise_image_errors_only(dicom, data, keep, kind):
    picture = Image.fromarray(RAMP)
    whole = {"p": encode(picture), "j": encode(picture, "JPEG"), "d": dicom(RAMP)}[kind]
    with contextlib.suppress(ImageError):
        assert read_image(whole[:keep] + data + whole[keep + len(data) :]).ndim == 2


def test_threads_read_alike():
    data = encode(Image.fromarray(RAMP))
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(read_image(data))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((result == RAMP).all() for result in results)


def test_squash_leaves_squares_of_the_right_size_alone():
    square = RAMP[:, :32]
    resized = resize_square(square, 32)
    np.testing.assert_array_equal(resized, square)
    assert resized.flags.writeable


def test_squash_and_pad_shapes():
    assert resize_square(RAMP, 16).shape == (16, 16)
    padded = resize_square(np.full((20, 40), 200, np.uint8), 40, "pad")
    assert padded.shape == (40, 40)
    assert (padded[10:30] == 200).all()
    assert padded[:10].max() == padded[30:].max() == 0


def test_float_and_integer_images_resize_alike():
    image = np.random.default_rng(0).integers(0, 256, (90, 70), dtype=np.uint8)
    as_float = resize_square(image.astype(np.float32), 32).astype(int)
    assert abs(as_float - resize_square(image, 32).astype(int)).max() <= 1


def test_shrinking_does_not_alias():
    stripes = np.zeros((256, 256), np.uint8)
    stripes[:, ::2] = 255
    assert resize_square(stripes, 64)[8:-8, 8:-8].std() < 3
