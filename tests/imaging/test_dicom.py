"""DICOM radiographs: the standard's formulas, real files, every compression, hostile headers."""

import io
import logging
import struct
import warnings
import zlib

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence

from kia.errors import ImageError
from kia.imaging.dicom import header
from kia.imaging.reading import ImageWarning, read_image

RAMP = np.tile(np.arange(64, dtype=np.uint16) * 64, (48, 1))  # 12 bits: 0 … 4032
STRETCHED = RAMP * (255 / 4032)
LOSSLESS = ("JPEGLosslessProcess14", "JPEGLosslessProcess14_1", "JPEGLSLossless")
LOSSLESS += ("JPEG2000Lossless", "RLELossless")


def real(name: str) -> str:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str), f"pydicom-data lacks {name}"
    return path


def stretched(values: np.ndarray) -> np.ndarray:
    return (values - values.min()) * (255 / (values.max() - values.min()))


def altered(data: bytes, change) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(data))
    change(dataset)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def lut(first: int, entries: np.ndarray) -> Sequence:
    item = Dataset()
    item.LUTDescriptor = [len(entries) % 65536, first, 8 * entries.itemsize]
    item.LUTData = entries.tobytes()
    return Sequence([item])


def test_air_is_dark_and_bone_bright_on_a_real_radiograph():
    """RG1: MONOCHROME1. Places seen on the picture: a lung, the spine, air beside the neck."""
    grey = read_image(real("RG1_UNCR.dcm"))
    height, width = grey.shape
    places = {"lung": (0.30, 0.63), "spine": (0.45, 0.48), "air": (0.06, 0.04)}
    mean = {}
    for name, (y, x) in places.items():
        row, column = int(y * height), int(x * width)
        mean[name] = grey[row - 20 : row + 20, column - 20 : column + 20].mean()
    assert mean["air"] < 80 < 100 < mean["lung"] < 180 < 220 < mean["spine"]


def test_real_radiographs_are_what_pydicom_shows():
    for name in ("RG1_UNCR.dcm", "RG3_UNCR.dcm"):
        dataset = pydicom.dcmread(real(name))
        shown = -apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ImageWarning)  # RG3 is a leg
            np.testing.assert_allclose(read_image(real(name)), stretched(shown), atol=0.01)


@pytest.mark.parametrize(
    ("plain", "compressed"),
    [
        ("RG1_UNCR", "RG1_J2KR"),  # 15 of 16 bits, lossless; the I files are lossy and unpacked
        ("RG1_UNCI", "RG1_J2KI"),
        ("RG3_UNCR", "RG3_J2KR"),
        ("693_UNCR", "693_J2KR"),  # signed
        ("MR_small", "MR_small_RLE"),
        ("MR_small", "MR_small_jp2klossless"),
        ("MR_small", "MR_small_jpeg_ls_lossless"),
        ("MR_small", "MR_small_bigendian"),
        ("OBXXXX1A", "OBXXXX1A_rle"),
    ],
)
@pytest.mark.filterwarnings("ignore::kia.imaging.reading.ImageWarning")
def test_pairs_of_real_files_read_the_same(plain, compressed):
    one, other = (read_image(real(f"{name}.dcm")) for name in (plain, compressed))
    np.testing.assert_array_equal(one, other)


@pytest.mark.filterwarnings("ignore::kia.imaging.reading.ImageWarning")
def test_deflated():
    """image_dfl: what pydicom reads, which inflates without a limit."""
    dataset = pydicom.dcmread(real("image_dfl.dcm"))
    np.testing.assert_allclose(
        read_image(real("image_dfl.dcm")), stretched(dataset.pixel_array.astype(float)), atol=0.01
    )


@pytest.mark.parametrize("syntax", LOSSLESS)
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_lossless_compressions_read_as_uncompressed(dicom, compress, syntax, bits):
    pixels = RAMP << 4 if bits == 16 else RAMP
    pixels = (RAMP >> 4).astype(np.uint8) if bits == 8 else pixels
    data = dicom(pixels, BitsStored=bits, WindowCenter=1000, WindowWidth=1500)
    packed = compress(data, syntax)
    assert pydicom.dcmread(io.BytesIO(packed)).file_meta.TransferSyntaxUID.is_compressed
    np.testing.assert_array_equal(read_image(packed), read_image(data))


