"""DICOM pixels as the reference program shows them: dcm2pnm of dcmtk, within one grey value.

What it cannot read (JPEG 2000, JPEG-LS, encapsulated uncompressed) it is given uncompressed.
"""

import io
import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from kia.errors import ImageError
from kia.imaging.reading import read_image
from kia.imaging.resize import resize_square

RAMP = np.tile(np.arange(64, dtype=np.uint16) * 64, (48, 1))  # 12 bits: 0 … 4032
SIGNED = (RAMP.astype(np.int16) - 2048).astype(np.int16)  # −2048 … 1984
IMPLICIT, EXPLICIT = uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian
PACKED = ("JPEG2000Lossless", "JPEGLSLossless", "JPEGLosslessProcess14_1", "RLELossless")


@pytest.fixture
def dcm2pnm(tmp_path):
    """Shown values of a file, 16 bits; without options neither window nor VOI table."""
    if shutil.which("dcm2pnm") is None:
        pytest.skip("needs dcm2pnm: apt-get install dcmtk")

    def show(data: bytes, *options: str) -> np.ndarray:
        source, shown = tmp_path / "in.dcm", tmp_path / "out.png"
        source.write_bytes(data)
        command = ["dcm2pnm", *(options or ["-W"]), "+on2", source, shown]
        done = subprocess.run(command, capture_output=True, text=True)
        assert not done.returncode, done.stderr
        assert not done.stderr, done.stderr  # an element that it ignores is no reference
        return np.array(Image.open(shown), float)

    return show


def stretched(values: np.ndarray) -> np.ndarray:
    return (values - values.min()) * (255 / (values.max() - values.min()))


def agree(data: bytes, shown: np.ndarray) -> None:
    """Within one grey value; dcm2pnm keeps the range that could be, kia stretches that in use."""
    np.testing.assert_allclose(read_image(data), stretched(shown), atol=1)


def changed(data: bytes, syntax: str = EXPLICIT, **elements) -> bytes:
    """The same file with other elements, none of them checked, and perhaps in Implicit VR."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    for name, value in elements.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    if dataset.file_meta.TransferSyntaxUID == EXPLICIT:
        dataset.file_meta.TransferSyntaxUID = uid.UID(syntax)
    buffer = io.BytesIO()
    implicit = dataset.file_meta.TransferSyntaxUID == IMPLICIT
    dataset.save_as(buffer, implicit_vr=implicit, little_endian=True)
    return buffer.getvalue()


def table(first: int, entries: np.ndarray, vr: str = "US", data_vr: str = "OW") -> Sequence:
    """A look-up table; the first value and the entries are written in any VR, as devices do."""
    item = Dataset()
    words = [len(entries) % 65536, first % 65536, 8 * entries.itemsize]
    signed = [word - 65536 if word > 32767 else word for word in words]
    item.add_new("LUTDescriptor", vr, signed if vr == "SS" else words)
    data = entries.tobytes()
    kind = {"US": "<u2", "SS": "<i2"}.get(data_vr)
    item.add_new("LUTData", data_vr, np.frombuffer(data, kind).tolist() if kind else data)
    return Sequence([item])


def curve(entries: int) -> np.ndarray:
    return (np.linspace(0, 1, entries) ** 2 * 65535).astype("<u2")


# --- bits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("high", [12, 13, 15])
@pytest.mark.parametrize("values", [RAMP, SIGNED], ids=["unsigned", "signed"])
def test_the_high_bit_may_lie_anywhere(dicom, dcm2pnm, values, high):
    """PS3.5 8.1.1: 12 bits in a cell of 16, at its top, or between; what is below is garbage."""
    shift = high - 11
    words = (values << shift) | ((1 << shift) - 1)
    data = changed(dicom(words.astype(values.dtype)), BitsStored=12, HighBit=high)
    agree(data, dcm2pnm(data))
    plain = stretched(values.astype(float))
    np.testing.assert_allclose(read_image(data), plain, atol=0.01)


@pytest.mark.parametrize("high", [None, 10, 16])
def test_a_high_bit_that_cannot_be_is_taken_for_the_usual_one(dicom, high):
    """dcm2pnm refuses these files; the pixels are at the bottom of their cells."""
    data = changed(dicom(RAMP), BitsStored=12, HighBit=high)
    np.testing.assert_allclose(read_image(data), stretched(RAMP.astype(float)), atol=0.01)


OVERLAY = (np.indices(RAMP.shape)[0] % 2 << 15).astype(np.uint16)  # a bit above those stored


@pytest.mark.parametrize("syntax", PACKED)
@pytest.mark.parametrize("values", [RAMP, SIGNED], ids=["unsigned", "signed"])
def test_bits_above_those_stored_do_not_count_after_any_decoder(
    dicom, compress, dcm2pnm, values, syntax
):
    """An overlay in bit 15 is compressed with the pixels; PS3.5 8.1.1 gives it no meaning."""
    words = (values.view(np.uint16) & 0x0FFF) | OVERLAY
    header = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": int(values is SIGNED)}
    plain = changed(dicom(words), **header)
    packed = changed(compress(dicom(words), syntax), **header)
    assert pydicom.dcmread(io.BytesIO(packed)).file_meta.TransferSyntaxUID.is_compressed
    shown = dcm2pnm(plain)
    agree(plain, shown)
    agree(packed, shown)


@pytest.mark.parametrize("syntax", PACKED)
@pytest.mark.parametrize("values", [RAMP, SIGNED], ids=["unsigned", "signed"])
def test_high_aligned_pixels_in_any_compression(dicom, compress, dcm2pnm, values, syntax):
    """All 16 bits of the cells are compressed."""
    words = (values.astype(np.int32) * 16).astype(np.uint16)
    header = {"BitsStored": 12, "HighBit": 15, "PixelRepresentation": int(values is SIGNED)}
    shown = dcm2pnm(changed(dicom(words), **header))
    agree(changed(compress(dicom(words), syntax), **header), shown)


@pytest.mark.parametrize("syntax", PACKED[:3])
def test_a_codestream_of_the_stored_bits_is_not_shifted(dicom, compress, dcm2pnm, syntax):
    """It has 12 bits of its own, so the header's HighBit speaks of cells that are gone."""
    data = dicom(RAMP, BitsStored=12)
    agree(changed(compress(data, syntax), HighBit=15), dcm2pnm(data))


