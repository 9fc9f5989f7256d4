"""A preparation that is killed, interrupted or out of disk goes on where it stopped."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kia.data import prepare
from kia.data.readers.inputs import ListedInputs, fingerprint
from kia.data.store import npy_writer
from kia.data.store import writer as store_writer
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.errors import DataError
from kia.imaging.workers import LoadedStudy, Reject
from kia.studies import SPLITS, Study, StudyImage

SIZE = 8
INPUTS = 11
CHUNK = 3
LAST_STEPS = 45  # changes of the disk until all chunks are finished, or a few more


def listed(first_report: str = "report 0") -> ListedInputs:
    """Ten studies, of which number 3 has no image, and one input that is none."""
    studies = [
        Study(f"s{n}", SPLITS[n % 3], (StudyImage(f"{n}", "frontal"),), f"report {n}")
        for n in range(10)
    ]
    items = [
        [Reject(f"s{n} (x.png)", "image is missing"), study] for n, study in enumerate(studies)
    ]
    return ListedInputs([*items[:5], [Reject("lost", "no image")], *items[5:]])


@pytest.fixture(autouse=True)
def fake_decoder(tmp_path, monkeypatch) -> Path:
    """Small chunks, and a decoder that logs what it decodes, in whatever process."""
    log = tmp_path / "decoded.txt"
    log.touch()

    def decode(studies, size, resize, workers):
        for study in studies:
            with log.open("a") as file:
                file.write(f"{study.id}\n")
            value = int(study.id[1:])
            pixels = None if value == 3 else np.full((1, size, size), value, np.uint8)
            yield LoadedStudy(study, pixels, ())

    monkeypatch.setattr(prepare, "decode_studies", decode)
    monkeypatch.setattr(store_writer, "CHUNK_INPUTS", CHUNK)
    return log


def run(out: Path, **options) -> PreparedDataset:
    inputs = listed()
    options = {"image_size": SIZE, "source": "test", "inputs": fingerprint(inputs), **options}
    with DatasetWriter(out, **options) as writer:
        lost = prepare.write_studies(writer, inputs.read(range(writer.done, INPUTS)))
        assert [reject.what for reject in lost] == ["s3"]
    return PreparedDataset.open(out)


@pytest.fixture
def whole(tmp_path, fake_decoder) -> PreparedDataset:
    dataset = run(tmp_path / "whole")
    fake_decoder.write_text("")
    return dataset


def killed(work: Callable[[], object]) -> bool:
    """Runs `work` in a process of its own; whether that was killed."""
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


STEPS = [
    *((os, name) for name in ("fsync", "rename", "replace", "unlink", "mkdir")),
    *((Path, name) for name in ("rename", "replace", "unlink", "mkdir", "chmod", "write_text")),
    *((shutil, "rmtree"), (npy_writer.NpyWriter, "append")),
]


def kill_before_step(number: int) -> None:
    """Kills this process before its `number`-th change of the disk from now on."""
    left = [number]

    def counted(function):
        def step(*words, **named):
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return function(*words, **named)

        return step

    for owner, name in STEPS:
        setattr(owner, name, counted(getattr(owner, name)))


def chunks_of(out: Path) -> int:
    return len(list(out.with_name(f".{out.name}.preparing").glob("chunk-*.arrow")))


def equal(one: PreparedDataset, other: PreparedDataset) -> bool:
    paths = ("content_hash", "counts", "images", "rejects", "knowledge", "inputs_read")
    return one.rejects() == other.rejects() and all(one.info[p] == other.info[p] for p in paths)


@pytest.mark.parametrize("replacing", [False, True])
def test_killed_before_any_step_it_goes_on_and_ends_the_same(
    tmp_path, whole, fake_decoder, replacing
):
    out = tmp_path / "set"
    kept = set()
    for number in (*range(0, 0 if replacing else LAST_STEPS, 3), *range(LAST_STEPS, 1000)):
        if replacing:
            old = run(out, source="old", overwrite=True).info["content_hash"]
            fake_decoder.write_text("")

        def work(number: int = number) -> None:
            kill_before_step(number)
            run(out, overwrite=replacing)

        was_killed = killed(work)
        published = out.is_dir() and PreparedDataset.open(out).info["source"] == "test"
        if not was_killed:
            assert published
            break
        if replacing and not published and out.is_dir():
            assert PreparedDataset.open(out).info["content_hash"] == old
        fake_decoder.write_text("")
        if published and not replacing:
            with pytest.raises(DataError, match="already holds a data set"):
                run(out)
            assert equal(PreparedDataset.open(out), whole)
            shutil.rmtree(out)
            shutil.rmtree(tmp_path / ".set.preparing", ignore_errors=True)
            continue
        finished = 0 if published else min(CHUNK * chunks_of(out), INPUTS)
        kept.add(finished)
        assert equal(run(out, overwrite=replacing), whole)
        decoded = fake_decoder.read_text().split()
        assert len(decoded) == len(set(decoded))
        assert len(decoded) == sum(
            isinstance(items[-1], Study) for items in listed().read(range(finished, INPUTS))
        )
        shutil.rmtree(out)
        assert {path.name for path in tmp_path.iterdir()} == {"whole", "decoded.txt"}
    assert number > LAST_STEPS + 10
    assert kept == {0, 11} if replacing else {0, 3, 6, 9, 11}


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left")])
def test_interrupted_or_out_of_disk_it_keeps_finished_chunks(
    tmp_path, whole, fake_decoder, monkeypatch, error
):
    append, left = npy_writer.NpyWriter.append, iter(range(5))

    def fail(self, rows):
        if next(left, None) is None:
            raise error
        append(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(npy_writer.NpyWriter, "append", fail)
        with pytest.raises((KeyboardInterrupt, DataError), match=r"free some space|^$"):
            run(tmp_path / "set")
    work = tmp_path / ".set.preparing"
    images = [path.name for path in (work / "dataset").iterdir()]
    assert sorted(images) == ["images-00000.npy", "images-00001.npy"]  # the third was half-made
    fake_decoder.write_text("")
    assert equal(run(tmp_path / "set"), whole)
    assert fake_decoder.read_text().split() == ["s5", "s6", "s7", "s8", "s9"]
    assert not work.exists()


def test_other_settings_are_not_mixed_in(tmp_path, whole):
    out = tmp_path / "set"

    def start() -> None:
        kill_before_step(30)
        run(out)

    assert killed(start)
    assert chunks_of(out) > 0
    with pytest.raises(
        DataError, match=r"image size 8 instead of 16 is in \.set\.preparing; finish it"
    ):
        run(out, image_size=16)
    with pytest.raises(DataError, match="with split None instead of file"):
        run(out, settings={"split": "file"})
    with pytest.raises(DataError, match="with other contents of its tables, or other ids"):
        run(out, inputs="another")
    assert run(out, image_size=16, overwrite=True).image_size == 16


def test_a_data_set_that_a_kill_left_aside_comes_back(tmp_path, whole):
    out = tmp_path / "set"
    whole.path.rename(tmp_path / ".set.replaced")
    with pytest.raises(DataError, match="already holds a data set"):
        run(out, source="new")
    assert PreparedDataset.open(out).info["source"] == "test"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_two_processes_do_not_prepare_the_same_folder(tmp_path):
    out = tmp_path / "set"
    script = f"""
