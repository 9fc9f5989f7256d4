"""Several systems in one result. Expected numbers: those of each system alone, and arithmetic."""

import json
from typing import Any

import numpy as np
import pytest

import kia
from kia.errors import UsageError
from kia.evaluation.statistics.intervals import Measure
from kia.evaluation.statistics.paired import holm, paired_differences
from kia.evaluation.statistics.seeds import mean_measure

REFS = {"a": "The heart is big.", "b": "The lungs are clear.", "c": "No effusion is seen."}
OURS = {"c": "No effusion.", "a": "The heart is big.", "b": "The lungs are clear."}
THEIRS = {"c": "No effusion.", "a": "The heart is normal.", "b": "The lungs are big."}
TRAIN = ["The lungs are clear."] * 3 + ["The heart is big.", "No pleural effusion is seen."]


def compared(systems: dict[str, Any], **more: Any) -> dict[str, Any]:
    return kia.evaluate(REFS, systems, train=TRAIN, resamples=200, **more)


def test_each_system_has_what_is_written_of_it_alone() -> None:
    found = compared({"ours": OURS, "theirs": THEIRS})
    assert list(found["systems"]) == ["ours", "theirs"]
    for name, hyps in (("ours", OURS), ("theirs", THEIRS)):
        alone = kia.evaluate(REFS, hyps, train=TRAIN, resamples=200)
        assert found["systems"][name] == {**alone, "name": name}
    assert json.loads(json.dumps(found, allow_nan=False))["n"] == 3
    assert found["baselines"]["constant"] == found["systems"]["ours"]["baselines"]["constant"]
    assert "nearest" not in found["baselines"]  # it belongs to one system's embeddings


def test_the_best_of_a_score_is_named_with_the_baseline_it_must_beat() -> None:
    found = compared({"ours": OURS, "same": OURS, "theirs": THEIRS})
    best = found["best"]["protocols"]["r2gen-full"]["bleu_1"]
    scores = {name: one["protocols"]["r2gen-full"] for name, one in found["systems"].items()}
    bars = [one["r2gen-full"]["bleu_1"] for one in found["baselines"].values()]
    assert best["value"] == max(one["bleu_1"] for one in scores.values())
    assert best["systems"] == ["ours", "same"]
    assert best["baseline"] == max(bars)
    assert best["beats_baselines"] is (best["value"] > max(bars))


def test_a_copied_constant_beats_no_baseline() -> None:
    found = compared({"a": dict.fromkeys(REFS, TRAIN[0])})  # it is the most frequent report
    best = found["best"]["protocols"]["r2gen"]["rouge_l"]
    assert best["systems"] == ["a"]
    assert best["value"] <= best["baseline"]
    assert best["beats_baselines"] is False


def test_runs_of_a_system_are_averaged_as_files_are() -> None:
    found = compared({"ours": [OURS, THEIRS], "theirs": THEIRS}, against="theirs")
    ours = found["systems"]["ours"]
    each = [run["graph_f1_kia"]["simple"] for run in ours["runs"]]
    assert len(set(each)) == 2
    assert ours["graph_f1_kia"]["simple"] == pytest.approx(sum(each) / 2)
    assert ours["sd"]["graph_f1_kia"]["simple"] == pytest.approx(np.std(each, ddof=1))
    difference = ours["against"]["graph_f1_kia"]["simple"]["difference"]
    assert difference == pytest.approx(sum(each) / 2 - each[1])


def test_differences_are_those_of_two_systems_and_corrected_for_the_others() -> None:
    found = compared({"ours": OURS, "theirs": THEIRS, "third": TRAIN[2:5]}, against="theirs")
    alone = kia.evaluate(REFS, OURS, train=TRAIN, resamples=200, against=THEIRS)["against"]
    values = found["systems"]["ours"]["against"]["clinical"]["uncertain_negative"]["micro_14"]["f1"]
    single = alone["clinical"]["uncertain_negative"]["micro_14"]["f1"]
    assert {key: values[key] for key in single} == single
    third = found["systems"]["third"]["against"]["clinical"]["uncertain_negative"]["micro_14"]["f1"]
    assert [values["p_holm"], third["p_holm"]] == holm([values["p_value"], third["p_value"]])
    assert "against" not in found["systems"]["theirs"]
    assert found["against"] == "theirs"


def test_reports_that_are_no_named_system_become_one() -> None:
    found = compared({"ours": OURS}, against=list(THEIRS.values()))
    assert list(found["systems"]) == ["ours", "against"]
    assert found["against"] == "against"


def test_a_system_that_has_the_name_of_what_it_is_compared_with_is_not_replaced() -> None:
    with pytest.raises(UsageError, match="a system is called 'against'"):
        compared({"ours": OURS, "against": THEIRS}, against=list(OURS.values()))


def test_a_text_among_systems_is_refused() -> None:
    with pytest.raises(UsageError, match="'ours' is a system, 'theirs' a text"):
        kia.evaluate(REFS, {"ours": OURS, "theirs": "c.csv"})


def test_holm_is_that_of_the_textbook() -> None:
    """Reference: R 4.3, p.adjust(c(.01, .04, .03, .005), "holm") = .03 .06 .06 .02."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_mean_of_runs_is_resampled_with_all_its_runs() -> None:
    """The mean of means: of a system and a constant shift of it, half of the shift away."""

    def mean(values: np.ndarray) -> Measure:
        rows = np.column_stack([values, np.ones(len(values))])
        return Measure(rows, lambda sums: {"mean": sums[:, 0] / sums[:, 1]})

    values = np.random.default_rng(0).normal(size=50)
    both = mean_measure([mean(values), mean(values + 1)])
    assert both.values()["mean"] == pytest.approx(values.mean() + 0.5)
    found = paired_differences(both, mean_measure([mean(values)] * 2))["mean"]
    assert found["interval"] == pytest.approx((0.5, 0.5))
