"""Arrays, tensors and Pillow's pictures read as the file with the same content, or are refused.

The reference is a PNG of the same picture, or the grey values that the array was made from.
"""

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from kia.errors import DataError
from kia.imaging.arrays import any_picture, array_picture
from kia.imaging.grey import Picture
from kia.imaging.reading import read_doubtful

GREY = np.tile(np.arange(64, dtype=np.uint8) * 4 + 2, (48, 1))  # 2 … 254
COLOUR = np.stack([GREY, GREY[:, ::-1], np.full_like(GREY, 90)], axis=-1)
DEEP = GREY.astype(np.uint16) * 16 + 100


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def of_file(values: np.ndarray) -> Picture:
    return read_doubtful(encoded(Image.fromarray(values)))


def read(image: Any) -> Picture:
    return array_picture(image, "image 1")


def same(picture: Picture, expected: np.ndarray, atol: float = 0.01) -> None:
    assert picture.grey.dtype in (np.uint8, np.float32)
    np.testing.assert_allclose(picture.grey, expected, atol=atol)


KEPT = {
    "uint8": GREY,
    "float32 of 1": GREY.astype(np.float32) / 255,
    "float64 of 1": GREY / 255,
    "float16 of 1": (GREY / 255).astype(np.float16),
    "float32 of 255": GREY.astype(np.float32),
    "float64 of 255": GREY.astype(float),
    "int32": GREY.astype(np.int32),
    "int64": GREY.astype(np.int64),
    "uint32": GREY.astype(np.uint32),
    "rows": GREY.tolist(),
    "rows of 1": (GREY / 255).tolist(),
    "not contiguous": np.asfortranarray(np.pad(GREY, 3))[3:-3, 3:-3],
    "only to be read": np.broadcast_to(GREY[:1], GREY.shape),
    "(1, H, W)": GREY[None],
    "(H, W, 1)": GREY[..., None],
    "tensor": torch.from_numpy(GREY),
    "tensor (1, H, W) of 1": torch.from_numpy(GREY)[None] / 255,
    "tensor of bfloat16": torch.from_numpy(GREY)[None].to(torch.bfloat16),
    "tensor with a gradient": (torch.from_numpy(GREY) / 255).requires_grad_(),
    "tensor of int64": torch.from_numpy(GREY).long(),
}


@pytest.mark.parametrize("name", KEPT)
def test_grey_values_are_kept(name):
    rough = "16" in name  # 8 bits of mantissa, or 11 for what lies in 0 … 1
    same(read(KEPT[name]), GREY, atol=1 if rough else 0.01)


def test_bool_is_black_and_white():
    mask = GREY > 100
    expected = read_doubtful(encoded(Image.fromarray(mask))).grey
    for image in (mask, torch.from_numpy(mask), mask[None]):
        same(read(image), expected)


