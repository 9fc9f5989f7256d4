"""What a file is, by its first bytes: DICOM with or without a preamble, PNG or JPEG."""

import struct
from typing import Literal

Kind = Literal["dicom", "picture"]

HEAD = 140
"""Bytes that tell."""
DICOM_NAMES = (".dcm", ".dicom", ".dic", ".ima")
"""Endings that say DICOM where the bytes say nothing."""
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")  # PNG, JPEG
_VRS = {b"UL", b"OB", b"UI", b"SH", b"AE", b"CS", b"DA", b"TM", b"DT", b"LO", b"SQ", b"ST", b"PN"}
_LONGEST = 1024  # bytes of a first element; a UID has 64


def kind_of(head: bytes, name: str = "") -> Kind | None:
    """What a file is.

    Args:
        head: Its first `HEAD` bytes.
        name: Counts only where the bytes say nothing.

    Returns:
        None for what is neither PNG, JPEG nor DICOM.
    """
    if head[128:132] == b"DICM":
        return "dicom"
    if head.startswith(_PICTURES):
        return "picture"
    if _starts_a_data_set(head) or name.lower().endswith(DICOM_NAMES):
        return "dicom"
    return None


def _starts_a_data_set(head: bytes) -> bool:
    """Whether a file begins with an element of group 0002 or 0008, as DICOM before PS3.10 does."""
    if len(head) < 8:
        return False
    for order in "<>":
        group, element, length = struct.unpack(f"{order}HHI", head[:8])
        if group in (0x0002, 0x0008) and element < 0x0100:
            return head[4:6] in _VRS or (length <= _LONGEST and length % 2 == 0)
    return False
