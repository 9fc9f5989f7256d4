"""The key, and the names that stand for ids."""

import os

import pytest

from kia.data.deidentify import Pseudonyms, read_key
from kia.errors import DataError
from kia.studies import Study, StudyImage

KEY = b"0123456789abcdefghijklmnopqrstuv"


def test_a_pseudonym_is_hmac_sha256():
    # printf 'study:s50414267' | openssl dgst -sha256 -hmac 0123456789abcdefghijklmnopqrstuv
    expected = "4fa2dd577e7e15f729ce50a258aac027ea71d6d2dc8f250eb5aefc53c15b71c0"
    assert Pseudonyms(KEY).of("study", "s50414267") == expected[:32]


def test_ids_patients_and_images_are_hashed_apart():
    images = (
        StudyImage("/data/p1/s1/0.png", "frontal"),
        StudyImage("/data/p1/s1/1.png", "lateral"),
    )
    study = Study("17", "val", images, "clear", patient="17")
    hashed = Pseudonyms(KEY).of_study(study)
    names = [hashed.id, hashed.patient, *(image.path for image in hashed.images)]
    assert len(set(names)) == 4
    assert all(len(name) == 32 for name in names)
    assert [image.view for image in hashed.images] == ["frontal", "lateral"]
    assert (hashed.split, hashed.report) == ("val", "clear")


def test_the_name_of_an_image_does_not_depend_on_its_folder():
    names = {
        Pseudonyms(KEY)
        .of_study(Study("1", "val", (StudyImage(path, "frontal"),), ""))
        .images[0]
        .path
        for path in ("/here/x.png", "/there/x.png")
    }
    assert len(names) == 1


def test_another_key_gives_other_names():
    assert Pseudonyms(KEY).of("study", "1") != Pseudonyms(KEY[::-1]).of("study", "1")


def test_a_key_is_read_without_its_line_break(tmp_path):
    file = tmp_path / "key"
    file.write_bytes(KEY + b"\r\n")
    assert read_key(file) == KEY


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "has 0 bytes instead of 32"),
        (b"secret\n", "has 6 bytes instead of 32"),
        (KEY[:31], "has 31 bytes"),
        (KEY[:31] + b"\n\n\n", "has 31 bytes"),
        (b"a" * 64, "could be guessed"),
        (b"abcabc" * 10, "could be guessed"),
        (KEY * 200, "has 4097 bytes"),
    ],
)
def test_a_weak_key_is_refused(tmp_path, content, why):
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(DataError, match=why) as raised:
        read_key(file)
    assert "secrets.token_hex" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_no_file_a_folder_and_a_pipe_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, why in (("none", "no such file"), (".", "not a file"), ("pipe", "not a file")):
        with pytest.raises(DataError, match=why):
            read_key(tmp_path / name)


def test_a_key_in_the_data_set_is_refused(tmp_path):
    (tmp_path / "set").mkdir()
    file = tmp_path / "set" / "key"
    file.write_bytes(KEY)
    link = tmp_path / "link"
    link.symlink_to(file)
    for path in (file, link):
        with pytest.raises(DataError, match="lies in the data set"):
            read_key(path, outside=tmp_path / "set")
    assert read_key(file, outside=tmp_path / "other") == KEY
