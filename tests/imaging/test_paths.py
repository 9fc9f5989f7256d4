"""Walks find every file once, and nothing that is hidden or no file."""

import os
import sys

import pytest

from kia.imaging.paths import files_named


def make(folder, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def names(folder, found) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in found]


def test_a_folder_is_walked_in_order_without_what_is_hidden(tmp_path):
    make(tmp_path, "b/2", "b/1", "a.png", "c.d/e/f", ".git/x", "b/.DS_Store", "__MACOSX/y")
    make(tmp_path, "DICOMDIR", "b/dicomdir")
    assert names(tmp_path, files_named(tmp_path)) == ["a.png", "b/1", "b/2", "c.d/e/f"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_are_followed_once_and_pipes_not_opened(tmp_path):
    make(tmp_path, "in/a", "other/b")
    (tmp_path / "in" / "circle").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "other").symlink_to(tmp_path / "other")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "other")
    (tmp_path / "in" / "lost").symlink_to(tmp_path / "nothing")
    (tmp_path / "in" / "itself").symlink_to(tmp_path / "in" / "itself")
    os.mkfifo(tmp_path / "in" / "pipe")
    found = names(tmp_path / "in", files_named(tmp_path / "in"))
    assert sorted(name for name in found if name.endswith("b")) in (["again/b"], ["other/b"])
    assert [name for name in found if not name.endswith("b")] == ["a", "itself", "lost"]


def test_a_folder_that_cannot_be_opened_is_named(tmp_path, monkeypatch):
    make(tmp_path, "a", "closed/b")
    opened = type(tmp_path).iterdir

    def iterdir(self):
        if self.name == "closed":
            raise PermissionError(13, "Permission denied")
        return opened(self)

    monkeypatch.setattr(type(tmp_path), "iterdir", iterdir)
    assert names(tmp_path, files_named(tmp_path)) == ["a", "closed"]


def test_patterns_find_files_and_the_folders_of_their_matches_once(tmp_path):
    make(tmp_path, "p1/s/a", "p2/b", "p3.txt", "[x]/c")
    assert names(tmp_path, files_named(f"{tmp_path}/p*")) == ["p1/s/a", "p2/b", "p3.txt"]
    everything = names(tmp_path, files_named(f"{tmp_path}/**"))
    assert sorted(everything) == ["[x]/c", "p1/s/a", "p2/b", "p3.txt"]
    assert names(tmp_path, files_named(f"{tmp_path}/[x]")) == ["[x]/c"]  # it is there
    assert files_named(tmp_path / "p*") is None  # a path is no pattern
    assert files_named(f"{tmp_path}/q*") == []
    assert files_named(f"{tmp_path}/p3.txt") is None