STRETCHED = {
    "uint16": (DEEP, DEEP),
    "big endian": (DEEP.astype(">u2"), DEEP),
    "uint16 of few values": ((DEEP // 20).astype(np.uint16), (DEEP // 20).astype(np.uint16)),
    "int16": (DEEP.astype(np.int16) - 2000, DEEP),
    "int32": (DEEP.astype(np.int32) - 2000, DEEP),
    "float32": (DEEP.astype(np.float32), DEEP),
    "float, rescaled": (DEEP * 0.5 - 1024, DEEP),
    "float of -1 to 1": (DEEP / DEEP.max() * 2 - 1, DEEP),
    "tensor of uint16": (torch.from_numpy(DEEP.copy()), DEEP),
    "tensor of int16": (torch.from_numpy(DEEP.astype(np.int16)) - 2000, DEEP),
}


@pytest.mark.parametrize("name", STRETCHED)
def test_other_ranges_are_stretched_as_a_deep_png_is(name):
    image, stored = STRETCHED[name]
    same(read(image), of_file(stored).grey)


def test_a_burned_in_mark_is_cut_off_and_doubted_as_in_a_file():
    marked = np.pad(DEEP, 40, mode="edge")
    marked[:6, :6] = 65535
    expected = of_file(marked)
    assert [doubt.kind for doubt in expected.doubts] == ["grey values"]
    for image in (marked, marked.astype(float), marked.astype(np.int64)):
        picture = read(image)
        same(picture, expected.grey)
        assert picture.doubts == expected.doubts


@pytest.mark.parametrize("ends", [(-0.02, 1.03), (0, 1.0001), (-1e-7, 1)])
def test_a_picture_of_1_that_was_resampled_does_not_become_black(ends):
    low, high = ends
    image = low + (GREY - 2) / 252 * (high - low)
    same(read(image), GREY, atol=2.01)


COLOURED = {
    "(H, W, 3)": COLOUR,
    "(3, H, W)": np.moveaxis(COLOUR, 2, 0),
    "float of 1": COLOUR / 255,
    "float of 255": COLOUR.astype(np.float32),
    "int64": COLOUR.astype(np.int64),
    "tensor (3, H, W) of 1": torch.from_numpy(COLOUR).permute(2, 0, 1) / 255,
    "tensor (H, W, 3)": torch.from_numpy(COLOUR),
    "with alpha": np.dstack([COLOUR, np.full_like(GREY, 255)]),
    "float with alpha": np.dstack([COLOUR, np.full_like(GREY, 255)]) / 255,
}


@pytest.mark.parametrize("name", COLOURED)
def test_colour_goes_the_way_of_a_colour_png(name):
    expected = of_file(COLOUR)
    assert [doubt.kind for doubt in expected.doubts] == ["colour"]
    picture = read(COLOURED[name])
    same(picture, expected.grey)
    assert picture.doubts == expected.doubts


def test_colour_of_16_bits_is_stretched_as_a_whole():
    """ITU-R 601: 0.299 red, 0.587 green, 0.114 blue."""
    luma = COLOUR @ [0.299, 0.587, 0.114]
    expected = (luma - luma.min()) * (255 / np.ptp(luma))
    opaque = np.full(GREY.shape, 65535, np.uint16)
    for image in (COLOUR.astype(np.uint16) * 16, np.dstack([COLOUR.astype(np.uint16), opaque])):
        picture = read(image)
        same(picture, expected, atol=0.1)
        assert [doubt.kind for doubt in picture.doubts] == ["colour"]


def test_grey_and_alpha():
    alpha = np.where(np.arange(64) < 20, 0, 255).astype(np.uint8) * np.ones_like(GREY)
    expected = of_file(np.dstack([GREY, alpha])).grey
    assert expected[:, :20].max() == 0
    for image in (np.dstack([GREY, alpha]), np.dstack([GREY, alpha]) / 255):
        same(read(image), expected)


MODES = ("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LA", "PA", "RGBX", "La", "RGBa")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("source", [GREY, COLOUR], ids=["grey", "colour"])
def test_modes_of_pillow(mode, source):
    """The reference is the same picture as RGB; premultiplied modes come by way of alpha."""
    plain = Image.fromarray(source)
    way = {"La": "LA", "RGBa": "RGBA", "PA": "P", "HSV": "RGB"}.get(mode)
    picture = (plain.convert(way) if way else plain).convert(mode)
    shown = plain.convert("P").convert("RGB") if mode in ("P", "PA") else plain
    if mode in ("1", "LA", "La", "L"):
        shown = plain.convert(mode[0])
    before = picture.copy()
    found = read(picture)
    same(found, np.asarray(shown.convert("L"), float), atol=4)  # YCbCr and HSV round
    assert bool(found.doubts) == (source is COLOUR and mode not in ("1", "L", "LA", "La"))
    assert picture.tobytes() == before.tobytes()
    assert picture.mode == mode


def test_lab():
    """CIE: the lightness of 50 is 18.4 % of white's luminance, 119 in sRGB."""
    picture = Image.frombytes("LAB", (8, 8), bytes([128, 0, 0] * 64))
    same(read(picture), np.full((8, 8), 119), atol=1)


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L", "I", "F"])
def test_deep_modes_of_pillow(mode):
    """Values as a PNG of 16 bits has them."""
    kinds = {"I;16": "<u2", "I;16B": ">u2", "I;16L": "<u2", "I": "<i4", "F": "<f4"}
    data = DEEP.astype(kinds[mode]).tobytes()
    picture = Image.frombytes(mode, (64, 48), data)
    same(read(picture), of_file(DEEP).grey)
    same(read(Image.fromarray((GREY / 255).astype(np.float32))), GREY)


def test_pillow_pictures_with_a_transparent_colour_or_a_turn():
    keyed = encoded(Image.fromarray(GREY), transparency=254)
    same(read(Image.open(io.BytesIO(keyed))), read_doubtful(keyed).grey)
    assert read_doubtful(keyed).grey.max() == 250
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("PNG", "JPEG"):
        turned = encoded(Image.fromarray(GREY), kind, exif=exif)
        same(read(Image.open(io.BytesIO(turned))), read_doubtful(turned).grey)
        assert read(Image.open(io.BytesIO(turned))).grey.shape == (64, 48)


def test_files_in_any_form(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(Image.fromarray(GREY)))
    content = path.read_bytes()
    with path.open("rb") as file:
        forms = (path, str(path), content, bytearray(content), memoryview(content), file)
        for form in forms:
            same(any_picture(form, "image 1"), GREY)


NAN = GREY / 255
NAN = np.where(GREY == 2, np.nan, NAN)
REFUSED = {
    "not a number": (NAN, "not a number, or infinite"),
    "nothing but": (NAN * np.nan, "not a number, or infinite"),
    "infinite": (np.where(GREY == 2, np.inf, GREY), "not a number, or infinite"),
    "tensor": (torch.from_numpy(NAN)[None], "not a number, or infinite"),
    "too large for a float": (GREY * 1e300, "cannot be read|not finite"),
    "complex": (GREY * 1j, "must hold numbers, not complex128"),
    "words": (np.array([["a", "b"]]), "must hold numbers"),
    "objects": (np.array([[None]]), "must hold numbers, not object"),
    "dates": (np.zeros((3, 3), "M8[D]"), "must hold numbers"),
    "masked": (np.ma.masked_equal(GREY, 2), "masked array"),
    "empty": (GREY[:0], "empty image"),
    "empty colour": (COLOUR[:, :0], "empty image"),
    "a row": (GREY[0], r"not of shape \(64,\)"),
    "a number": (np.float64(3), r"not of shape \(\)"),
    "two pictures": (np.stack([GREY, GREY]), r"not of shape \(2, 48, 64\)"),
    "five channels": (np.dstack([GREY] * 5), r"not of shape \(48, 64, 5\)"),
    "a batch": (torch.zeros(1, 1, 48, 64), r"not of shape \(1, 1, 48, 64\)"),
    "alpha of no known range": (np.dstack([COLOUR, GREY]) * 9.0, "alpha channel of float64"),
    "alpha of int16": (np.dstack([COLOUR, GREY]).astype(np.int16), "alpha channel of int16"),
    "uneven rows": ([[1, 2], [3]], "cannot be read"),
    "nothing": (None, "no image but NoneType"),
    "a dictionary": ({"image": GREY}, "no image but dict"),
    "floats and words": ([[1.0, "a"]], "must hold numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_what_is_no_picture_is_one_line(name):
    image, reason = REFUSED[name]
    with pytest.raises(DataError, match=rf"^image 1: .*({reason})") as caught:
        any_picture(image, "image 1")
    assert "\n" not in str(caught.value)


def test_arrays_are_left_as_they_were_and_limited():
    for image in (GREY.copy(), GREY / 255, DEEP.copy(), DEEP.astype(np.float32), COLOUR.copy()):
        before = image.copy()
        read(image)
        np.testing.assert_array_equal(image, before)
    for image in (GREY, Image.fromarray(GREY)):
        with pytest.raises(DataError, match="image 1: 64 × 48 pixels, more than the 100 allowed"):
            array_picture(image, "image 1", max_pixels=100)
