"""Names for patients that their record numbers cannot be guessed from.

A plain hash of a record number is no secret: all numbers of eight digits are hashed in seconds. So
the hash is keyed (HMAC-SHA-256, RFC 2104). The key is the text of KIA_PATIENT_KEY, or 32 random
bytes that lie in the user's data folder from the first use on (in memory, where that cannot be
written). With the same key a patient has the same hash in every output. See
docs/decisions/0024-facts-of-pictures.md.
"""

import hashlib
import hmac
import os
import secrets
import tempfile
from functools import lru_cache
from pathlib import Path

VARIABLE = "KIA_PATIENT_KEY"
_LETTERS = 16  # 64 bits: among a million patients two are alike with a chance of 3 in 100 million


def patient_hash(number: str) -> str:
    """16 hexadecimal letters for a PatientID."""
    text = os.environ.get(VARIABLE)
    key = text.encode() if text else _kept_key()
    return hmac.new(key, number.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:_LETTERS]


@lru_cache(maxsize=1)
def _kept_key() -> bytes:
    """The key of this user; where none can be kept, one of this process."""
    try:
        home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
        file = home / "kia" / "patient.key"
        if not file.exists():
            _keep(secrets.token_bytes(32), file)
        if key := file.read_bytes():
            return key
    except (OSError, RuntimeError):  # a folder that cannot be written, a user without a home
        pass
    return secrets.token_bytes(32)


def _keep(key: bytes, file: Path) -> None:
    """Writes the key for this user alone, whole or not at all; the first of two writers wins."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".patient.")  # mode 600
    try:
        with os.fdopen(handle, "wb") as draft:
            draft.write(key)
        os.link(name, file)
    except FileExistsError:
        pass
    finally:
        Path(name).unlink()
