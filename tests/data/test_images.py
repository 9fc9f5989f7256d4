"""Images of every kind become 2-D grey, air dark and bone bright; anything else is one line."""

import contextlib
import io
import struct
import threading
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kia.data.images import read_image, resize_square
from kia.errors import ImageError

RAMP = np.tile(np.arange(64, dtype=np.uint8) * 4, (32, 1))


def encode(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def dicom(pixels: np.ndarray, photometric: str = "MONOCHROME2", **elements) -> bytes:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = dataset.BitsStored = pixels.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(dataset, name, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
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


def test_dicom_bone_is_bright_in_both_photometric_interpretations():
    deep = RAMP.astype(np.uint16) * 16
    np.testing.assert_allclose(read_image(dicom(deep)), RAMP * (255 / 252), atol=0.01)
    inverted = read_image(dicom(deep.max() - deep, "MONOCHROME1"))
    np.testing.assert_allclose(inverted, RAMP * (255 / 252), atol=0.01)


def test_dicom_rescale_and_window():
    """PS3.3 C.11.2.1.2: below c − 0.5 − (w − 1)/2 black, above c − 0.5 + (w − 1)/2 white."""
    deep = RAMP.astype(np.uint16) * 16
    window = {"WindowCenter": 1000, "WindowWidth": 1001}
    grey = read_image(
        dicom(deep, RescaleSlope=1, RescaleIntercept=-1000, RescaleType="US", **window)
    )
    values = deep.astype(float) - 1000
    np.testing.assert_allclose(grey, np.clip((values - 999.5) / 1000 + 0.5, 0, 1) * 255, atol=0.2)


def test_dicom_padding_does_not_spoil_the_range():
    deep = RAMP.astype(np.uint16) * 4 + 1000
    deep[:4] = 65535
    for photometric in ("MONOCHROME2", "MONOCHROME1"):
        grey = read_image(dicom(deep, photometric, PixelPaddingValue=65535))
        assert grey[:4].max() == 0
        assert grey[4:].max() == pytest.approx(255)
        assert grey[4:].min() == pytest.approx(0)
        assert grey[4:].std() > 50


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
    "truncated dicom": dicom(RAMP)[:-100],
    "dicom of frames": dicom(RAMP, NumberOfFrames=2),
    "dicom bomb": dicom(RAMP, Rows=60_000, Columns=60_000),
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
def test_damaged_files_raise_image_errors_only(data, keep, kind):
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
