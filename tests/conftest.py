"""Set-up shared by all tests; DICOM files made to order."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test downloads
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("KIA_PATIENT_KEY", "of the tests")  # none is written to the home folder

ROOT = Path(__file__).resolve().parent.parent

KiaCommand = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def iu_xray() -> Path:
    """The real IU X-Ray folder; tests that ask for it are skipped where it is not."""
    folder = Path(os.environ.get("KIA_IU_XRAY", ROOT.parent / "shared" / "data" / "iu_xray"))
    if not (folder / "annotation.json").is_file():
        pytest.skip("needs IU X-Ray: set KIA_IU_XRAY to its folder")
    return folder


@pytest.fixture
def kia_command(capfd: pytest.CaptureFixture[str]) -> KiaCommand:
    """Runs `kia WORDS…` in this process; returns the exit code, stdout and stderr."""
    from kia.cli.main import main

    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(words)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def stub_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding processes do what the names of files say: tests/imaging/stub_decoder.py."""
    monkeypatch.syspath_prepend(ROOT / "tests" / "imaging")
    monkeypatch.setattr("kia.imaging.decoding.WORK", "stub_decoder:work")


def make_dicom(pixels: np.ndarray, photometric: str = "MONOCHROME2", **elements) -> bytes:
    """An uncompressed DICOM file of (H, W) or (H, W, 3) pixels; further elements by keyword."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["kia"])
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = dataset.BitsStored = pixels.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(dataset, name, value)
        if name == "BitsStored":
            dataset.HighBit = value - 1
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def compress_dicom(data: bytes, syntax: str, folder: Path) -> bytes:
    """The same file in another transfer syntax (GDCM's name of it), compressed by GDCM."""
    import gdcm

    raw, done = folder / "raw.dcm", folder / "compressed.dcm"
    raw.write_bytes(data)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(raw))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(done))
    assert writer.Write()
    return done.read_bytes()


@pytest.fixture(scope="session")
def dicom():
    return make_dicom


@pytest.fixture
def compress(tmp_path):
    return lambda data, syntax: compress_dicom(data, syntax, tmp_path)
