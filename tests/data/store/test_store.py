"""The prepared data set: what goes in comes out, and nothing half-written is ever left."""

import dataclasses
import errno
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kia.data.store import npy_writer
from kia.data.store import writer as store_writer
from kia.data.store.atomic_folder import WorkFolder
from kia.data.store.check import check_dataset
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.errors import DataError
from kia.imaging.workers import Reject
from kia.studies import SPLITS, VIEWS, Study, StudyImage

SIZE = 8
HEART = {"tokens": "herz", "label": "ANAT-DP", "start_ix": 0, "end_ix": 0, "relations": []}


def make_study(number: int) -> Study:
    views = VIEWS[: 1 + number % 2]
    return Study(
        id=f"s{number}",
        split=SPLITS[number % 3],
        images=tuple(StudyImage(f"/images/{number}-{view}.png", view) for view in views),
        report=f"Herz größe normal, study {number}.\n",
        sections={"findings": "clear", "impression": ""},
        labels={"Edema": 1, "Fracture": None, "Pneumonia": -1} if number % 4 else None,
        graph={"text": "herz normal", "entities": {"1": HEART}} if number % 5 else None,
    )


def make_pixels(study: Study) -> np.ndarray:
    generator = np.random.default_rng(int(study.id[1:]))
    return generator.integers(0, 256, (len(study.images), SIZE, SIZE), dtype=np.uint8)


def write(out: Path, numbers=range(12), **options) -> PreparedDataset:
    with DatasetWriter(out, image_size=SIZE, source="test", **options) as writer:
        for number in numbers:
            study = make_study(number)
            writer.add(study, make_pixels(study))
        writer.reject(Reject("s99", "no image"))
    return PreparedDataset.open(out)


def assert_nothing_left(folder: Path) -> None:
    assert list(folder.iterdir()) == []


def test_studies_and_pixels_come_back_as_they_were(tmp_path, monkeypatch):
    monkeypatch.setattr(store_writer, "CHUNK_BYTES", 5 * SIZE**2)
    dataset = write(tmp_path / "set")
    assert len(dataset) == 12
    assert len(dataset.info["shards"]) > 2
    for index, study in enumerate(dataset.studies()):
        assert study == make_study(index)
        pixels = dataset.pixels(index)
        np.testing.assert_array_equal(pixels, make_pixels(study))
        assert dataset.views(index) == tuple(image.view for image in study.images)
    assert check_dataset(dataset)["hash"] == dataset.info["content_hash"]


def test_many_record_batches(tmp_path, monkeypatch):
    out = tmp_path / "set"
    dataset = write(out, range(2 * store_writer.CHUNK_INPUTS + 1))
    last = len(dataset) - 1
    assert dataset.study(last) == make_study(last)
    assert dataset.index_of("s1500") == 1500


def test_split_questions(tmp_path):
    dataset = write(tmp_path / "set")
    assert dataset.indices("val").dtype == np.int64
    assert dataset.indices("val").tolist() == [1, 4, 7, 10]
    assert dataset.ids("val") == ["s1", "s4", "s7", "s10"]
    assert list(dataset.reports("test")) == [make_study(n).report for n in (2, 5, 8, 11)]
    assert [study.id for study in dataset.studies("train")] == ["s0", "s3", "s6", "s9"]
    assert dataset.info["counts"] == {"train": 4, "val": 4, "test": 4}
    assert dataset.info["images"] == {"frontal": 12, "lateral": 6}
    assert dataset.rejects() == [{"what": "s99", "why": "no image"}]
    with pytest.raises(DataError, match="nearest: s1"):
        dataset.index_of("s1x")
    with pytest.raises(IndexError):
        dataset.study(12)
    with pytest.raises(DataError, match="train, val, test"):
        dataset.indices("training")


def test_pixels_belong_to_whoever_asks_for_them(tmp_path):
    dataset = write(tmp_path / "set")
    dataset.pixels(3)[:] = 0
    np.testing.assert_array_equal(dataset.pixels(3), make_pixels(make_study(3)))
    into = np.full((4, SIZE, SIZE), 9, np.uint8)
    dataset.read_pixels(3, into)
    count = len(make_study(3).images)
    np.testing.assert_array_equal(into[:count], make_pixels(make_study(3)))
    assert (into[count:] == 9).all()