@pytest.mark.parametrize("parts", [1, 3])
def test_encapsulated_uncompressed(dicom, dcm2pnm, parts):
    """PS3.5 A.4.11: the fragments of a frame, one after the other, are its pixels."""
    plain = dicom(RAMP[:47, :63], BitsStored=12, WindowCenter=1500, WindowWidth=900)
    dataset = pydicom.dcmread(io.BytesIO(plain))
    dataset.PixelData = encapsulate([dataset.PixelData], fragments_per_frame=parts)
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = uid.UID("1.2.840.10008.1.2.1.98")
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    agree(buffer.getvalue(), dcm2pnm(plain, "+Wi", "1"))


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("bits", [8, 12])
def test_big_endian_and_odd_lengths(dicom, dcm2pnm, photometric, bits):
    pixels = RAMP[:47, :63] if bits > 8 else (RAMP[:47, :63] >> 4).astype(np.uint8)
    data = dicom(pixels, photometric, BitsStored=bits)
    dataset = pydicom.dcmread(io.BytesIO(data))
    dataset.PixelData = pixels.astype(f">u{pixels.itemsize}").tobytes()
    dataset["PixelData"].VR = "OW" if bits > 8 else "OB"
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRBigEndian
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, implicit_vr=False, little_endian=False)
    agree(buffer.getvalue(), dcm2pnm(buffer.getvalue()))


# --- tables ---------------------------------------------------------------------------------

RESCALED = {"RescaleSlope": 1, "RescaleIntercept": -2048, "RescaleType": "US"}
RAISED = {"RescaleSlope": 1, "RescaleIntercept": 32768, "RescaleType": "US"}
FIRST = {
    "below zero after a rescale": (RAMP, RESCALED, -1000, 3000),
    "below zero, values above": ((RAMP >> 1) + 2048, RESCALED, -1000, 4000),
    "large, signed pixels raised": (SIGNED << 4, RAISED, 40_000, 20_000),
    "below zero, signed pixels": (SIGNED << 4, {}, -9000, 20_000),
    "below zero, signed pixels all above": ((RAMP >> 1).astype(np.int16), {}, -1000, 4000),
    "large, unsigned pixels": (RAMP << 4, {}, 40_000, 20_000),
    "32,768 entries": (SIGNED << 4, {}, -20_000, 32_768),
    "40,000 entries": (SIGNED << 4, {}, -20_000, 40_000),
    "65,536 entries": (SIGNED << 4, {}, -32_768, 65_536),
}


