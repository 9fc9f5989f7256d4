"""Pictures of more than 8 bits: every kind of 16-bit PNG, and marks that would eat the range."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from kia.errors import ImageError
from kia.imaging import formats
from kia.imaging.grey import stretch_most
from kia.imaging.reading import read_doubtful, read_image

RAMP = np.tile(np.arange(64, dtype=np.uint16) * 16, (48, 1))  # 10 bits: 0 … 1008
STRETCHED = RAMP * (255 / 1008)
GREY, RGB, GREY_ALPHA, RGBA = 0, 2, 4, 6
PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2))
PASSES += ((1, 0, 2, 1),)  # of Adam7: first row and column, steps of rows and columns


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def filtered(values: np.ndarray) -> bytes:
    """Rows with the five filters of the PNG standard (section 9), one after the other."""
    height, _, channels = values.shape
    step = 2 * channels
    rows = values.astype(">u2").reshape(height, -1).view(np.uint8).astype(int)
    done = b""
    for number, row in enumerate(rows):
        left = np.concatenate([np.zeros(step, int), row[:-step]])
        above = rows[number - 1] if number else np.zeros_like(row)
        corner = np.concatenate([np.zeros(step, int), above[:-step]])
        guess = left + above - corner
        far = np.abs([guess - left, guess - above, guess - corner])
        paeth = np.choose(far.argmin(0), [left, above, corner])
        wanted = (0 * row, left, above, (left + above) // 2, paeth)[number % 5]
        done += bytes([number % 5]) + ((row - wanted) % 256).astype(np.uint8).tobytes()
    return done


def png(values: np.ndarray, kind: int, interlaced: bool = False, *more: bytes) -> bytes:
    """A PNG of 16 bits a channel; `more` are chunks before its pixels."""
    values = values if values.ndim == 3 else values[..., None]
    height, width = values.shape[:2]
    parts = [values[y::dy, x::dx] for y, x, dy, dx in PASSES] if interlaced else [values]
    head = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, interlaced)
    data = zlib.compress(b"".join(filtered(part) for part in parts if part.size))
    chunks = [chunk(b"IHDR", head), *more, chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def channels(kind: int, grey: np.ndarray, alpha: int = 65535) -> np.ndarray:
    full = np.full_like(grey, alpha)
    made = {GREY: [grey], RGB: [grey] * 3, GREY_ALPHA: [grey, full], RGBA: [grey] * 3 + [full]}
    return np.stack(made[kind], axis=-1)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("kind", [GREY, RGB, GREY_ALPHA, RGBA])
def test_every_kind_of_16_bits_is_stretched_as_grey_is(kind, interlaced):
    picture = read_doubtful(png(channels(kind, RAMP), kind, interlaced))
    np.testing.assert_allclose(picture.grey, STRETCHED, atol=0.01)
    assert picture.doubts == ()


@pytest.mark.parametrize("kind", [GREY_ALPHA, RGBA])
def test_an_alpha_channel_of_few_bits_too_hides_nothing(kind):
    """Its highest value is 1023, all over the picture."""
    grey = read_image(png(channels(kind, RAMP, 1023), kind))
    np.testing.assert_allclose(grey, STRETCHED, atol=0.01)


@pytest.mark.parametrize("kind", [GREY_ALPHA, RGBA])
def test_what_is_transparent_is_black_and_no_part_of_the_range(kind):
    values = channels(kind, RAMP + 300)
    values[:8] = 0
    grey = read_image(png(values, kind))
    assert grey[:8].max() == 0
    np.testing.assert_allclose(grey[8:], STRETCHED[8:], atol=0.01)


@pytest.mark.parametrize(("kind", "key"), [(GREY, [65535]), (RGB, [65535, 0, 7])])
def test_a_colour_that_is_transparent(kind, key):
    """tRNS: section 11.3.2.1 of the PNG standard."""
    values = channels(kind, RAMP + 300)
    values[:8] = key
    data = png(values, kind, False, chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)))
    grey = read_doubtful(data).grey  # the hidden colour is doubted, as in 8 bits
    assert grey[:8].max() == 0
    np.testing.assert_allclose(grey[8:], STRETCHED[8:], atol=0.01)


def test_colour_of_10_bits_is_doubted_and_weighed():
    """ITU-R 601: 0.299 red, 0.587 green, 0.114 blue."""
    values = channels(RGB, RAMP)
    values[..., 1] //= 4
    picture = read_doubtful(png(values, RGB))
    assert [doubt.kind for doubt in picture.doubts] == ["colour"]
    luma = values @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(picture.grey, luma * (255 / luma.max()), atol=0.01)


@pytest.mark.parametrize("kind", [GREY, RGB, RGBA])
def test_a_deep_png_turned_by_exif(kind):
    """Orientation 6: a quarter turn to the right."""
    exif = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    grey = read_image(png(channels(kind, RAMP), kind, False, chunk(b"eXIf", exif)))
    np.testing.assert_allclose(grey, np.rot90(STRETCHED, -1), atol=0.01)


@pytest.mark.parametrize("kind", [RGB, GREY_ALPHA, RGBA])
def test_damage_in_deep_colour_is_noticed(kind):
    whole = png(channels(kind, RAMP), kind)
    for data in (whole[:-20], whole[:60] + b"\0" + whole[61:]):
        with pytest.raises(ImageError):
            read_image(data)


def test_deep_colour_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(formats, "_sixteen_bits", None)
    with pytest.raises(ImageError, match="64 × 48 pixels, more than the 1,000 allowed"):
        read_image(png(channels(RGB, RAMP), RGB), max_pixels=1000)


# --- marks that are burned in ---------------------------------------------------------------

CHEST = np.random.default_rng(0).normal(1800, 500, (240, 200)).clip(150, 4000).astype(np.uint16)


def encoded(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def marked(value: int) -> np.ndarray:
    picture = CHEST.copy()
    picture[5:20, 5:25] = value  # 0.6 %
    return picture


@pytest.mark.parametrize("value", [65535, 20_000])
@pytest.mark.parametrize("form", ["grey", "colour", "dicom", "MONOCHROME1"])
def test_a_burned_in_mark_leaves_the_chest_its_grey_values(dicom, form, value):
    """The reference is the same chest without the mark."""
    make = {"grey": encoded, "colour": lambda v: png(channels(RGB, v), RGB), "dicom": dicom}
    make["MONOCHROME1"] = lambda values: dicom(values, "MONOCHROME1")
    picture = read_doubtful(make[form](marked(value)))
    plain = read_doubtful(make[form](CHEST))
    mark = marked(value) == value
    np.testing.assert_allclose(picture.grey[~mark], plain.grey[~mark], atol=1)
    assert set(picture.grey[mark]) == {0 if form == "MONOCHROME1" else 255}
    assert [doubt.kind for doubt in picture.doubts] == ["grey values"]
    assert plain.doubts == ()


def test_a_mark_in_the_dark(dicom):
    """Signed: 12 bits of picture, and −32768 where it was erased."""
    values = CHEST.astype(np.int16)
    values[5:20, 5:25] = -32768
    picture = read_doubtful(dicom(values))
    np.testing.assert_allclose(picture.grey[30:], read_image(dicom(CHEST))[30:], atol=1)
    assert picture.grey[5:20, 5:25].max() == 0
    assert [doubt.kind for doubt in picture.doubts] == ["grey values"]


def test_a_window_wins_over_the_pixels(dicom):
    """A viewer shows what the file's window says, mark or not."""
    window = {"WindowCenter": 32_768, "WindowWidth": 65_536}
    picture = read_doubtful(dicom(marked(65535), **window))
    assert picture.doubts == ()
    assert picture.grey[30:].max() < 17


