"""Radiographs as a PACS exports them: files for the tests that read folders and headers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

UIDS = {
    "A": "1.2.826.0.1.3680043.9.1",
    "B": "1.2.826.0.1.3680043.9.2",
    "C": "1.2.826.0.1.3680043.9.3",
}

# PS3.16 CID 4010 "DX View": SCT codes of 2024d, the SRT ids beside them (PA: of 2003 to 2010), and
# as in dcm4che's code.DXView; the meaning is deliberately empty, so that the code alone can tell
CODES = {
    "frontal": [
        *(("399033003", "SCT"), ("399348003", "SCT"), ("272479007", "SCT")),
        *(("R-10202", "SRT"), ("R-10206", "SRT"), ("R-10214", "SRT"), ("R-40888", "SRT")),
        ("R-10214", "SNM3"),
    ],
    "lateral": [
        *(("399067008", "SCT"), ("399173006", "SCT"), ("399198007", "SCT")),
        *(("R-102CD", "SRT"), ("R-10236", "SRT"), ("R-10232", "SRT")),
    ],
}


def coded(value: str, scheme: str, meaning: str = "") -> list[Any]:
    """A code sequence of one item."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return [item]


def radiograph(dicom: Callable[..., bytes], seed: int, **elements: Any) -> bytes:
    """A DICOM file of 70 × 70 random pixels, a CR unless told otherwise."""
    pixels = np.random.default_rng(seed).integers(0, 255, (70, 70), np.uint8)
    return dicom(pixels, **({"Modality": "CR", "SOPInstanceUID": f"1.2.3.{seed}"} | elements))


def bare(data: bytes) -> bytes:
    """The same file without preamble and file meta information, as old archives hold them."""
    import io

    import pydicom

    dataset = pydicom.dcmread(io.BytesIO(data))
    file = io.BytesIO()
    pydicom.dcmwrite(file, pydicom.Dataset(dataset), implicit_vr=True, little_endian=True)
    return file.getvalue()


def write_tree(folder: Path, dicom: Callable[..., bytes]) -> None:
    """A PACS export: patient/study/series/instance, names without extension, and a DICOMDIR.

    Of patient 4711 a study with a hand series first, then a lateral and a PA chest; of patient 4712
    a chest whose view only the code names, in two folders; a CT; and a text that is no image.
    """
    chest = {"BodyPartExamined": "CHEST"}
    first = {"PatientID": "4711", "StudyInstanceUID": UIDS["A"]}
    second = {"PatientID": "4712", "StudyInstanceUID": UIDS["B"]}
    files = {
        "PAT1/ST1/SE1/1.2.9.1": first | {"BodyPartExamined": "HAND", "ViewPosition": "PA"},
        "PAT1/ST1/SE2/1.2.9.2": first | chest | {"ViewPosition": "LL"},
        "PAT1/ST1/SE3/1.2.9.3": first | chest | {"ViewPosition": "PA"},
        "PAT2/ST1/SE1/IM000001": second | chest | {"ViewCodeSequence": coded("R-10236", "SRT")},
        "PAT2/ST9/SE2/IM000002": second | chest | {"ViewCodeSequence": coded("399348003", "SCT")},
        "PAT2/ST2/SE1/IM000003.IMA": {
            "PatientID": "4712", "StudyInstanceUID": UIDS["C"], "Modality": "CT", **chest
        },
    }  # fmt: skip
    for seed, (name, elements) in enumerate(files.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(radiograph(dicom, seed, **elements))
    (folder / "DICOMDIR").write_bytes(radiograph(dicom, 99)[:200])
    (folder / "README").write_text("exported on a Monday")
