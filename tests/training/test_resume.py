"""A run that is killed and continued equals the uninterrupted one bit for bit (on CPU)."""

import errno
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from kia.errors import RunError
from kia.training import checkpoint, loop, run_folder, train


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, phantoms, configured, outcome_of, listener):
    """The outcome of the whole run in one process: 2 + 1 epochs of 5 steps."""
    run = tmp_path_factory.mktemp("uninterrupted") / "run"
    train(configured(), phantoms, run, reporter=listener())
    return outcome_of(run)


def last_step(run: Path) -> int:
    found = sorted((run / "checkpoints").glob("step-*"))
    return int(found[-1].name.removeprefix("step-")) if found else 0


def stages(run: Path) -> set[str]:
    found = (run / "checkpoints").glob("step-*/progress.json")
    return {json.loads(path.read_text())["stage"] for path in found}


def no_remains(run: Path) -> bool:
    hidden = [path.name for path in run.rglob(".*")]
    return not hidden and len(list((run / "checkpoints").iterdir())) <= checkpoint.KEPT + 1


# Where the run is when it dies: what the reporter is told, and how often.
MOMENTS = {
    "in the first step": ("joint 1/2", 1),
    "inside an epoch": ("joint 1/2", 3),
    "after the last step of an epoch": ("joint 1/2", 5),
    "during validation": ("validation", 1),
    "in the second epoch": ("joint 2/2", 4),
    "at the start of stage 2": ("generation 1/1", 1),
    "inside stage 2": ("generation 1/1", 3),
}


FAST = ("inside an epoch", "during validation", "inside stage 2")


@pytest.mark.parametrize(
    "moment", [m if m in FAST else pytest.param(m, marks=pytest.mark.slow) for m in MOMENTS]
)
def test_died(moment, tmp_path, phantoms, configured, listener, killed, uninterrupted, outcome_of):
    run = tmp_path / "run"

    def die(what: str, count: int) -> None:
        if (what, count) == MOMENTS[moment]:
            raise killed

    with pytest.raises(killed):
        train(configured(), phantoms, run, reporter=listener(die))
    train(configured(), phantoms, run, resume=True, reporter=listener())
    assert outcome_of(run) == uninterrupted
    assert no_remains(run)


# Which call it dies in, the how manieth.
WRITING = {
    "the processor": (run_folder.KIAProcessor, "save_pretrained", 1),
    "the first checkpoint": (checkpoint, "save_tensors", 2),
    "the third checkpoint": (checkpoint, "save_tensors", 5),
    "the first best model": (run_folder.KIAProcessor, "save_pretrained", 2),
    "the log of a validation": (run_folder.RunFolder, "log", 2),
    "nothing yet of stage 2": (loop.Trainer, "_next_stage", 1),
    "the start of stage 2": (loop, "load_weights", 1),
}
FAST_WRITING = ("the third checkpoint", "the first best model", "the start of stage 2")


