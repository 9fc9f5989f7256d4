"""The run folder: its lock, what it refuses, and what a refusal leaves behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from kia.data.readers.phantoms import write_phantoms
from kia.data.store.dataset import DatasetWriter
from kia.errors import ConfigError, DataError, KIAError, ModelError, RunError
from kia.processing import KIAProcessor
from kia.training import loop, train
from kia.training.run_folder import RunFolder, first_difference

HOLD = """
import fcntl, sys, time
file = open(sys.argv[1], "a")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(600)
"""


@pytest.fixture
def started(tmp_path, configured, dataset) -> Path:
    """A run folder in which nothing has been trained."""
    RunFolder.open(tmp_path / "run", configured(), dataset, resume=False).close()
    return tmp_path / "run"


def test_a_folder_in_use_is_refused_and_that_of_a_dead_process_taken_over(
    started, configured, dataset
):
    lock = str(started / "run.lock")
    holder = subprocess.Popen([sys.executable, "-c", HOLD, lock], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "locked\n"
        Path(lock).write_text("process 7 on ward-3")
        with pytest.raises(RunError, match="in use by process 7 on ward-3"):
            RunFolder.open(started, configured(), dataset, resume=True)
    finally:
        holder.kill()
        holder.communicate()
    RunFolder.open(started, configured(), dataset, resume=True).close()


def test_loader_processes_that_outlive_their_run_do_not_hold_its_folder(
    started, configured, dataset
):
    run = RunFolder.open(started, configured(), dataset, resume=True)
    loader = os.fork()
    if not loader:
        time.sleep(60)
        os._exit(0)
    try:
        run.close()  # as the death of the run would
        RunFolder.open(started, configured(), dataset, resume=True).close()
    finally:
        os.kill(loader, signal.SIGKILL)
        os.waitpid(loader, 0)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"train__seed": 3}, r"train\.seed: 0 \(now 3\)"),
        ({"train__joint__epochs": 9}, r"train\.joint\.epochs: 2 \(now 9\)"),
        ({"tasks__irc__weight": 0.5}, r"tasks\.irc\.weight: 1\.0 \(now 0\.5\)"),
    ],
)
def test_another_configuration_is_refused_by_its_key(started, configured, dataset, change, named):
    before = (started / "run.yaml").read_bytes()
    with pytest.raises(RunError, match=named):
        RunFolder.open(started, configured(**change), dataset, resume=True)
    assert (started / "run.yaml").read_bytes() == before
    RunFolder.open(started, configured(), dataset, resume=True).close()


def test_a_run_of_an_earlier_version_has_the_defaults_of_newer_fields(started, configured, dataset):
    record = yaml.safe_load((started / "run.yaml").read_text())
    del record["config"]["train"]["accumulate"], record["config"]["train"]["compile"]
    (started / "run.yaml").write_text(yaml.safe_dump(record))
    RunFolder.open(started, configured(), dataset, resume=True).close()
    with pytest.raises(RunError, match=r"train\.accumulate: 1 \(now 2\)"):
        RunFolder.open(started, configured(train__accumulate=2), dataset, resume=True)


def test_the_lock_names_its_process(started, configured, dataset):
    run = RunFolder.open(started, configured(), dataset, resume=True)
    assert f"process {os.getpid()} on " in (started / "run.lock").read_text()
    run.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_disk_too_full_for_a_line_says_what_to_do(started, tmp_path, configured, dataset):
    run = RunFolder.open(started, configured(), dataset, resume=True)
    run.log_file.symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"log\.jsonl.*No space.*continue with --resume"):
        run.log(kind="train")
    run.close()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / ".run.yaml").symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"cannot write the run folder .*/new: .*No space"):
        RunFolder.open(tmp_path / "new", configured(), dataset, resume=False)
    assert list((tmp_path / "new").iterdir()) == []


def test_other_data_are_refused(started, configured, tmp_path, prepare):
    other = prepare(tmp_path / "other", 24, seed=1)
    with pytest.raises(RunError, match="other data"):
        RunFolder.open(started, configured(), other, resume=True)


def test_the_same_data_may_move(started, configured, tmp_path, prepare):
    RunFolder.open(started, configured(), prepare(tmp_path / "moved", 48), resume=True).close()


def test_a_run_is_not_started_over_without_resume(started, configured, dataset):
    with pytest.raises(RunError, match="--resume"):
        RunFolder.open(started, configured(), dataset, resume=False)


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_of_something_else_is_refused_and_left(tmp_path, configured, dataset, resume):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="not empty and no run"):
        RunFolder.open(tmp_path, configured(), dataset, resume)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_an_empty_folder_and_one_of_a_run_that_died_at_once_are_fine(tmp_path, configured, dataset):
    RunFolder.open(tmp_path, configured(), dataset, resume=False).close()
    (tmp_path / "run.yaml").rename(tmp_path / ".run.yaml")
    RunFolder.open(tmp_path, configured(), dataset, resume=False).close()


def test_a_file_in_the_place_of_the_folder_is_one_line(tmp_path, configured, dataset):
    (tmp_path / "run").write_text("")
    with pytest.raises(RunError, match="cannot write the run folder"):
        RunFolder.open(tmp_path / "run", configured(), dataset, resume=False)


@pytest.mark.parametrize("content", ["", "a: [", "config: {}"])
def test_a_damaged_run_yaml_is_one_line(started, configured, dataset, content):
    (started / "run.yaml").write_text(content)
    with pytest.raises(RunError, match=r"run\.yaml") as raised:
        RunFolder.open(started, configured(), dataset, resume=True)
    assert "Traceback" not in str(raised.value)


def test_run_yaml_records_configuration_data_and_environment(started, configured, dataset):
    record = yaml.safe_load((started / "run.yaml").read_text())
    assert record["config"] == configured().model_dump()
    assert record["data"]["hash"] == dataset.info["content_hash"]
    assert record["environment"]["threads"] == 1
    assert record["environment"].keys() >= {"kia", "torch", "transformers", "python"}


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"model__image_size": 128}, DataError, r"64-pixel.*--size 128"),
        ({"train__batch_size": 40}, ConfigError, r"train\.batch_size 40.*39 training"),
        ({"model__text_encoder__pretrained": "/nowhere"}, ModelError, "/nowhere"),
    ],
)
def test_a_run_that_cannot_start_writes_nothing(
    change, error, named, tmp_path, phantoms, configured, listener
):
    with pytest.raises(error, match=named) as raised:
        train(configured(**change), phantoms, tmp_path / "run", reporter=listener())
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_cannot_start_leaves_an_empty_folder_empty(
    tmp_path, phantoms, configured, listener, monkeypatch
):
    monkeypatch.setattr(
        loop, "build_model", lambda *_, **__: (_ for _ in ()).throw(ModelError("no"))
    )
    with pytest.raises(KIAError, match="no"):
        train(configured(), phantoms, tmp_path, reporter=listener())
    assert list(tmp_path.iterdir()) == []


def test_first_difference_names_added_removed_and_nested_keys():
    assert first_difference({"a": {"b": 1}}, {"a": {"b": 1}}) is None
    assert first_difference({"a": {"b": 1}}, {"a": {"b": 2}}) == "a.b: 1 (now 2)"
    assert first_difference({}, {"c": 3}) == "c: None (now 3)"
    assert first_difference({"c": 3}, {}) == "c: 3 (now None)"


def test_the_processor_resizes_as_the_data_set_was_made(tmp_path, configured, listener):
    """Files must become what the model was trained on."""
    with DatasetWriter(tmp_path / "data", image_size=64, source="padded", resize="pad") as writer:
        write_phantoms(writer, 24, seed=0)
    config = configured(train__joint__epochs=0, train__generation__epochs=1)
    model = train(config, tmp_path / "data", tmp_path / "run", reporter=listener())
    assert KIAProcessor.from_pretrained(model).resize == "pad"