UNCHANGED = {
    "a mark of the picture's own range": marked(4095),
    "a mark a little brighter": marked(6000),
    "half of it bright": np.where(np.arange(200) < 100, CHEST, 65535).astype(np.uint16),
    "a mask of few pixels": ((marked(65535) == 65535) * 65535).astype(np.uint16),
    "a mask of one pixel": np.eye(1, 48_000, dtype=np.uint16).reshape(240, 200) * 1000,
    "an even spread": np.arange(48_000, dtype=np.uint16).reshape(240, 200),
}


@pytest.mark.parametrize("name", UNCHANGED)
def test_pictures_without_outliers_are_stretched_from_end_to_end(name):
    values = UNCHANGED[name].astype(float)
    picture = read_doubtful(encoded(UNCHANGED[name]))
    ends = (values - values.min()) * (255 / (values.max() - values.min()))
    np.testing.assert_allclose(picture.grey, ends, atol=0.01)
    assert picture.doubts == ()


def test_padding_counts_neither_as_mark_nor_as_picture():
    values = marked(65535).astype(np.float32)
    values[:, :60] = np.nan
    grey, doubts = stretch_most(values)
    assert grey[:, :60].max() == 0
    assert grey[:, 60:].min() == 0
    assert grey[:, 60:].max() == 255
    assert doubts == ()  # the mark lies in the padding
    assert stretch_most(np.full((3, 3), np.nan, np.float32))[0].max() == 0


@pytest.mark.iu_xray
@pytest.mark.slow
def test_no_real_chest_x_ray_has_outliers(iu_xray):
    """Read as deep pictures, of which nobody knows the range."""
    paths = sorted((iu_xray / "images").iterdir())[::10]
    assert len(paths) > 700
    for path in paths:
        _, doubts = stretch_most(read_image(path).astype(np.float32))
        assert doubts == (), path
