"""A patient's hash is the same everywhere and tells nothing to those without the key."""

import hashlib
import hmac
import subprocess
import sys

import pytest

from kia.imaging import pseudonym
from kia.imaging.pseudonym import patient_hash


@pytest.fixture(autouse=True)
def forget():
    pseudonym._kept_key.cache_clear()
    yield
    pseudonym._kept_key.cache_clear()


def test_the_hash_is_keyed(monkeypatch):
    """RFC 2104 with SHA-256, 64 bits of it."""
    monkeypatch.setenv("KIA_PATIENT_KEY", "k")
    assert patient_hash("4711") == hmac.new(b"k", b"4711", hashlib.sha256).hexdigest()[:16]
    assert patient_hash("4711") != hashlib.sha256(b"4711").hexdigest()[:16]
    other = patient_hash("4712")
    monkeypatch.setenv("KIA_PATIENT_KEY", "l")
    assert len({patient_hash("4711"), patient_hash("4712"), other}) == 3


def test_a_key_is_made_once_and_is_the_user_s_alone(monkeypatch, tmp_path):
    monkeypatch.delenv("KIA_PATIENT_KEY")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    first = patient_hash("4711")
    file = tmp_path / "kia" / "patient.key"
    assert file.stat().st_mode & 0o777 == 0o600 and len(file.read_bytes()) == 32
    assert [path.name for path in file.parent.iterdir()] == ["patient.key"]
    code = "from kia.imaging.pseudonym import patient_hash; print(patient_hash('4711'))"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == first


def test_the_first_of_two_writers_wins(monkeypatch, tmp_path):
    monkeypatch.delenv("KIA_PATIENT_KEY")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    file = tmp_path / "kia" / "patient.key"
    pseudonym._keep(b"one", file)
    pseudonym._keep(b"other", file)
    assert file.read_bytes() == b"one"


def test_without_a_place_the_key_lives_as_long_as_the_process(monkeypatch, tmp_path):
    monkeypatch.delenv("KIA_PATIENT_KEY")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    assert patient_hash("4711") == patient_hash("4711") != patient_hash("4712")