@pytest.mark.parametrize(
    "writing",
    [w if w in FAST_WRITING else pytest.param(w, marks=pytest.mark.slow) for w in WRITING],
)
def test_died_while_writing(
    writing, tmp_path, phantoms, configured, listener, killed, monkeypatch,
    uninterrupted, outcome_of,
):  # fmt: skip
    place, name, number = WRITING[writing]
    run, real, calls = tmp_path / "run", getattr(place, name), []

    def dying(*args, **options):
        calls.append(args)
        if len(calls) == number:
            raise killed
        return real(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(place, name, dying)
        with pytest.raises(killed):
            train(configured(), phantoms, run, reporter=listener())
    train(configured(), phantoms, run, resume=True, reporter=listener())
    assert outcome_of(run) == uninterrupted
    assert no_remains(run)


@pytest.mark.slow
def test_died_between_the_two_renames_of_a_model(
    tmp_path, phantoms, configured, listener, killed, uninterrupted, outcome_of
):
    run = tmp_path / "run"

    def die(what: str, count: int) -> None:
        if (what, count) == ("joint 2/2", 1):
            raise killed

    with pytest.raises(killed):
        train(configured(), phantoms, run, reporter=listener(die))
    (run / "model").rename(run / ".model.old")
    (run / ".model.partial").mkdir()
    train(configured(), phantoms, run, resume=True, reporter=listener())
    assert outcome_of(run) == uninterrupted
    assert no_remains(run)


@pytest.mark.slow
def test_a_partial_checkpoint_is_ignored_and_removed(
    tmp_path, phantoms, configured, listener, killed, uninterrupted, outcome_of
):
    run = tmp_path / "run"

    def die(what: str, count: int) -> None:
        if (what, count) == ("joint 1/2", 5):
            raise killed

    with pytest.raises(killed):
        train(configured(), phantoms, run, reporter=listener(die))
    partial = run / "checkpoints" / ".step-00000006.partial"
    partial.mkdir()
    (partial / "module.safetensors").write_bytes(b"half")
    train(configured(), phantoms, run, resume=True, reporter=listener())
    assert outcome_of(run) == uninterrupted
    assert no_remains(run)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    tmp_path, phantoms, configured, listener, killed, uninterrupted, outcome_of
):
    run, told = tmp_path / "run", listener()

    def die(what: str, count: int) -> None:
        if (what, count) == ("generation 1/1", 3):
            raise killed

    with pytest.raises(killed):
        train(configured(), phantoms, run, reporter=listener(die))
    newest = sorted((run / "checkpoints").glob("step-*"))[-1]
    content = bytearray((newest / "module.safetensors").read_bytes())
    content[-9] ^= 1  # one bit of one weight
    (newest / "module.safetensors").write_bytes(content)
    train(configured(), phantoms, run, resume=True, reporter=told)
    assert any("damaged" in note and "the checkpoint before" in note for note in told.notes)
    assert outcome_of(run) == uninterrupted


