"""Average gain, intervals and the paper's order, by hand."""

from typing import Any

import numpy as np
import pytest

from kia.ablations.results import ScoredRun, ablation_result, average_gain
from kia.ablations.settings import ABLATIONS
from kia.evaluation.language.scores import METRICS

BASE = dict(zip(METRICS, (0.4, 0.3, 0.2, 0.1, 0.2, 0.4, 0.5), strict=True))


def scaled(factor: float) -> dict[str, Any]:
    return {metric: value * factor for metric, value in BASE.items()}


def test_average_gain_is_the_mean_of_relative_improvements() -> None:
    # +10 % on four metrics, +100 % on CIDEr, nothing on two: 1.4 / 7
    better = BASE | {m: BASE[m] * 1.1 for m in ("bleu_1", "bleu_2", "meteor", "rouge_l")}
    assert average_gain(better | {"cider": 1.0}, BASE) == pytest.approx(1.4 / 7)
    assert average_gain(BASE, BASE) == 0
    assert average_gain(scaled(0.5), BASE) == pytest.approx(-0.5)


def test_average_gain_leaves_out_what_cannot_be_compared() -> None:
    no_meteor = scaled(1.2) | {"meteor": None}
    assert average_gain(no_meteor, BASE) == pytest.approx(0.2)
    collapsed = BASE | {"bleu_4": 1e-9}  # no four words match: BLEU's smoothing is all there is
    assert average_gain(scaled(1.2), collapsed) == pytest.approx(0.2)
    assert average_gain(BASE, dict.fromkeys(METRICS, 0.0)) is None
    assert average_gain({}, BASE) is None


def run(seed: int, factor: float, noise: float = 0.0, draws: int = 50) -> ScoredRun:
    """Scores of BASE times a factor; resamples spread evenly, by the same studies in all runs."""
    shift = 1 + noise * np.linspace(-1, 1, draws)
    result = {
        "n": 9,
        "name": "run",
        "protocols": {"r2gen": scaled(factor)},
        "baselines": {"constant": {"r2gen": scaled(1.5)}, "nearest": {"r2gen": BASE}},
        "dataset": {"split": "test"},
        "image_gain": None,
        "version": "0",
    }
    resampled = {f"protocols.r2gen.{m}": v * shift for m, v in scaled(factor).items()}
    return ScoredRun(seed, f"runs/{seed}", result, resampled, 7)


def table3(**factors: Any) -> dict[str, Any]:
    runs = {
        name: [run(seed, factor) for seed, factor in enumerate(factors.get(name, (1.0,)))]
        for name in (n.replace("-", "_") for n in ABLATIONS["table3"].rows)
    }
    return ablation_result("table3", {name.replace("_", "-"): r for name, r in runs.items()})


def test_one_seed_has_the_gain_over_the_baseline_and_its_interval() -> None:
    runs = {name: [run(0, 1.0, 0.1)] for name in ABLATIONS["table3"].rows}
    runs["kia-graph"] = [run(0, 1.2, 0.1)]
    found = ablation_result("table3", runs)
    gains = {row["setting"]: row["gain"] for row in found["rows"]}
    # the same studies in both: their luck falls out of the ratio
    assert gains["kia-graph"]["value"] == pytest.approx(0.2)
    assert gains["kia-graph"]["interval"] == pytest.approx([0.2, 0.2])
    assert found["baselines"] == {"constant": pytest.approx(0.5)}


def test_the_mean_of_gains_over_seeds_is_the_gain_of_the_printed_means() -> None:
    three = {"rg_only": (0.8, 1.0, 1.2), "kia_graph": (1.2, 1.5, 1.8)}
    others = {n.replace("-", "_"): (1.0, 1.0, 1.0) for n in ABLATIONS["table3"].rows}
    found = table3(**(others | three))
    row = next(row for row in found["rows"] if row["setting"] == "kia-graph")
    assert row["result"]["protocols"]["r2gen"]["cider"] == pytest.approx(0.75)
    assert row["gain"]["value"] == pytest.approx(0.5)  # mean 1.5 against mean 1.0
    assert row["gain"]["sd"] == pytest.approx(0.3)  # of 0.2, 0.5, 0.8
    assert "interval" not in row["gain"]
    assert found["seeds"] == [0, 1, 2]


def claim(found: dict[str, Any], better: str, worse: str) -> dict[str, Any]:
    pairs = {(c["better"], c["worse"]): c for c in found["claims"]}
    return pairs[better, worse]


def test_the_papers_order_is_said_to_hold_or_not() -> None:
    found = table3(mim_general=(1.3,), mim_anatomy=(1.1,), kia_graph=(1.2,))
    assert claim(found, "mim-general", "rg-only")["holds"]
    wrong = claim(found, "mim-anatomy", "mim-general")
    assert not wrong["holds"] and wrong["certain"]
    assert wrong["value"] == pytest.approx(-0.2)
    equal = claim(found, "mlm-graph", "rg-only")  # no difference at all is no better
    assert not equal["holds"] and not equal["certain"]


def test_an_order_that_seeds_disagree_on_is_uncertain() -> None:
    others = {n.replace("-", "_"): (1.0, 1.0) for n in ABLATIONS["table3"].rows}
    found = table3(**(others | {"mim_anatomy": (1.4, 0.9), "mlm_graph": (1.2, 1.21)}))
    unsure = claim(found, "mim-anatomy", "mim-general")  # +.4 and −.1: mean .15, sd .354
    assert unsure["holds"] and not unsure["certain"]
    assert unsure["value"] == pytest.approx(0.15)
    assert unsure["sd"] == pytest.approx(0.35355, abs=1e-5)
    assert claim(found, "mlm-graph", "mlm-general")["certain"]
