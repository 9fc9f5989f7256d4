"""`train.patience`: validations without a better model that end a stage."""

import json

import pytest

from kia.training import loop, train
from kia.training.validation import Validation


@pytest.fixture
def faked(monkeypatch):
    """Validations that find these CIDErs, one after another."""

    def fake(*ciders: float) -> None:
        left = iter(ciders)

        def validate(model, builder, studies, *_):
            return Validation(next(left), 3, len(studies), 1.0, 0.3, ["a", "b", "c"])

        monkeypatch.setattr(loop, "validate", validate)

    return fake


def told(run, kind, *names) -> list[tuple]:
    lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return [tuple(map(line.get, names)) for line in lines if line["kind"] == kind]


def test_a_stage_ends_after_so_many_validations_also_after_a_kill(
    tmp_path, phantoms, configured, listener, faked, killed
):
    """Two without a better one end stage 1 at epoch 4 of 6; stage 2 counts from anew."""
    config = configured(
        train__patience=2, train__joint__epochs=6, train__generation__epochs=4,
        train__batch_size=32,
    )  # fmt: skip
    run = tmp_path / "run"

    def die(what: str, count: int) -> None:
        if (what, count) == ("joint 4/6", 1):
            raise killed

    faked(0.1, 0.3, 0.2)
    with pytest.raises(killed):
        train(config, phantoms, run, reporter=listener(die))
    faked(0.3, 0.2, 0.4, 0.1, 0.2)
    reporter = listener()
    train(config, phantoms, run, resume=True, reporter=reporter)
    validated = told(run, "validation", "stage", "epoch", "best")
    assert validated == [
        ("joint", 1, True), ("joint", 2, True), ("joint", 3, False), ("joint", 4, False),
        ("generation", 5, False), ("generation", 6, True), ("generation", 7, False),
        ("generation", 8, False),
    ]  # fmt: skip
    assert told(run, "stopped_early", "stage", "epoch") == [("joint", 4), ("generation", 8)]
    assert sum("the stage ends" in note for note in reporter.notes) == 2