@pytest.mark.parametrize(
    "change",
    [
        {"train__accumulate": 3},
        pytest.param({"train__precision": "float16"}, marks=pytest.mark.slow),
        pytest.param({"train__activation_checkpointing": True}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_died_in_parts_in_float16_and_with_recomputed_blocks(
    change, tmp_path, phantoms, configured, listener, killed, outcome_of
):
    def die(what: str, count: int) -> None:
        if (what, count) == ("joint 1/1", 4):
            raise killed

    config = configured(train__joint__epochs=1, **change)
    peace, run = tmp_path / "peace", tmp_path / "run"
    train(config, phantoms, peace, reporter=listener())
    with pytest.raises(killed):
        train(config, phantoms, run, reporter=listener(die))
    train(config, phantoms, run, resume=True, reporter=listener())
    assert outcome_of(run) == outcome_of(peace)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_whole_group_with_loader_processes(
    number, tmp_path, processes, uninterrupted, outcome_of
):
    """As a terminal or a scheduler sends it; loaders must not take the run with them."""
    run = tmp_path / "run"
    workers = ("--set", "data.workers=2")
    process = processes.start(run, *workers)
    while last_step(run) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1 and "continue with --resume" in err and "Traceback" not in err
    assert processes.finish(run, "--resume", *workers)[0] == 0
    assert outcome_of(run) == uninterrupted


def test_damaged_checkpoints_alone_are_one_line(tmp_path, phantoms, configured, listener, killed):
    run = tmp_path / "run"

    def die(what: str, count: int) -> None:
        if (what, count) == ("joint 1/2", 3):
            raise killed

    with pytest.raises(killed):
        train(configured(), phantoms, run, reporter=listener(die))
    (only,) = (run / "checkpoints").glob("step-*")
    (only / "progress.json").write_text("{")
    with pytest.raises(RunError, match=r"step-00000002 is damaged.*another --out") as raised:
        train(configured(), phantoms, run, resume=True, reporter=listener())
    assert "\n" not in str(raised.value)
    assert only.is_dir()


@pytest.mark.parametrize(
    ("place", "name", "number"),
    [(checkpoint, "save_file", 3), (run_folder.KIAModel, "save_pretrained", 1)],
)
def test_a_full_disk_is_one_line_and_training_goes_on_afterwards(
    place, name, number, tmp_path, phantoms, configured, listener, monkeypatch, uninterrupted,
    outcome_of,
):  # fmt: skip
    run, real, calls = tmp_path / "run", getattr(place, name), []

    def full(*args, **options):
        calls.append(args)
        if len(calls) == number:
            path = Path(args[1])
            if name == "save_pretrained":
                path.mkdir()
                path /= "model.safetensors"
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(place, name, full)
        with pytest.raises(RunError, match="No space left on device") as raised:
            train(configured(), phantoms, run, reporter=listener())
    assert "\n" not in str(raised.value)
    assert no_remains(run)
    assert last_step(run) in (2, 4)  # the checkpoint before
    train(configured(), phantoms, run, resume=True, reporter=listener())
    assert outcome_of(run) == uninterrupted


def test_log_means_are_over_the_steps_since_the_last_line(
    tmp_path, phantoms, configured, listener, monkeypatch, outcome_of, uninterrupted
):
    """Lines every two steps instead of one an epoch: weighted together they are the same."""
    monkeypatch.setattr(loop, "LOG_EVERY", 2)
    run = tmp_path / "run"
    train(configured(), phantoms, run, reporter=listener())
    fine = [line for line in outcome_of(run)[1] if line["kind"] == "train"]
    coarse = [line for line in uninterrupted[1] if line["kind"] == "train"]
    assert [line["step"] for line in coarse] == [5, 10, 15]
    assert [line["step"] for line in fine] == [2, 4, 5, 7, 9, 10, 12, 14, 15]
    for epoch, line in enumerate(coarse):
        parts = fine[3 * epoch : 3 * epoch + 3]
        for name in ("rg", "gradient_norm"):
            mean = sum(2 * part[name] for part in parts[:2]) + parts[2][name]
            assert mean / 5 == pytest.approx(line[name], rel=1e-5)


def test_stage_2_rehearses_and_says_what(
    tmp_path, phantoms, configured, listener, monkeypatch, killed, outcome_of
):
    """Every second of its five steps; killed between them; losses are means over those steps."""

    def die(what: str, count: int) -> None:
        if (what, count) == ("generation 1/1", 2):
            raise killed

    config = configured(train__joint__epochs=1, train__rehearse_every=2)
    peace, run, fine = tmp_path / "peace", tmp_path / "run", tmp_path / "fine"
    train(config, phantoms, peace, reporter=listener())
    with pytest.raises(killed):
        train(config, phantoms, run, reporter=listener(die))
    train(config, phantoms, run, resume=True, reporter=listener())
    assert outcome_of(run) == outcome_of(peace)
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    train(config, phantoms, fine, reporter=listener())
    stage_2 = [
        [
            line
            for line in outcome_of(folder)[1]
            if line["kind"] == "train" and line["stage"] == "generation"
        ]
        for folder in (peace, fine)
    ]
    (line,), steps = stage_2
    assert ["irc" in step for step in steps] == [True, False, True, False, True]
    for name in ("irc", "mlm", "masked_tokens", "rg"):
        values = [step[name] for step in steps if name in step]
        assert line[name] == pytest.approx(sum(values) / len(values), rel=1e-5)


def test_signals_save_and_leave_with_one_line(
    tmp_path, phantoms, configured, listener, uninterrupted, outcome_of
):
    """SIGTERM in a step, then Ctrl-C during validation, then the rest."""
    run = tmp_path / "run"

    def at(moment: tuple[str, int], number: int):
        def advance(what: str, count: int) -> None:
            if (what, count) == moment:
                signal.raise_signal(number)

        return advance

    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with pytest.raises(RunError, match=r"stopped at step 3; continue with --resume"):
        moment = at(("joint 1/2", 3), signal.SIGTERM)
        train(configured(), phantoms, run, reporter=listener(moment))
    assert last_step(run) == 3
    with pytest.raises(RunError, match=r"stopped at step 5; continue with --resume"):
        moment = at(("validation", 1), signal.SIGINT)
        train(configured(), phantoms, run, resume=True, reporter=listener(moment))
    assert last_step(run) == 5
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    train(configured(), phantoms, run, resume=True, reporter=listener())
    assert outcome_of(run) == uninterrupted


def test_a_killed_process(tmp_path, processes, uninterrupted, outcome_of):
    """The real thing: `kia train`, signal 9, `kia train --resume`."""
    run = tmp_path / "run"
    processes.kill(run, lambda: last_step(run) >= 7)
    code, out, err = processes.finish(run, "--resume")
    assert code == 0, err
    assert "continuing at step" in err and str(run / "model") in out
    assert outcome_of(run) == uninterrupted
    assert no_remains(run)


@pytest.mark.slow
def test_a_process_killed_again_and_again(tmp_path, processes, uninterrupted, outcome_of):
    """Before the first checkpoint, while one is written, in validation, in stage 2."""
    run = tmp_path / "run"
    partial = (run / "checkpoints").glob

    def log_lines(kind: str) -> int:
        log = run / "log.jsonl"
        return log.read_text().count(f'"{kind}"') if log.is_file() else 0

    processes.kill(run, lambda: (run / "processor").is_dir(), "--resume")
    processes.kill(run, lambda: any(partial(".step-*")), "--resume")
    processes.kill(run, lambda: last_step(run) >= 4 and any(partial(".step-*")), "--resume")
    processes.kill(run, lambda: log_lines("train") >= 1, "--resume")
    processes.kill(run, lambda: log_lines("validation") >= 1, "--resume")
    processes.kill(run, lambda: (run / ".model.partial").is_dir(), "--resume")
    processes.kill(run, lambda: "generation" in stages(run), "--resume")
    processes.kill(run, lambda: last_step(run) >= 12, "--resume")
    processes.kill(run, lambda: log_lines("validation") >= 3, "--resume")
    code, _, err = processes.finish(run, "--resume")
    assert code == 0, err
    assert outcome_of(run) == uninterrupted
    assert no_remains(run)


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.0, 0.03, 0.11, 0.17, 0.29, 0.41])
def test_a_process_killed_at_an_arbitrary_time(
    delay, tmp_path, processes, uninterrupted, outcome_of
):
    run = tmp_path / "run"
    ready: list[float] = []

    def late() -> bool:
        if last_step(run):
            ready.append(time.monotonic())
        return bool(ready) and time.monotonic() >= ready[0] + delay

    processes.kill(run, late)
    assert processes.finish(run, "--resume")[0] == 0
    assert outcome_of(run) == uninterrupted


@pytest.mark.slow
def test_killed_with_loader_processes(tmp_path, processes, uninterrupted, outcome_of):
    """Workers change nothing, and those of a dead run do not keep its folder locked."""
    run = tmp_path / "run"
    workers = ("--set", "data.workers=2")
    processes.kill(run, lambda: last_step(run) >= 3, *workers)
    code, _, err = processes.finish(run, "--resume", *workers)
    assert code == 0, err
    assert outcome_of(run) == uninterrupted


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_process(number, tmp_path, processes, uninterrupted, outcome_of):
    run = tmp_path / "run"
    process = processes.start(run)
    while last_step(run) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    lines = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and "continue with --resume" in lines[0]
    assert "Traceback" not in err
    assert processes.finish(run, "--resume")[0] == 0
    assert outcome_of(run) == uninterrupted


@pytest.mark.slow
def test_a_process_on_a_full_disk(tmp_path, processes, uninterrupted, outcome_of):
    """A limit on the size of files stands in for the disk."""
    run = tmp_path / "run"
    words = " ".join(processes.words(run))
    limited = f"trap '' XFSZ; ulimit -f 200; exec {words}"
    done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert [line[:26] for line in done.stderr.splitlines() if "error" in line] == [
        "error: cannot save a check"
    ]
    assert "Traceback" not in done.stderr
    assert not list((run / "checkpoints").iterdir())
    assert processes.finish(run, "--resume")[0] == 0
    assert outcome_of(run) == uninterrupted
