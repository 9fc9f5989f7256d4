"""A stranger's data set: nothing outside its folder is opened, linked or made read-only."""

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kia.data.readers.inputs import Part
from kia.data.store import writer as store_writer
from kia.data.store.check import check_dataset
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.data.store.merge import merge_parts
from kia.errors import DataError
from kia.studies import Study, StudyImage

SIZE = 8
PIXELS = np.zeros((1, SIZE, SIZE), np.uint8)
SHARD = "images-00000.npy"
NAMES = ("../secret.npy", "{absolute}", "../part/images-00000.npy", "sub/images-00000.npy")
ODD_NAMES = ("", ".", "..", "images-00000.npy\n", "images-0.npy", "IMAGES-00000.NPY", "other.npy")


def study(name: str) -> Study:
    return Study(name, "train", (StudyImage("a", "frontal"),), "Clear.")


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """The only part of a preparation, made writable."""
    folder = tmp_path / "part"
    with DatasetWriter(folder, image_size=SIZE, source="x", inputs="i", part=Part(1, 1)) as writer:
        writer.add(study("a"), PIXELS)
        writer.side_file("truth.jsonl").write_text("{}\n")
    for file in folder.iterdir():
        file.chmod(0o644)
    return folder


@pytest.fixture
def secret(tmp_path: Path, part: Path) -> Path:
    """A user's own file outside: as a shard it would fit."""
    shutil.copyfile(part / SHARD, tmp_path / "secret.npy")
    return tmp_path / "secret.npy"


def describe(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = folder / "dataset.json"
    said = json.loads(file.read_text())
    change(said)
    file.write_text(json.dumps(said))


def renamed(old: str, new: str) -> Callable[[dict[str, Any]], object]:
    def change(said: dict[str, Any]) -> None:
        said["files"][new] = said["files"].pop(old)
        for shard in said["shards"]:
            shard["file"] = new if shard["file"] == old else shard["file"]
        said["side_files"] = [new if name == old else name for name in said["side_files"]]

    return change


def is_untouched(file: Path) -> bool:
    found = file.stat()
    return found.st_nlink == 1 and bool(found.st_mode & stat.S_IWUSR)


def test_the_part_is_whole_without_changes(part: Path, tmp_path: Path) -> None:
    assert check_dataset(merge_parts([part], tmp_path / "out")[0])["splits"]["train"]["studies"]


@pytest.mark.parametrize("name", [*NAMES, *ODD_NAMES])
@pytest.mark.parametrize("old", [SHARD, "truth.jsonl"])
def test_a_name_that_is_not_plain_is_refused(
    name: str, old: str, part: Path, secret: Path, tmp_path: Path
) -> None:
    name = name.format(absolute=secret)
    (part / "sub").mkdir()
    shutil.copyfile(part / old, part / "sub" / SHARD)
    if old == "truth.jsonl":
        if name == "other.npy":
            pytest.skip("a plain name")
        shutil.copyfile(part / old, secret)
    describe(part, renamed(old, name))
    with pytest.raises(DataError, match=r"damaged data set \(dataset\.json: ") as caught:
        merge_parts([part], tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert is_untouched(secret) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [SHARD, "studies.arrow", "rejects.jsonl", "truth.jsonl"])
@pytest.mark.parametrize("target", ["relative", "absolute"])
def test_a_symbolic_link_is_not_followed(
    name: str, target: str, part: Path, secret: Path, tmp_path: Path
) -> None:
    shutil.move(part / name, secret)
    secret.chmod(0o644)
    (part / name).symlink_to(secret if target == "absolute" else "../secret.npy")
    with pytest.raises(DataError, match=f"{name} is not a regular file"):
        merge_parts([part], tmp_path / "out")
    with pytest.raises(DataError, match=f"{name} is not a regular file"):
        PreparedDataset.open(part)
    assert is_untouched(secret)


def test_a_linked_description_is_not_followed(part: Path, secret: Path) -> None:
    shutil.move(part / "dataset.json", secret)
    (part / "dataset.json").symlink_to(secret)
    with pytest.raises(DataError, match="symbolic link"):
        PreparedDataset.open(part)


def test_a_link_that_comes_after_opening_is_not_followed(
    part: Path, secret: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = PreparedDataset.open(part)
    (part / SHARD).unlink()
    (part / SHARD).symlink_to(secret)
    with pytest.raises(DataError, match="a symbolic link"):
        dataset.pixels(0)
    monkeypatch.setattr("kia.data.store.merge.PreparedDataset.open", lambda folder: dataset)
    with pytest.raises(DataError, match="symbolic link"):
        merge_parts([part], tmp_path / "out")
    assert is_untouched(secret) and not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("what", ["name", "link"])
def test_an_unfinished_preparation_cannot_bring_a_foreign_file_in(
    what: str, tmp_path: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_writer, "CHUNK_INPUTS", 1)
    out = tmp_path / "out"

    def prepare(stop: bool) -> None:
        with DatasetWriter(out, image_size=SIZE, source="x", inputs="i") as writer:
            if not writer.done:
                writer.add(study("a"), PIXELS)
            if stop:
                raise KeyboardInterrupt
            writer.add(study("b"), PIXELS)

    with pytest.raises(KeyboardInterrupt):
        prepare(stop=True)
    work = tmp_path / ".out.preparing"
    if what == "name":
        chunk = work / "chunk-00000.arrow"
        content = chunk.read_bytes()
        assert content.count(SHARD.encode()) == 1 or content.count(SHARD.encode()) == 2
        new = b"../../secret.npy"
        assert len(new) == len(SHARD)
        chunk.write_bytes(content.replace(SHARD.encode(), new))
    else:
        (work / "dataset" / SHARD).unlink()
        (work / "dataset" / SHARD).symlink_to(secret)
    with pytest.raises(DataError, match="add --overwrite to start anew"):
        prepare(stop=False)
    assert is_untouched(secret) and not out.exists()


def test_a_linked_work_folder_is_not_cleared(tmp_path: Path, secret: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").write_text("mine")
    (tmp_path / ".out.preparing").symlink_to(tmp_path / "home")
    with (
        pytest.raises(DataError, match="symbolic link"),
        DatasetWriter(tmp_path / "out", image_size=SIZE, source="x") as writer,
    ):
        writer.add(study("a"), PIXELS)
    assert (tmp_path / "home" / "letter").read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["dataset.json", "studies.arrow", SHARD, "rejects.jsonl", "truth.jsonl"]
)
def test_a_pipe_is_refused_and_not_waited_for(name: str, part: Path) -> None:
    describe(part, lambda said: said["files"].update({name: 0} if name in said["files"] else {}))
    (part / name).unlink()
    os.mkfifo(part / name)
    with pytest.raises(DataError, match="not a regular file"):
        PreparedDataset.open(part)
