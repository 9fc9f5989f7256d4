"""DICOM data sets in memory, as pydicom reads them or pynetdicom receives them."""

import io
from copy import copy
from typing import Any

import pydicom
from pydicom import uid

from kia.errors import ImageError
from kia.imaging.dicom.header import quiet


def file_of(dataset: Any, name: str) -> bytes:
    """The content of the file that a data set would be; the data set is not changed.

    Without a transfer syntax (a data set that was received, or made) its pixels count as
    uncompressed.

    Args:
        dataset: Of pydicom.
        name: What to call it in errors.

    Raises:
        ImageError: It cannot be written.
    """
    # pydicom settles ambiguous types of elements in place while it writes
    whole = pydicom.Dataset({tag: copy(dataset.get_item(tag)) for tag in dataset.keys()})  # noqa: SIM118
    meta = pydicom.dataset.FileMetaDataset(getattr(dataset, "file_meta", None) or {})
    if "TransferSyntaxUID" not in meta:
        implicit, little = dataset.original_encoding
        plain = uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian
        meta.TransferSyntaxUID = uid.ExplicitVRBigEndian if little is False else plain
    whole.file_meta, whole.preamble = meta, b"\0" * 128
    file = io.BytesIO()
    try:
        with quiet():
            pydicom.dcmwrite(file, whole, enforce_file_format=False)
    except Exception as error:  # pydicom raises anything; its text may quote the header
        kind = type(error).__name__
        raise ImageError(f"{name}: this DICOM data set cannot be written ({kind})") from None
    return file.getvalue()