def test_pickle_carries_the_path_alone(tmp_path):
    dataset = write(tmp_path / "set", range(300))
    dataset.pixels(0)
    data = pickle.dumps(dataset)
    assert len(data) < 1000
    np.testing.assert_array_equal(pickle.loads(data).pixels(5), dataset.pixels(5))


def _sum(dataset: PreparedDataset, index: int) -> int:
    return int(dataset.pixels(index).sum()) + len(dataset.study(index).report)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_read_the_same(tmp_path, method):
    dataset = write(tmp_path / "set")
    here = [_sum(dataset, index) for index in range(4)]
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.starmap(_sum, [(dataset, index) for index in range(4)]) == here


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=25, deadline=None)
@given(report=texts, sections=st.dictionaries(texts, texts, max_size=3))
def test_any_text_survives(tmp_path_factory, report, sections):
    out = tmp_path_factory.mktemp("any") / "set"
    study = dataclasses.replace(make_study(0), report=report, sections=sections)
    with DatasetWriter(out, image_size=SIZE, source="test") as writer:
        writer.add(study, make_pixels(study))
    assert PreparedDataset.open(out).study(0) == study


def test_content_hash_ignores_where_images_lay_but_not_what_they_show(tmp_path):
    study = make_study(0)
    moved = dataclasses.replace(study, images=(StudyImage("elsewhere.png", "frontal"),))
    hashes = []
    for name, one, change in (("a", study, 0), ("b", moved, 0), ("c", study, 1)):
        with DatasetWriter(tmp_path / name, image_size=SIZE, source="test") as writer:
            writer.add(one, make_pixels(one) ^ np.uint8(change))
        hashes.append(PreparedDataset.open(tmp_path / name).info["content_hash"])
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "s0"}, "occurs twice"),
        ({"split": "training"}, "unknown split"),
        ({"report": "\ud800"}, "cannot be stored"),
        ({"labels": {"Edema": float("nan")}}, "cannot be stored"),
        ({"images": ()}, "pixels are"),
    ],
)
def test_inconsistent_studies_are_refused_and_nothing_is_left(tmp_path, change, message):
    study = dataclasses.replace(make_study(1), **change)
    with (
        pytest.raises(DataError, match=message),
        DatasetWriter(tmp_path / "set", image_size=SIZE, source="test") as writer,
    ):
        writer.add(make_study(0), make_pixels(make_study(0)))
        writer.add(study, make_pixels(make_study(1)))
    assert_nothing_left(tmp_path)


def test_no_study_at_all_says_the_first_reject(tmp_path):
    with pytest.raises(DataError, match="no study to store; first of 1 rejects: s99: no image"):
        write(tmp_path / "set", [])
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("target", ["append", "fsync", "assemble", "publish"])
def test_full_disk_leaves_nothing_and_says_so(tmp_path, monkeypatch, target):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    owner = {"append": npy_writer.NpyWriter, "publish": WorkFolder}
    monkeypatch.setattr(owner.get(target, store_writer), target, fail)
    with pytest.raises(DataError, match="No space left on device; free some") as caught:
        write(tmp_path / "set")
    assert "\n" not in str(caught.value)
    assert_nothing_left(tmp_path)


