"""Unmistakable words that stand for personal data, files that hold them, and how to find them."""

import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

HEADER, FILE, REPORT, ID, PATIENT = (
    f"zqx{kind}" for kind in ("header", "file", "report", "name", "patient")
)
CANARIES = (HEADER, FILE, REPORT, ID, PATIENT)
SENT = "zqxsent"
"""In queries, headers, fields and file names of a client."""


def found(content: bytes | str) -> set[str]:
    """The words in a text or file, folded or not, in any case."""
    raw = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    plain = raw.lower()
    folded = re.sub(rb"[\s\x00]+", b"", plain) if len(raw) < 1 << 22 else b""  # also UTF-16
    words = (*CANARIES, SENT)
    return {one for one in words if one.encode() in plain or one.encode() in folded}


def write_images(folder: Path, make_dicom: Callable[..., bytes]) -> None:
    """DICOM files of one study, PNG and JPEG; and damaged ones."""
    pixels = np.random.default_rng(0).integers(0, 4096, (40, 40), np.uint16)
    names = ("PatientName", "PatientID", "AccessionNumber", "InstitutionName", "StudyDescription")
    names += ("ReferringPhysicianName", "PatientComments", "ImageComments", "SeriesDescription")
    tags = {name: f"{HEADER}^{name}"[:60] for name in names}
    tags |= {"StudyInstanceUID": "1.2.3", "Modality": "DX", "BitsStored": 12}
    frontal = make_dicom(pixels, **tags, ViewPosition="PA")
    (folder / "zqxfile-1.dcm").write_bytes(frontal)
    (folder / "zqxfile-2.dcm").write_bytes(make_dicom(pixels, **tags, ViewPosition="LL"))
    (folder / "zqxfile-bad.dcm").write_bytes(frontal[: len(frontal) // 2])
    (folder / "zqxfile-odd.dcm").write_bytes(odd(frontal))
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", HEADER)
    text.add_text(HEADER, HEADER, zip=True)
    picture = Image.fromarray((pixels >> 4).astype(np.uint8))
    picture.save(folder / "zqxfile-3.png", pnginfo=text, exif=exif())
    picture.save(folder / "zqxfile-4.jpg", comment=HEADER.encode(), exif=exif())
    whole = (folder / "zqxfile-4.jpg").read_bytes()
    (folder / "zqxfile-5.jpg").write_bytes(whole[: len(whole) - 300])


def exif() -> Image.Exif:
    told = Image.Exif()
    told[0x010E] = told[0x013B] = HEADER  # description, artist
    return told


def odd(frontal: bytes) -> bytes:
    """Text where numbers belong: what reads it wants to quote it."""
    at = frontal.index(b"\x28\x00\x10\x00US")  # Rows, 2 bytes
    text = f"{HEADER}!".encode()
    value = bytes([len(text), 0]) + text
    return frontal[:at] + b"\x28\x00\x10\x00IS" + value + frontal[at + 10 :]


class Writes:
    """Every file that this process opens for writing, also those that it deletes again."""

    def __init__(self) -> None:
        self.paths: set[str] | None = None
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.paths is None or event != "open":
            return
        path, _, flags = arguments
        if isinstance(path, str | bytes) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            self.paths.add(os.path.realpath(os.fsdecode(path)))

    def of(self, action: Callable[[], Any], below: Path) -> tuple[Any, list[Path]]:
        """What an action gives, and the files that it wrote to elsewhere than below a folder."""
        self.paths = set()
        try:
            return action(), [one for one in map(Path, sorted(self.paths)) if _strange(one, below)]
        finally:
            self.paths = None


def _strange(path: Path, below: Path) -> bool:
    """Whether a file is none of the test's, of the system and of Python."""
    own = path.is_relative_to(below) or str(path).startswith(("/dev/", "/proc/"))
    return not own and path.suffix != ".pyc"


def content(files: Iterable[Path]) -> set[str]:
    """Words in the names and contents of files."""
    seen: set[str] = set()
    for file in files:
        seen |= found(file.name)
        if file.is_file() and not file.is_symlink():
            seen |= found(file.read_bytes())
    return seen


def personal(text: str) -> list[str]:
    """Lines of a text that hold one of the words."""
    return [line for line in text.splitlines() if found(line)]
