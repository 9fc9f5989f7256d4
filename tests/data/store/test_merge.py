"""Parts of a preparation merge into what it would have been in one piece."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kia.cli.data.command import app
from kia.data.readers.inputs import ListedInputs, Part, fingerprint
from kia.data.store import writer as store_writer
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.data.store.merge import merge_parts
from kia.errors import DataError, UsageError
from kia.imaging.workers import Reject
from kia.studies import SPLITS, Study, StudyImage

SIZE = 8
STUDIES = [
    Study(f"s{n}", SPLITS[n % 3], (StudyImage(f"{n}", "frontal"),), f"report {n}", patient=f"p{n}")
    for n in range(10)
]
INPUTS = ListedInputs(
    [*([study] for study in STUDIES[:7]), [Reject("lost", "no image")]] + [[s] for s in STUDIES[7:]]
)


def prepare(out: Path, part: Part | None = None, **changes) -> PreparedDataset:
    options = {"image_size": SIZE, "source": "test", "inputs": fingerprint(INPUTS), **changes}
    numbers = range(len(INPUTS)) if part is None else part.cut(len(INPUTS))
    with DatasetWriter(out, part=part, **options) as writer:
        for (item,) in INPUTS.read(numbers):
            if isinstance(item, Reject):
                writer.reject(item)
            else:
                value = int(item.id[1:])
                pixels = np.full((1, options["image_size"], options["image_size"]), value, np.uint8)
                writer.add(item, pixels)
    return PreparedDataset.open(out)


def parts(folder: Path, of: int, **changes) -> list[Path]:
    return [prepare(folder / f"part{n}", Part(n, of), **changes).path for n in range(1, of + 1)]


def test_parts_cover_every_input_once():
    for total in (0, 1, 10, 16, 270_790):
        for of in (1, 3, 16):
            cuts = [Part(n, of).cut(total) for n in range(1, of + 1)]
            assert cuts[0].start == 0 and cuts[-1].stop == total
            assert all(a.stop == b.start for a, b in itertools.pairwise(cuts))
    assert Part.parse("3/16") == Part(3, 16) and str(Part(3, 16)) == "3/16"
    for text in ("0/3", "4/3", "1", "a/b", "-1/3", "1/0"):
        with pytest.raises(UsageError, match=f"--part {text}: write 3/16"):
            Part.parse(text)


@pytest.mark.parametrize("of", [1, 3, 16])
def test_merged_parts_equal_the_whole_whatever_their_number_and_order(tmp_path, of):
    whole = prepare(tmp_path / "whole")
    folders = parts(tmp_path, of)
    merged, is_new = merge_parts(folders[::-1], tmp_path / "merged")
    assert is_new
    assert list(merged.studies()) == list(whole.studies()) == STUDIES
    assert all((merged.pixels(i) == whole.pixels(i)).all() for i in range(len(whole)))
    assert merged.rejects() == whole.rejects() == [{"what": "lost", "why": "no image"}]
    files = ("shards", "files")
    assert {k: v for k, v in merged.info.items() if k not in files} == {
        k: v for k, v in whole.info.items() if k not in files
    }
    for folder in folders:
        shutil.rmtree(folder)
    assert merge_is_whole(tmp_path / "merged")


def merge_is_whole(folder: Path) -> bool:
    app(["check", str(folder)], standalone_mode=False)
    return True


def test_merging_again_changes_nothing(tmp_path):
    folders = parts(tmp_path, 3)
    merged, _ = merge_parts(folders, tmp_path / "merged")
    before = (merged.path / "dataset.json").stat().st_mtime_ns
    again, is_new = merge_parts(folders[::-1], tmp_path / "merged")
    assert not is_new
    assert (again.path / "dataset.json").stat().st_mtime_ns == before
    others = parts(tmp_path / "others", 2, section="findings")
    with pytest.raises(DataError, match="already holds a data set; add --overwrite"):
        merge_parts(others, tmp_path / "merged")
    assert merge_parts(others, tmp_path / "merged", overwrite=True)[1]


def test_missing_repeated_and_foreign_parts_are_refused_by_name(tmp_path):
    first, second, third = parts(tmp_path, 3)
    out = tmp_path / "merged"
    with pytest.raises(DataError, match=r"part 2/3 is missing"):
        merge_parts([first, third], out)
    with pytest.raises(DataError, match=r"part1 and .*part1 are both part 1/3"):
        merge_parts([first, second, third, first], out)
    whole = prepare(tmp_path / "whole").path
    with pytest.raises(DataError, match=r"whole is no part: prepare it with --part"):
        merge_parts([first, whole, third], out)
    half = prepare(tmp_path / "half", Part(2, 2)).path
    with pytest.raises(DataError, match=r"half is part 2/2, but .*part1 part 1/3"):
        merge_parts([first, half, third], out)
    for name, change in (
        ("image size 16 instead of 8", {"image_size": 16}),
        ("resize pad instead of squash", {"resize": "pad"}),
        ("views frontal instead of None", {"settings": {"views": "frontal"}}),
        ("other contents of its tables", {"inputs": "another"}),
    ):
        other = prepare(tmp_path / "other", Part(2, 3), overwrite=True, **change).path
        with pytest.raises(DataError, match=f"are not parts of one data set: {name}"):
            merge_parts([first, other, third], out)
    assert not out.exists() and not list(tmp_path.glob(".*"))


def test_a_merge_leaves_an_unfinished_preparation_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(store_writer, "CHUNK_INPUTS", 2)
    folders, out = parts(tmp_path, 2), tmp_path / "merged"
    with (
        pytest.raises(KeyboardInterrupt),
        DatasetWriter(out, image_size=SIZE, source="other", inputs="x") as writer,
    ):
        writer.reject(Reject("a", "lost"))
        writer.reject(Reject("b", "lost"))
        raise KeyboardInterrupt
    with pytest.raises(DataError, match="an unfinished preparation with source other instead of"):
        merge_parts(folders, out)
    with DatasetWriter(out, image_size=SIZE, source="other", inputs="x", overwrite=True) as writer:
        assert writer.done == 2
        writer.add(STUDIES[0], np.zeros((1, SIZE, SIZE), np.uint8))


def test_a_merge_without_links_copies(tmp_path, monkeypatch):
    folders = parts(tmp_path, 2)

    def link(*_, **__):
        raise OSError("cross-device link")

    monkeypatch.setattr("os.link", link)
    merged, _ = merge_parts(folders, tmp_path / "merged")
    assert merged.info["content_hash"] == prepare(tmp_path / "whole").info["content_hash"]


def test_the_commands_cut_and_merge(tmp_path, capfd):
    for n in range(7):
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(np.full((20, 16), 10 * n, np.uint8)).save(tmp_path / f"images/{n}.png")
    rows = ["id,image,report,split", *(f"{n},{n}.png,Report {n}.,train" for n in range(7))]
    (tmp_path / "images" / "m.csv").write_text("\n".join(rows))

    def kia_data(*words: object) -> None:
        app([str(word) for word in words], standalone_mode=False)

    command = ("manifest", tmp_path / "images" / "m.csv", "--size", 32, "--workers", 1)
    kia_data(*command, "--out", tmp_path / "whole")
    for number in (1, 2, 3):
        kia_data(*command, "--part", f"{number}/3", "--out", tmp_path / f"p{number}")
    merge = ("merge", *(tmp_path / f"p{n}" for n in (2, 3, 1)), "--out", tmp_path / "merged")
    kia_data(*merge)
    whole, merged = (PreparedDataset.open(tmp_path / name) for name in ("whole", "merged"))
    assert merged.info["content_hash"] == whole.info["content_hash"]
    kia_data(*merge)
    assert "holds these parts already" in capfd.readouterr().out
    assert json.loads((tmp_path / "p2" / "dataset.json").read_text())["part"] == "2/3"
