"""The key with which ids are hashed: it stays outside the data set and is stored nowhere in it."""

import hashlib
import hmac
from dataclasses import replace
from pathlib import Path

from kia.errors import DataError
from kia.studies import Study

LEAST_BYTES = 32
"""A shorter key could be guessed (NIST SP 800-107: as long as the hash)."""
HOW_TO_MAKE = 'python -c "import secrets; print(secrets.token_hex(32))" > FILE'
_LEAST_DIFFERENT = 8  # bytes; a key drawn at random has more, a word typed again and again has not
_MOST_BYTES = 4096
_HEX_DIGITS = 32  # of a name: 128 bits


class Pseudonyms:
    """Names that stand for ids: HMAC-SHA256 (RFC 2104) under a key, cut to 128 bits.

    Whoever has the key can tell the pseudonym of an id; nobody else can lead one to the other.

    Args:
        key: As `read_key` gives it.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, kind: str, name: str) -> str:
        """The pseudonym, 32 hexadecimal digits.

        Args:
            kind: "study", "patient", "image" …: equal names of two kinds have two pseudonyms.
            name: The id.
        """
        text = f"{kind}:{name}".encode("utf-8", "surrogatepass")
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()[:_HEX_DIGITS]

    def of_image(self, study: str, path: str) -> str:
        """The pseudonym of an image: that of its study's id and its file name."""
        return self.of("image", f"{study}/{Path(path).name}")

    def of_study(self, study: Study) -> Study:
        """The study with pseudonyms for its id, its patient and its images.

        That of an image depends on its study and file name, not on the folder it lies in.
        """
        images = tuple(
            replace(image, path=self.of_image(study.id, image.path)) for image in study.images
        )
        patient = None if study.patient is None else self.of("patient", study.patient)
        return replace(study, id=self.of("study", study.id), patient=patient, images=images)


def read_key(path: Path, outside: Path | None = None) -> bytes:
    """The key in a file, without space at its ends.

    Args:
        path: Holds 32 bytes or more, drawn at random (`HOW_TO_MAKE`).
        outside: A folder in which the file must not lie: that of the data set.

    Raises:
        DataError: The file is missing, no file, too short, or repeats itself; or lies in the
            folder.
    """
    make = f"make one with {HOW_TO_MAKE}"
    if not path.is_file():
        what = "not a file" if path.exists() else "no such file"
        raise DataError(f"key {path}: {what}; {make}")
    if outside is not None and path.resolve().is_relative_to(outside.resolve()):
        raise DataError(f"key {path} lies in the data set {outside}; keep it elsewhere")
    try:
        with path.open("rb") as file:
            key = file.read(_MOST_BYTES + 1).strip()
    except OSError as error:
        raise DataError(f"key {path}: {error.strerror}") from error
    if not LEAST_BYTES <= len(key) <= _MOST_BYTES:
        raise DataError(
            f"key {path} has {len(key)} bytes instead of {LEAST_BYTES} to {_MOST_BYTES}; {make}"
        )
    if len(set(key)) < _LEAST_DIFFERENT:
        raise DataError(f"key {path} repeats few characters, it could be guessed; {make}")
    return key
