"""What the rules say of hand-written logs; the numbers are those of docs/results.md."""

import pytest

from kia.training.health import health_warnings

# epoch, CIDEr, different reports of 296, validation loss, image gain, kept: docs/results.md and
# the log behind it; training losses between them.
IU_XRAY = [
    (4, 0.333, 1, 2.502, 0.005, True, 2.50),
    (8, 0.340, 3, 2.176, 0.010, True, 2.01),
    (12, 0.338, 3, 1.890, 0.014, False, 1.58),
    (16, 0.300, 6, 1.809, 0.019, False, 1.30),
    (20, 0.348, 13, 1.767, 0.024, True, 1.13),
    (22, 0.366, 14, 1.773, 0.031, True, 1.07),
    (24, 0.457, 10, 1.789, 0.033, True, 1.01),
    (26, 0.419, 22, 1.777, 0.037, False, 0.99),
    (28, 0.241, 26, 1.782, 0.037, False, 0.95),
]
# Report generation alone on phantoms, of 200: docs/decisions/0011.
PHANTOMS = [
    (2, 0.523, 1, 0.755, 0.006, True, 1.517),
    (4, 0.448, 29, 0.638, 0.035, False, 0.710),
    (6, 0.610, 42, 0.617, 0.065, True, 0.639),
    (8, 0.662, 56, 0.598, 0.092, True, 0.602),
    (10, 0.605, 84, 0.595, 0.136, False, 0.578),
    (12, 0.562, 93, 0.580, 0.151, False, 0.556),
]


def written(rows, studies, stage="generation", **more) -> list[dict]:
    """A line of training before each validation."""
    log = []
    for epoch, cider, unique, loss, gain, best, training in rows:
        where = {"stage": stage, "epoch": epoch, "step": 10 * epoch}
        log.append({"kind": "train", **where, "rg": training})
        validation = {"cider": cider, "unique_reports": unique, "studies": studies}
        validation |= {"loss": loss, "image_gain": gain, "best": best}
        log.append({"kind": "validation", **where, **validation, **more})
    return log


def rules(log, **how) -> list[str]:
    return [warning.rule for warning in health_warnings(log, **how)]


def test_the_collapsed_run_on_iu_xray_is_called_collapsed():
    found = {w.rule: w for w in health_warnings(written(IU_XRAY, 296))}
    assert found.keys() == {"few_reports", "image_unused", "over_fitted"}
    assert "10 different reports for 296 studies at epoch 24" in found["few_reports"].text
    assert "kept" in found["few_reports"].text
    assert "0.037 nats a token" in found["image_unused"].text
    assert "epoch 20 (1.767, now 1.782)" in found["over_fitted"].text
    assert all(warning.advice for warning in found.values())


def test_the_healthy_run_on_phantoms_is_not():
    assert rules(written(PHANTOMS, 200), finished=True) == []


def test_the_first_validations_say_nothing_of_collapse_until_the_run_is_over():
    start = written(PHANTOMS[:2], 200)
    assert rules(start) == []
    assert rules(start, finished=True) == ["few_reports", "image_unused"]  # kept: one report
    assert rules(written(IU_XRAY[:4], 296)) == []
    assert rules(written(IU_XRAY[:5], 296)) == ["few_reports", "image_unused"]


def test_nothing_logged_says_nothing():
    assert rules([]) == rules([], finished=True) == []
    assert rules([{"kind": "knowledge", "reports_without_labels": 0.0}], finished=True) == []


# lowest 1.0 at epoch 2 with a gap of .1; what comes after it, and whether it is over-fitting
@pytest.mark.parametrize(
    ("after", "is_over_fitted"),
    [
        ([(1.02, 0.85), (1.03, 0.80), (1.05, 0.75)], True),
        ([(1.02, 0.85), (1.05, 0.75)], False),  # two validations are not three
        ([(1.02, 0.92), (1.03, 0.92), (1.04, 0.92)], False),  # the training loss rises too
        ([(1.02, 0.85), (0.99, 0.80), (1.05, 0.75)], False),  # a new lowest in between
    ],
)
def test_over_fitting_is_a_growing_gap_while_validation_stays_above_its_lowest(
    after, is_over_fitted
):
    losses = [(1.2, 1.1), (1.0, 0.9), *after]
    rows = [(n, 0.5, 90, loss, 0.2, True, rg) for n, (loss, rg) in enumerate(losses, start=1)]
    assert rules(written(rows, 100)) == (["over_fitted"] if is_over_fitted else [])


def test_over_fitting_is_looked_for_in_the_last_stage_alone():
    joint = [(n, 0.5, 90, loss, 0.2, True, 0.9) for n, loss in enumerate([1.0, 1.1, 1.1], 1)]
    then = [(n, 0.5, 90, 1.2, 0.2, True, 0.5) for n in range(4, 6)]
    assert rules(written(joint, 100, stage="joint") + written(then, 100)) == []


def test_starvation_is_that_of_the_newest_epoch():
    slow, fast = ({"kind": "train", "data_wait": wait} for wait in (0.6, 0.01))
    assert rules([slow | {"epoch": 1}, fast | {"epoch": 2}]) == []
    log = [fast | {"epoch": 1}, slow | {"epoch": 2}, slow | {"epoch": 2, "data_wait": 0.4}]
    (warning,) = health_warnings(log)
    assert warning.rule == "starved" and "50%" in warning.text
    assert "data.workers" in warning.advice
    assert rules([{"kind": "train", "epoch": 1}]) == []  # a log of before


def test_saturation():
    alike = written(PHANTOMS, 200, stage="joint", image_similarity=0.99, attention_entropy=0.9)
    assert rules(alike) == ["images_alike"]
    after = written(PHANTOMS, 200, image_similarity=0.99, attention_entropy=0.9)
    assert rules(after) == []  # nothing trains the projections in stage 2
    assert rules(written(PHANTOMS, 200, attention_entropy=0.99)) == ["attention_even"]
    assert rules(written(PHANTOMS, 200, attention_entropy=0.967)) == []


def test_steps_left_out_are_counted_and_the_last_is_named():
    skipped = {"kind": "skipped", "stage": "joint", "epoch": 1, "not_finite": ["rg"]}
    log = [skipped | {"step": 3, "studies": ["a", "b"]}, skipped | {"step": 9, "studies": ["c"]}]
    (warning,) = health_warnings(log)
    assert warning.rule == "not_finite"
    assert "2 of 9 steps" in warning.text and warning.text.endswith("studies c")
