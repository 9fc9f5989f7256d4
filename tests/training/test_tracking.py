"""What TensorBoard itself reads of a run."""

import json
import sys
from pathlib import Path

import pytest

from kia.errors import MissingDependency
from kia.training import train
from kia.training.tracking import Tracker

pytest.importorskip("tensorboard")


def read(run: Path):
    """Scalars as {tag: [(step, value)]} and texts as {tag: [(step, text)]}."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run / "tensorboard"), {"tensors": 0, "scalars": 0})
    found.Reload()
    tags = found.Tags()
    scalars = {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in tags["scalars"]}
    texts = {
        tag.removesuffix("/text_summary"): [
            (event.step, event.tensor_proto.string_val[0].decode()) for event in found.Tensors(tag)
        ]
        for tag in tags["tensors"]
    }
    return scalars, texts


def logged(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    "moment",
    ["inside an epoch", pytest.param("after a validation", marks=pytest.mark.slow), "before one"],
)
def test_after_a_kill_tensorboard_shows_what_the_log_says_once(
    moment, tmp_path, phantoms, configured, listener, killed
):
    run = tmp_path / "run"
    # a checkpoint after step 5, the last of an epoch: its validation is still to come
    every = 5 if moment == "before one" else 2
    config = configured(train__tensorboard=True, train__checkpoint_every=every)
    where = {
        "inside an epoch": ("joint 2/2", 2),
        "after a validation": ("joint 2/2", 1),
        "before one": ("validation", 1),
    }[moment]

    def die(what: str, count: int) -> None:
        if (what, count) == where:
            raise killed

    with pytest.raises(killed):
        train(config, phantoms, run, reporter=listener(die))
    train(config, phantoms, run, resume=True, reporter=listener())
    scalars, texts = read(run)
    lines = logged(run)
    trained = [line for line in lines if line["kind"] == "train"]
    validated = [line for line in lines if line["kind"] == "validation"]
    for name, tag in {"rg": "loss/rg", "gradient_norm": "step/gradient_norm"}.items():
        expected = [(line["step"], pytest.approx(line[name])) for line in trained]
        assert scalars[tag] == expected
    assert scalars["validation/cider"] == [
        (line["step"], pytest.approx(line["cider"])) for line in validated
    ]
    joint = [line["step"] for line in trained if line["stage"] == "joint"]
    for tag in ("loss/mim", "loss/irc", "step/temperature", "masked/patches", "masked/tokens"):
        assert [step for step, _ in scalars[tag]] == joint
    assert {"step/learning_rate", "speed/studies_per_second", "speed/data_wait"} <= scalars.keys()
    assert {"validation/loss", "validation/image_gain", "validation/attention_entropy"} <= (
        scalars.keys()
    )
    assert [step for step, _ in texts["generated reports"]] == [5, 10, 15]


def test_generated_reports_are_shown_and_no_true_ones(
    tmp_path, phantoms, dataset, configured, listener
):
    run = tmp_path / "run"
    config = configured(train__tensorboard=True, train__joint__epochs=0)
    train(config, phantoms, run, reporter=listener())
    ((_, text),) = read(run)[1]["generated reports"]
    assert all(study in text for study in dataset.ids("val"))
    events = b"".join(path.read_bytes() for path in (run / "tensorboard").iterdir())
    assert not any(report.encode() in events for report in dataset.reports("val"))


def test_missing_tensorboard_is_said_before_anything_is_written(
    tmp_path, phantoms, configured, listener, monkeypatch
):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingDependency, match=r"pip install 'kia\[tracking\]'"):
        train(configured(train__tensorboard=True), phantoms, tmp_path / "run", reporter=listener())
    assert not (tmp_path / "run").exists()


def test_warnings_are_shown(tmp_path):
    tracker = Tracker(tmp_path, 0, [])
    tracker.line({"kind": "warning", "step": 3, "rule": "x", "text": "it is slow", "advice": "y"})
    tracker.close()
    assert read(tmp_path)[1]["warnings"] == [(3, "it is slow: y")]
