"""What a file is, its first bytes say."""

import struct

import pytest

from kia.imaging.signatures import HEAD, kind_of

PART_10 = bytes(128) + b"DICM"


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (PART_10, "", "dicom"),
        (PART_10, "x.png", "dicom"),
        (b"\x89PNG\r\n\x1a\n", "x.dcm", "picture"),
        (b"\xff\xd8\xff\xe0", "x", "picture"),
        # PS3.5 7.1: implicit VR (tag, length), explicit VR (tag, VR, length), either byte order
        (struct.pack("<HHI", 0x0008, 0x0005, 10), "", "dicom"),
        (struct.pack("<HHI", 0x0008, 0x0000, 4), "", "dicom"),
        (struct.pack("<HH2sH", 0x0008, 0x0016, b"UI", 26), "", "dicom"),
        (struct.pack(">HH2sH", 0x0008, 0x0016, b"UI", 26), "", "dicom"),
        (struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, 200), "", "dicom"),
        (struct.pack("<HHI", 0x0008, 0x0005, 1 << 20), "", None),
        (struct.pack("<HHI", 0x0010, 0x0010, 10), "", None),
        (b"", "x.dcm", "dicom"),
        (b"", "x.IMA", "dicom"),
        (b"", "x", None),
        (b"GIF89a..", "x.gif", None),
        (b"II*\x00\x08\x00\x00\x00", "x.tif", None),
        (b"MM\x00*\x00\x00\x00\x08", "x.tif", None),
        (b"no image", "notes.txt", None),
        (b"%PDF-1.7", "x", None),
        (b"PK\x03\x04\x14\x00\x08\x00", "x.zip", None),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "x.gz", None),
    ],
)
def test_bytes_decide_and_names_only_where_they_do_not(head, name, kind):
    assert kind_of(head.ljust(HEAD, b"\0") if head in (PART_10,) else head, name) == kind
