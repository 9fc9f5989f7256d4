"""The cache of tables: written whole, found again, made anew when it is damaged."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from kia.errors import DataError, MissingDependency
from kia.evaluation.language import tables
from kia.evaluation.language.meteor import resources as meteor_resources
from kia.evaluation.language.meteor.hashes import LineHashes, joined, phrase_hash
from kia.evaluation.language.tables import cache_folder, cached_arrays, package_file

ARRAYS = {"a": np.arange(6).reshape(2, 3), "b": np.array([1, 2], np.uint8)}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return cache_folder()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"one")
    return path


def cached(source: Path, calls: list[int]) -> dict[str, list[int]]:
    def build() -> tables.Arrays:
        calls.append(1)
        return ARRAYS

    return {name: value.tolist() for name, value in cached_arrays("t", [source], build).items()}


def test_arrays_are_built_once_and_again_for_another_source(source: Path, folder: Path) -> None:
    calls: list[int] = []
    expected = {name: value.tolist() for name, value in ARRAYS.items()}
    assert cached(source, calls) == cached(source, calls) == expected
    assert len(calls) == 1
    source.write_bytes(b"two")
    assert cached(source, calls) == expected
    assert len(calls) == len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "unreadable"])
def test_a_damaged_file_is_made_anew(source: Path, folder: Path, damage: str) -> None:
    calls: list[int] = []
    expected = cached(source, calls)
    (file,) = folder.iterdir()
    content = bytearray(file.read_bytes())
    file.chmod(0o600)
    if damage == "bit":
        content[-1] ^= 1
        file.write_bytes(content)
    elif damage == "unreadable":
        file.unlink()
        file.symlink_to("/nowhere")
    else:
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    assert cached(source, calls) == expected
    assert len(calls) == 2
    assert cached(source, calls) == expected
    assert len(calls) == 2


def test_without_a_place_for_the_cache_arrays_are_built_each_time(
    source: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    calls: list[int] = []
    assert cached(source, calls) == cached(source, calls)
    assert len(calls) == 2


def test_a_user_without_a_home_needs_no_cache(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    calls: list[int] = []
    assert cached(source, calls) == cached(source, calls)
    assert len(calls) == 2


def test_what_is_stopped_leaves_no_file(
    source: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        cached(source, [])
    assert not list(folder.iterdir())


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="missing from pycocoevalcap"):
        package_file("meteor", "none.jar")
    monkeypatch.setitem(__import__("sys").modules, "pycocoevalcap", None)
    with pytest.raises(MissingDependency, match="evaluation"):
        package_file("meteor", "meteor-1.5.jar")


@pytest.mark.parametrize("content", [b"", b"no gzip", gzip.compress(b"0.5\nthe heart\n")])
def test_a_table_that_is_not_meteors_is_one_line(tmp_path: Path, content: bytes) -> None:
    table = tmp_path / "paraphrase-en.gz"
    table.write_bytes(content)
    jar = package_file("meteor", "meteor-1.5.jar")
    with pytest.raises(DataError, match=r"not METEOR 1\.5"):
        meteor_resources._built(jar, table)


def test_paraphrases_are_found_by_hash_in_the_order_of_the_file(tmp_path: Path) -> None:
    table = tmp_path / "p.gz"
    entries = ["0.1\nb c\nx", "0.2\na\nlarge heart", "0.3\na\nx", "0.4\nb c\na"]
    table.write_bytes(gzip.compress("".join(f"{entry}\n" for entry in entries).encode()))
    found, longest = meteor_resources._paraphrases_of(table)
    assert longest == 2
    assert found.of(phrase_hash("a")).tolist() == [phrase_hash("large heart"), phrase_hash("x")]
    assert found.of(phrase_hash("b c")).tolist() == [phrase_hash("x"), phrase_hash("a")]
    assert not len(found.of(phrase_hash("x")))


def test_hashes_of_lines_and_of_joined_words_agree() -> None:
    phrases = ["the heart", "größe", "", "a b"]
    block = np.frombuffer("\n".join([*phrases, ""]).encode(), np.uint8)
    ends = np.flatnonzero(block == ord("\n"))
    begins = np.concatenate([[0], ends[:-1] + 1])
    assert LineHashes(100).of(block, begins, ends).tolist() == list(map(phrase_hash, phrases))
    first, second = (np.array([phrase_hash(w)]).view(np.uint64) for w in ("the", "heart"))
    assert joined(first, np.array([3]), second).view(np.int64)[0] == phrase_hash("the heart")