def test_file_size_limit_of_the_system_leaves_nothing(tmp_path):
    """A real refusal by the kernel, deep inside the buffered writers."""
    script = f"""
import resource, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
from pathlib import Path
import test_store
try:
    test_store.write(Path({str(tmp_path / "set")!r}), range(200))
except test_store.DataError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "File too large; free some space" in done.stdout, done.stderr
    assert_nothing_left(tmp_path)


def test_full_disk_while_a_side_file_is_written(tmp_path):
    with (
        pytest.raises(DataError, match="free some space"),
        DatasetWriter(tmp_path / "set", image_size=SIZE, source="test") as writer,
    ):
        writer.side_file("truth.jsonl").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_any_failure_or_interruption_leaves_nothing(tmp_path, error):
    with (
        pytest.raises(error),
        DatasetWriter(tmp_path / "set", image_size=SIZE, source="test") as writer,
    ):
        writer.add(make_study(0), make_pixels(make_study(0)))
        raise error
    assert_nothing_left(tmp_path)


def test_killed_preparation_leaves_no_data_set_and_the_next_one_cleans_up(tmp_path):
    script = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_store
writer = test_store.DatasetWriter({str(tmp_path / "set")!r}, image_size=8, source="test")
writer.__enter__()
writer.add(test_store.make_study(0), test_store.make_pixels(test_store.make_study(0)))
print("ready", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    assert not (tmp_path / "set").exists()
    assert len(list(tmp_path.iterdir())) == 1
    write(tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_what_is_there_is_only_replaced_on_demand_and_if_it_is_a_data_set(tmp_path):
    out = tmp_path / "set"
    write(out, [0])
    with pytest.raises(DataError, match="--overwrite"):
        write(out)
    assert len(write(out, overwrite=True)) == 12
    (out / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"also holds notes\.txt"):
        write(out, overwrite=True)
    other = tmp_path / "other"
    other.mkdir()
    assert len(write(other)) == 12  # empty folders are fine
    for path in other.iterdir():
        path.unlink()
    (other / "thesis.tex").write_text("mine")
    with pytest.raises(DataError, match="not a data set"):
        write(other, overwrite=True)
    with pytest.raises(DataError, match="is a file"):
        write(other / "thesis.tex", overwrite=True)


def test_failed_replacement_keeps_the_old_data_set(tmp_path):
    out = tmp_path / "set"
    old = write(out).info["content_hash"]
    with pytest.raises(DataError):
        write(out, [0, 0], overwrite=True)
    assert PreparedDataset.open(out).info["content_hash"] == old
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def _edit_info(folder: Path, **changes) -> None:
    file = folder / "dataset.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def _counts(train: int) -> dict[str, int]:
    return {"train": train, "val": 0, "test": 0}


def _truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 1)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "dataset.json").unlink(), "not a prepared data set"),
        (lambda f: (f / "dataset.json").write_text("{"), "damaged"),
        (lambda f: (f / "dataset.json").write_text("[]"), "not a prepared data set"),
        (lambda f: _edit_info(f, format_version=99), "version 99"),
        (lambda f: _truncate(f / "studies.arrow"), "studies.arrow has"),
        (lambda f: (f / "images-00000.npy").unlink(), "No such file"),
        (
            lambda f: (f / "studies.arrow").write_bytes(
                bytes((f / "studies.arrow").stat().st_size)
            ),
            "studies.arrow: ",
        ),
        (lambda f: _edit_info(f, counts=_counts(5000)), "5000 studies are counted and 12"),
        (
            lambda f: _edit_info(
                f,
                shards=[],
                counts=_counts(0),
                files={n: (f / n).stat().st_size for n in ("studies.arrow", "rejects.jsonl")},
            ),
            "1 batches instead of 0",
        ),
        (lambda f: _edit_info(f, counts={"train": 12}), "counts.val: Field required"),
    ],
)
def test_damage_is_one_line(tmp_path, damage, message):
    out = tmp_path / "set"
    write(out)
    damage(out)
    with pytest.raises(DataError, match=message) as caught:
        PreparedDataset.open(out)
    assert "\n" not in str(caught.value)


def test_missing_data_set_says_how_to_prepare_one(tmp_path):
    with pytest.raises(DataError, match="no such data set; prepare one with `kia data`"):
        PreparedDataset.open(tmp_path / "nothing")


def test_side_files_travel_with_the_data_set(tmp_path):
    with DatasetWriter(tmp_path / "set", image_size=SIZE, source="test") as writer:
        writer.add(make_study(0), make_pixels(make_study(0)))
        writer.side_file("truth.jsonl").write_text("{}\n")
        for name in ("dataset.json", "../x", "images-00000.npy", ".hidden"):
            with pytest.raises(ValueError, match="side file"):
                writer.side_file(name)
    dataset = PreparedDataset.open(tmp_path / "set")
    assert (dataset.path / "truth.jsonl").read_text() == "{}\n"
    _truncate(dataset.path / "truth.jsonl")
    with pytest.raises(DataError, match=r"truth\.jsonl has 2 bytes"):
        PreparedDataset.open(tmp_path / "set")


def test_opening_costs_the_same_for_many_studies(tmp_path):
    small, large = tmp_path / "small", tmp_path / "large"
    write(small, range(10))
    write(large, range(5000))

    def seconds(path: Path) -> float:
        times = []
        for _ in range(20):
            start = time.perf_counter()
            PreparedDataset.open(path)
            times.append(time.perf_counter() - start)
        return min(times)

    assert seconds(large) < 5 * seconds(small)