@pytest.mark.parametrize("vr", ["US", "SS"])
@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT], ids=["implicit", "explicit"])
@pytest.mark.parametrize("name", FIRST)
def test_first_value_and_length_of_a_voi_table(dicom, dcm2pnm, name, syntax, vr):
    """PS3.3 C.11.2.1.1: the range that enters the table says whether the first value is signed."""
    pixels, rescale, first, entries = FIRST[name]
    bits = 12 if pixels.max() < 4096 else 16
    if vr == "SS" and entries > 32_767:
        vr = "US"  # pydicom writes no negative length; in Implicit VR no VR is written anyway
    luts = table(first, curve(entries), vr)
    data = changed(dicom(pixels, BitsStored=bits, **rescale), syntax, VOILUTSequence=luts)
    agree(data, dcm2pnm(data, "+Wl", "1"))


@pytest.mark.parametrize("vr", ["US", "SS"])
@pytest.mark.parametrize(
    ("pixels", "first"), [(SIGNED, -2048), (SIGNED, -300), (RAMP << 4, 40_000)]
)
def test_first_value_of_a_modality_table(dicom, dcm2pnm, pixels, first, vr):
    """PS3.3 C.11.1.1: signed as the pixels are."""
    luts = table(first, curve(4096), vr)
    data = changed(dicom(pixels), ModalityLUTSequence=luts)
    agree(data, dcm2pnm(data))


def test_a_voi_table_after_a_modality_table_takes_unsigned_values(dicom, dcm2pnm):
    """PS3.3 C.11.2.1.1: US otherwise; the pixels are signed, what leaves the first table is not."""
    luts = {
        "ModalityLUTSequence": table(-2048, curve(4096), "SS"),
        "VOILUTSequence": table(35_000, curve(20_000)),
    }
    data = changed(dicom(SIGNED, BitsStored=12), **luts)
    agree(data, dcm2pnm(data, "+Wl", "1"))


@pytest.mark.parametrize("kind", ["ModalityLUTSequence", "VOILUTSequence"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_table_entries_are_unsigned_whatever_their_vr(dicom, dcm2pnm, kind, photometric):
    """PS3.3 C.11.1.1; dcm2pnm passes over entries in SS, so it is shown the same ones in US."""
    data = dicom(RAMP, photometric, BitsStored=12)
    as_us, as_ss = (
        changed(data, **{kind: table(0, curve(4096), data_vr=vr)}) for vr in ("US", "SS")
    )
    shown = dcm2pnm(as_us, *([] if kind.startswith("Mod") else ["+Wl", "1"]))
    agree(as_us, shown)
    agree(as_ss, shown)


@pytest.mark.parametrize("vr", ["US", "OW"])
@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT], ids=["implicit", "explicit"])
@pytest.mark.parametrize("entries", [4096, 4095])
def test_entries_of_8_bits_two_a_word(dicom, dcm2pnm, vr, syntax, entries):
    luts = table(0, (curve(4096) >> 8).astype("u1"), data_vr=vr)
    luts[0].LUTDescriptor = [entries, 0, 8]
    data = changed(dicom(RAMP, BitsStored=12), syntax, VOILUTSequence=luts)
    agree(data, dcm2pnm(data, "+Wl", "1"))


def test_a_table_that_ends_early(dicom, dcm2pnm):
    """Its last entry goes on."""
    luts = table(0, curve(1000))
    whole = changed(dicom(RAMP, BitsStored=12), VOILUTSequence=luts)
    shown = dcm2pnm(whole, "+Wl", "1")
    luts[0].LUTDescriptor = [4096, 0, 16]
    agree(changed(whole, VOILUTSequence=luts), shown)


# --- rescale, windows, padding --------------------------------------------------------------


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("center", [1984, 1984.5, 1985, 2000])
def test_a_window_of_one_is_a_step(dicom, dcm2pnm, photometric, center):
    """PS3.3 C.11.2.1.2.1: black up to the centre − 0.5, white beyond."""
    data = dicom(RAMP, photometric, BitsStored=12, WindowCenter=center, WindowWidth=1)
    agree(data, dcm2pnm(data, "+Wi", "1"))