@pytest.mark.filterwarnings("ignore::kia.imaging.reading.ImageWarning")
def test_jpeg_baseline_grey_and_colour(dicom, compress):
    pixels = (RAMP >> 4).astype(np.uint8)
    grey = read_image(compress(dicom(pixels), "JPEGBaselineProcess1"))
    np.testing.assert_allclose(grey, STRETCHED, atol=6)
    colour = dicom(np.repeat(pixels[..., None], 3, axis=2), "RGB")
    np.testing.assert_allclose(read_image(colour), STRETCHED, atol=0.6)
    packed = compress(colour, "JPEGBaselineProcess1")
    np.testing.assert_allclose(read_image(packed), STRETCHED, atol=6)


@pytest.mark.parametrize("bits", [10, 12, 15, 16])
def test_unsigned_depths(dicom, bits):
    pixels = RAMP >> 2 if bits == 10 else RAMP
    data = dicom(pixels, BitsStored=bits)
    np.testing.assert_allclose(read_image(data), STRETCHED, atol=0.01)


def test_signed_values(dicom):
    data = dicom((RAMP.astype(np.int16) - 2000), BitsStored=13)
    np.testing.assert_allclose(read_image(data), STRETCHED, atol=0.01)


def test_bits_beyond_those_stored_do_not_count(dicom):
    """PS3.5, 8.1.1: their content is not specified (once, overlays lay there)."""
    data = dicom(RAMP | (np.indices(RAMP.shape)[0].astype(np.uint16) % 2) << 15, BitsStored=12)
    np.testing.assert_allclose(read_image(data), STRETCHED, atol=0.01)


def test_monochrome1_is_inverted(dicom):
    grey = read_image(dicom(RAMP.max() - RAMP, "MONOCHROME1"))
    np.testing.assert_allclose(grey, STRETCHED, atol=0.01)


def test_rescale_and_window(dicom):
    """PS3.3 C.11.2.1.2: below c − 0.5 − (w − 1)/2 black, above c − 0.5 + (w − 1)/2 white."""
    window = {"WindowCenter": 1000, "WindowWidth": 1001}
    rescale = {"RescaleSlope": 2, "RescaleIntercept": -1000, "RescaleType": "US"}
    values = RAMP.astype(float) * 2 - 1000
    expected = np.clip((values - 999.5) / 1000 + 0.5, 0, 1) * 255
    for photometric, shown in (("MONOCHROME2", expected), ("MONOCHROME1", 255 - expected)):
        grey = read_image(dicom(RAMP, photometric, **rescale, **window))
        np.testing.assert_allclose(grey, shown, atol=0.01)


def test_a_falling_rescale_keeps_its_direction(dicom):
    """The modality's values fall as the stored ones rise; the window takes them as they are."""
    grey = read_image(
        dicom(RAMP, RescaleSlope=-1, RescaleIntercept=4032, WindowCenter=2016, WindowWidth=8000)
    )
    np.testing.assert_allclose(grey, 255 - STRETCHED, atol=0.01)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_window_functions_are_those_of_pydicom(dicom, function):
    data = dicom(RAMP, WindowCenter=1500, WindowWidth=900, VOILUTFunction=function)
    dataset = pydicom.dcmread(io.BytesIO(data))
    shown = apply_voi_lut(dataset.pixel_array, dataset)
    np.testing.assert_allclose(read_image(data), stretched(shown), atol=0.01)


def test_the_first_of_several_windows_counts(dicom):
    one = dicom(RAMP, WindowCenter=1500, WindowWidth=900)
    several = dicom(RAMP, WindowCenter=[1500, 300, 40], WindowWidth=[900, 100, 80])
    np.testing.assert_array_equal(read_image(several), read_image(one))


@pytest.mark.parametrize("width", [0, -5, 0.5])
def test_a_window_without_width_is_none(dicom, width):
    """PS3.3 C.11.2.1.2.1: the width shall be 1 or more."""
    data = dicom(RAMP, WindowCenter=2000, WindowWidth=width)
    np.testing.assert_allclose(read_image(data), STRETCHED, atol=0.01)


@pytest.mark.parametrize("name", ["mlut_18.dcm", "vlut_04.dcm"])
@pytest.mark.filterwarnings("ignore::kia.imaging.reading.ImageWarning")
def test_look_up_tables_are_those_of_pydicom(name):
    dataset = pydicom.dcmread(real(name))
    shown = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    np.testing.assert_allclose(read_image(real(name)), stretched(shown.astype(float)), atol=0.01)