import sys, time
from kia.data.store.dataset import DatasetWriter
with DatasetWriter({str(out)!r}, image_size=8, source="test", inputs="x"):
    print("ready", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(DataError, match="is being prepared by another process"):
            run(out)
        os.kill(process.pid, signal.SIGKILL)
    assert len(run(out)) == 9


def test_the_command_goes_on_after_kill_9(tmp_path, monkeypatch):
    images = tmp_path / "images"
    images.mkdir()
    for number in range(60):
        pixels = np.random.default_rng(number).integers(0, 256, (300, 300), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{number:02d}.png")
    script = """
import sys
from kia.data.store import writer as store_writer
from kia.cli.main import main
if __name__ == "__main__":
    store_writer.CHUNK_INPUTS = 5
    sys.exit(main(sys.argv[1:]))
"""
    file = tmp_path / "command.py"
    file.write_text(script)
    words = [sys.executable, str(file), "data", "manifest", str(images), "--workers", "1"]
    done = subprocess.run([*words, "--out", str(tmp_path / "whole")], capture_output=True)
    assert done.returncode == 0, done.stderr
    words += ["--out", str(tmp_path / "set")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while chunks_of(tmp_path / "set") < 2:
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
    finished = 5 * chunks_of(tmp_path / "set")
    again = subprocess.run(words, capture_output=True, text=True)
    assert again.returncode == 0
    assert f"going on after {finished} of 60 inputs" in again.stderr
    whole, dataset = (PreparedDataset.open(tmp_path / name) for name in ("whole", "set"))
    assert dataset.info["content_hash"] == whole.info["content_hash"]