@pytest.mark.parametrize("pixels", [RAMP, SIGNED], ids=["unsigned", "signed"])
@pytest.mark.parametrize(
    "window",
    [
        {"WindowCenter": 2000, "WindowWidth": 1.5},
        {"WindowCenter": 2000, "WindowWidth": 2},
        {"WindowCenter": [2000, 40], "WindowWidth": [1500, 80]},
        {"WindowCenter": 2000, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"},
    ],
)
@pytest.mark.parametrize(("slope", "intercept"), [(1, 1000), (-0.7, 3000)])
def test_windows(dicom, dcm2pnm, pixels, window, slope, intercept):
    rescale = {"RescaleSlope": slope, "RescaleIntercept": intercept, "RescaleType": "US"}
    data = dicom(pixels, BitsStored=12, **window, **rescale)
    agree(data, dcm2pnm(data, "+Wi", "1"))


@pytest.mark.parametrize("missing", ["RescaleSlope", "RescaleIntercept"])
def test_half_a_rescale_is_none(dicom, dcm2pnm, missing):
    rescale = {"RescaleSlope": 3, "RescaleIntercept": -500, "RescaleType": "US"}
    data = dicom(RAMP, BitsStored=12, WindowCenter=1500, WindowWidth=900, **rescale)
    data = changed(data, **{missing: None})
    agree(data, dcm2pnm(data, "+Wi", "1"))


def test_a_rescale_by_nothing_is_none(dicom, dcm2pnm):
    """dcm2pnm warns of it and does the same as without."""
    window = {"BitsStored": 12, "WindowCenter": 1500, "WindowWidth": 900}
    shown = dcm2pnm(dicom(RAMP, **window), "+Wi", "1")
    agree(dicom(RAMP, RescaleSlope=0, RescaleIntercept=5, RescaleType="US", **window), shown)


PADDING = {
    "US on signed pixels": (SIGNED, 16, "US", 63_536, -2000),
    "SS on unsigned pixels": (RAMP << 4, 16, "SS", -536, 65_000),
    "SS on 12 unsigned bits": (RAMP, 12, "SS", -1, 4095),
    "12 bits of a negative value": (SIGNED, 12, "US", 2148, -1948),
    "right": (SIGNED, 16, "SS", -2000, -2000),
}


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT], ids=["implicit", "explicit"])
@pytest.mark.parametrize("name", PADDING)
def test_padding_in_the_wrong_vr(dicom, dcm2pnm, name, syntax):
    """PS3.3 C.7.5.1.1.2: no part of the picture; dcm2pnm is shown the picture without it."""
    pixels, bits, vr, written, meant = PADDING[name]
    pixels = np.clip(pixels, meant + 100 if meant < 0 else None, meant - 100 if meant > 0 else None)
    shown = dcm2pnm(dicom(pixels, BitsStored=bits))
    padded = pixels.copy()
    padded[:6] = meant
    padded[:6, 1:9] = meant + (5 if written != -1 else 0)
    dataset = pydicom.dcmread(io.BytesIO(dicom(padded, BitsStored=bits)))
    dataset.add_new("PixelPaddingValue", vr, written)
    dataset.add_new("PixelPaddingRangeLimit", vr, written + 5 if written != -1 else -1)
    buffer = io.BytesIO()
    dataset.file_meta.TransferSyntaxUID = uid.UID(syntax)
    dataset.save_as(buffer, implicit_vr=syntax == IMPLICIT, little_endian=True)
    grey = read_image(buffer.getvalue())
    assert grey[:6].max() == 0
    np.testing.assert_allclose(grey[6:], stretched(shown)[6:], atol=1)


# --- all of it together ----------------------------------------------------------------------