@pytest.mark.parametrize("kind", ["<u2", "u1"])
def test_a_voi_table_wins_over_a_window_and_goes_on_with_its_ends(dicom, kind):
    """PS3.3 C.11.2.1.1: values before the first entry are the first, beyond the last the last."""
    entries = (np.arange(1000)[::-1] // 4).astype(kind)
    data = dicom(RAMP, WindowCenter=1, WindowWidth=2, VOILUTSequence=lut(500, entries))
    expected = entries.astype(float)[np.clip(RAMP.astype(int) - 500, 0, 999)]
    np.testing.assert_allclose(read_image(data), stretched(expected), atol=0.01)


def test_padding_does_not_spoil_the_range(dicom):
    pixels = RAMP + 1000
    pixels[:4] = 65535
    for photometric in ("MONOCHROME2", "MONOCHROME1"):
        grey = read_image(dicom(pixels, photometric, PixelPaddingValue=65535))
        assert grey[:4].max() == 0
        assert grey[4:].max() == pytest.approx(255)
        assert grey[4:].min() == pytest.approx(0)
        assert grey[4:].std() > 50


@pytest.mark.filterwarnings("ignore::kia.imaging.reading.ImageWarning")
def test_palette():
    dataset = pydicom.dcmread(real("OT-PAL-8-face.dcm"), force=True)
    dataset.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian
    colours = [
        np.frombuffer(dataset[f"{name}PaletteColorLookupTableData"].value, "<u2")
        for name in ("Red", "Green", "Blue")
    ]
    weights = (0.299, 0.587, 0.114)
    luma = sum(w * c[dataset.pixel_array] for w, c in zip(weights, colours, strict=True))
    np.testing.assert_allclose(read_image(real("OT-PAL-8-face.dcm")), stretched(luma), atol=0.01)


@pytest.mark.parametrize(
    ("elements", "warned"),
    [
        ({"Modality": "DX", "BodyPartExamined": "CHEST"}, ""),
        ({"Modality": "CR", "BodyPartExamined": "Thorax"}, ""),
        ({"Modality": "RG", "BodyPartExamined": "LUNG"}, ""),
        ({}, ""),
        ({"Modality": "MR"}, "Modality"),
        ({"Modality": "OT", "BodyPartExamined": "CHEST"}, "Modality"),
        ({"Modality": "DX", "BodyPartExamined": "KNEE"}, "BodyPartExamined"),
    ],
)
def test_other_modalities_and_body_parts_are_warned_of(dicom, elements, warned):
    data = dicom(RAMP, **elements)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_image(data, name="a.dcm")
    assert [w.category for w in caught] == ([ImageWarning] if warned else [])
    assert all(str(w.message).startswith("a.dcm: ") and warned in str(w.message) for w in caught)


def resized(data: bytes, **elements) -> bytes:
    return altered(data, lambda d: [setattr(d, name, v) for name, v in elements.items()])


@pytest.mark.parametrize("syntax", [*LOSSLESS[:4], "JPEGBaselineProcess1"])  # RLE says no size
@pytest.mark.parametrize("header", [{"Rows": 47}, {"Columns": 32}, {"Rows": 1, "Columns": 1}])
def test_a_header_that_lies_about_a_compressed_image(dicom, compress, syntax, header):
    data = resized(compress(dicom((RAMP >> 4).astype(np.uint8)), syntax), **header)
    with pytest.raises(ImageError, match="damaged DICOM"):
        read_image(data)


@pytest.mark.parametrize("syntax", ["JPEG2000Lossless", "JPEGLSLossless", "JPEGBaselineProcess1"])
def test_a_huge_codestream_is_refused_before_decoding(dicom, compress, monkeypatch, syntax):
    packed = compress(dicom((RAMP >> 4).astype(np.uint8)), syntax)
    form, sides = (">II", (64, 48)) if "2000" in syntax else (">HH", (48, 64))
    old, new = struct.pack(form, *sides), struct.pack(form, 60_000, 60_000)
    assert old in packed
    huge = packed.replace(old, new)

    def decode(*_, **__):
        raise AssertionError("the decoder was called")

    monkeypatch.setattr("pydicom.pixels.decoders.base.Decoder.as_array", decode)
    with pytest.raises(ImageError, match=r"60000 × 60000 × 1, the header says 64 × 48 × 1"):
        read_image(huge)


def test_a_bomb_of_run_lengths(dicom):
    data = dicom((RAMP >> 4).astype(np.uint8))

    def swap(dataset):
        header = struct.pack("<16I", 1, 64, *[0] * 14)
        dataset.PixelData = encapsulate([header + b"\x81\x00" * 1_000_000])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = uid.RLELossless

    with pytest.raises(ImageError, match="more compressed data than the image can have"):
        read_image(altered(data, swap))


def test_a_deflated_bomb(dicom, monkeypatch):
    monkeypatch.setattr(header, "MAX_BYTES", 1 << 20)
    data = dicom(RAMP)
    start = data.index(struct.pack("<HH2s", 8, 0x16, b"UI"))
    head = data[:start].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    length = struct.unpack_from("<I", head, 140)[0]
    plain = b"1.2.840.10008.1.2.1.99"
    at = head.index(plain)
    head = head[: at - 2] + struct.pack("<H", 22) + head[at:]
    head = head[:140] + struct.pack("<I", length + 2) + head[144:]
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    fine = head + squeeze.compress(data[start:]) + squeeze.flush()
    np.testing.assert_allclose(read_image(fine), STRETCHED, atol=0.01)
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = head + squeeze.compress(data[start:] + bytes(4 << 20)) + squeeze.flush()
    with pytest.raises(ImageError, match="unpacks to more than 1 MiB"):
        read_image(bomb)


REFUSED = {
    "frames": ({"NumberOfFrames": 3}, "DICOM with 3 frames, a single image is needed"),
    "bomb": ({"Rows": 60_000, "Columns": 60_000}, "more than the 100,000,000 allowed"),
    "no rows": ({"Rows": 0}, "empty image"),
    "depth": ({"BitsAllocated": 32}, "32 bits a pixel"),
    "window": ({"WindowCenter": 60_000, "WindowWidth": 10}, "leaves one grey value"),
    "short": ({"Rows": 49}, "damaged DICOM file"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused(dicom, kind):
    elements, reason = REFUSED[kind]
    with pytest.raises(ImageError, match=rf"^a\.dcm: .*{reason}"):
        read_image(resized(dicom(RAMP), **elements), name="a.dcm")


def test_an_unknown_compression(dicom):
    def change(dataset):
        dataset.PixelData = encapsulate([bytes(100)])
        dataset.file_meta.TransferSyntaxUID = uid.HEVCMP51

    with pytest.raises(ImageError, match="compression that is not supported"):
        read_image(altered(dicom(RAMP), change))


@pytest.mark.filterwarnings("ignore::kia.imaging.reading.ImageWarning")
def test_no_text_of_the_header_gets_out(dicom, caplog, capfd):
    """A name where numbers and codes should be, with everything that pydicom says about it."""
    name = b"DOE^JANE"
    places = {
        "WindowCenter": "12345678",
        "RescaleSlope": "12345678",
        "Modality": "CT345678",
        "BodyPartExamined": "LEG45678",
        "PhotometricInterpretation": "12345678",
        "VOILUTFunction": "12345678",
    }
    caplog.set_level(logging.DEBUG)
    said = ""
    for element, value in places.items():
        extra = {"WindowWidth": "99"} | {"RescaleIntercept": "0", element: value}
        data = dicom(RAMP, PatientName="DOE^JANE", **extra).replace(value.encode(), name)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                read_image(data, name="a.dcm")
            except ImageError as error:
                said += f"{error} {error.__cause__}\n"
        said += " ".join(str(w.message) for w in caught)
    said += caplog.text + "".join(capfd.readouterr())
    assert "damaged" in said
    assert "Modality" in said
    assert "DOE" not in said
    assert "JANE" not in said


def test_jpeg_2000_in_the_boxes_of_jp2(dicom):
    buffer = io.BytesIO()
    Image.fromarray((RAMP >> 4).astype(np.uint8)).save(buffer, "JPEG2000")
    assert buffer.getvalue()[4:8] == b"jP  "

    def swap(dataset):
        dataset.PixelData = encapsulate([buffer.getvalue()])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = uid.JPEG2000

    data = altered(dicom((RAMP >> 4).astype(np.uint8)), swap)
    np.testing.assert_allclose(read_image(data), STRETCHED, atol=2)