def drawn(rng: np.random.Generator) -> tuple[Dataset, str]:
    """A header with pixels at random, and the option that shows it."""
    cell = int(rng.choice([8, 16]))
    bits = int(rng.integers(cell // 2, cell + 1))
    header = Dataset()
    header.BitsStored, header.HighBit = bits, int(rng.integers(bits - 1, cell))
    header.PixelRepresentation = int(rng.integers(2))
    header.PhotometricInterpretation = str(rng.choice(["MONOCHROME1", "MONOCHROME2"]))
    header.PixelData = rng.integers(0, 1 << cell, (13, 9)).astype(f"u{cell // 8}").tobytes()
    header.BitsAllocated = cell
    low = -(1 << bits - 1) if header.PixelRepresentation else 0
    high = low + (1 << bits) - 1
    if rng.random() < 0.5:  # whole slopes: dcm2pnm cuts decimals off
        slope, intercept = int(rng.choice([1, 2, -1])), int(rng.integers(-3000, 3000))
        header.RescaleSlope, header.RescaleIntercept = slope, intercept
        header.RescaleType = "US"
        low, high = sorted((low * slope + intercept, high * slope + intercept))
    kind = rng.choice(["-W", "+Wi", "+Wl"])
    if kind == "+Wi":
        header.WindowCenter = f"{rng.uniform(low, high):.1f}"
        header.WindowWidth = f"{rng.choice([1, 2, (high - low) // 3 + 2]):.1f}"
    elif kind == "+Wl" and low >= -32_768 and high < (32_768 if low < 0 else 65_536):
        entries = int(rng.choice([256, 4096, 40_000, 65_536]))
        first = int(rng.integers(low, max(low + 1, high - entries // 2)))
        header.VOILUTSequence = table(first, curve(entries))
    else:
        kind = "-W"
    return header, kind


@pytest.mark.parametrize("seed", range(20))
def test_any_header(dicom, dcm2pnm, seed):
    rng = np.random.default_rng(seed)
    header, kind = drawn(rng)
    dataset = pydicom.dcmread(io.BytesIO(dicom(np.zeros((13, 9), np.uint16))))
    dataset.update(header)
    dataset["PixelData"].VR = "OW"
    dataset.file_meta.TransferSyntaxUID = syntax = uid.UID(str(rng.choice([IMPLICIT, EXPLICIT])))
    buffer = io.BytesIO()
    dataset.save_as(buffer, implicit_vr=syntax == IMPLICIT, little_endian=True)
    shown = dcm2pnm(buffer.getvalue(), *([kind] if kind == "-W" else [kind, "1"]))
    if np.ptp(shown):
        agree(buffer.getvalue(), shown)
    else:
        with pytest.raises(ImageError, match="leaves one grey value"):
            read_image(buffer.getvalue())


# --- shape ----------------------------------------------------------------------------------

RATIOS = {
    "ratio": {"PixelAspectRatio": [1, 2]},
    "ratio, higher": {"PixelAspectRatio": [3, 1]},
    "spacing": {"PixelSpacing": [0.15, 0.3]},
    "imager": {"ImagerPixelSpacing": [0.3, 0.1]},
    "scanned": {"NominalScannedPixelSpacing": [0.1, 0.17]},
    "spacing and ratio": {"PixelSpacing": [0.2, 0.2], "PixelAspectRatio": [1, 2]},
    "spacing and imager": {"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.1, 0.2]},
    "ratio of one": {"PixelAspectRatio": [1, 1]},
}


@pytest.mark.parametrize("name", RATIOS)
def test_pad_keeps_the_true_shape(dicom, dcm2pnm, tmp_path, name):
    """dcm2pnm scales one side and reckons the other from the shape of the pixels."""
    from kia.imaging.workers import load_study
    from kia.studies import Study, StudyImage

    data = dicom(np.full_like(RAMP, 4000) + (RAMP >> 6), BitsStored=12, **RATIOS[name])
    longer, side = "+Syv", 96
    height, width = dcm2pnm(data, "-W", longer, str(side)).shape
    if width > side:
        longer = "+Sxv"
        height, width = dcm2pnm(data, "-W", longer, str(side)).shape
    (tmp_path / "a.dcm").write_bytes(data)
    study = Study("s", "train", (StudyImage(str(tmp_path / "a.dcm"), "frontal"),), "")
    pixels = load_study(study, side, "pad").pixels[0]
    rows, columns = pixels[:, pixels.any(0)].any(1).sum(), pixels.any(0).sum()
    assert abs(rows - height) <= 1
    assert abs(columns - width) <= 2  # the darkest column of the ramp is black
    squashed = load_study(study, side).pixels[0]
    np.testing.assert_array_equal(squashed, resize_square(read_image(data), side))
