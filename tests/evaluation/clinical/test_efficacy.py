"""Clinical efficacy. Expected numbers: computed by hand, and scikit-learn's."""

import numpy as np
import pytest

from kia.errors import DataError
from kia.evaluation.clinical.efficacy import (
    CELLS,
    FIVE,
    POLICIES,
    PUBLISHED_CELLS,
    clinical_grid,
    clinical_measures,
    positives,
)
from kia.knowledge.chexpert import OBSERVATIONS

# Four studies; the worked example of docs/evaluation.md.
REFS = [
    {"Cardiomegaly": 1, "Edema": 1},
    {"Edema": -1, "Pleural Effusion": 0},
    {"No Finding": 1},
    {"Fracture": 1, "Cardiomegaly": 0},
]
HYPS = [
    {"Cardiomegaly": 1, "Edema": 0},
    {"Edema": 1},
    {"No Finding": 1},
    {"Edema": -1, "Fracture": None},
]


def grid_of(hyps: list, refs: list) -> dict:
    return clinical_grid(clinical_measures(hyps, refs))


def cell(policy: str, name: str) -> tuple[float, ...]:
    found = grid_of(HYPS, REFS)[policy][name]
    return found["precision"], found["recall"], found["f1"]


def test_micro_adds_up_hits_over_observations() -> None:
    """Uncertain negative: calls Cm, Ed, NF; truths Cm, Ed, NF, Fx; hits Cm, NF.

    Uncertain positive: calls Cm, Ed, Ed, NF; truths Cm, Ed, Ed, NF, Fx; hits Cm, Ed, NF.
    """
    assert cell("uncertain_negative", "micro_14") == pytest.approx((2 / 3, 2 / 4, 4 / 7))
    assert cell("uncertain_positive", "micro_14") == pytest.approx((3 / 4, 3 / 5, 6 / 9))
    assert cell("uncertain_negative", "micro_5") == pytest.approx((1 / 2, 1 / 2, 1 / 2))
    assert cell("uncertain_positive", "micro_5") == pytest.approx((2 / 3, 2 / 3, 2 / 3))


def test_macro_is_the_mean_over_observations_and_nothing_counts_zero() -> None:
    """Uncertain negative: F1 is 1 for Cm and NF, 0 for the other twelve."""
    assert cell("uncertain_negative", "macro_14") == pytest.approx((2 / 14, 2 / 14, 2 / 14))
    assert cell("uncertain_negative", "macro_13") == pytest.approx((1 / 13, 1 / 13, 1 / 13))
    assert cell("uncertain_negative", "macro_5") == pytest.approx((1 / 5, 1 / 5, 1 / 5))
    # Edema now: 1 hit, 2 calls, 2 truths
    assert cell("uncertain_positive", "macro_5") == pytest.approx((1.5 / 5, 1.5 / 5, 1.5 / 5))


def test_example_is_the_mean_over_studies() -> None:
    """Uncertain negative: study 1 has P 1, R 1/2, F1 2/3; study 3 has 1; the others 0."""
    assert cell("uncertain_negative", "example_14") == pytest.approx(
        ((1 + 1) / 4, (1 / 2 + 1) / 4, (2 / 3 + 1) / 4)
    )
    assert cell("uncertain_positive", "example_5") == pytest.approx(
        ((1 + 1) / 4, (1 / 2 + 1) / 4, (2 / 3 + 1) / 4)
    )


def test_every_observation_has_its_row_and_its_support() -> None:
    rows = grid_of(HYPS, REFS)
    assert list(rows) == list(POLICIES)
    assert set(rows["uncertain_negative"]["observations"]) == set(OBSERVATIONS)
    edema = [rows[policy]["observations"]["Edema"] for policy in POLICIES]
    assert edema[0] == {"precision": 0, "recall": 0, "f1": 0, "support": 1}
    assert edema[1] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}


def labels(rng: np.random.Generator, studies: int) -> list[dict[str, int | None]]:
    values = rng.choice([1, 0, -1, None], size=(studies, 14), p=[0.2, 0.3, 0.1, 0.4])
    return [dict(zip(OBSERVATIONS, row, strict=True)) for row in values]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("studies", [1, 7, 200])
def test_all_averages_are_those_of_scikit_learn(policy: str, studies: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(studies)
    hyps, refs = labels(rng, studies), labels(rng, studies)
    grid = grid_of(hyps, refs)[policy]
    said, true = positives(hyps, policy), positives(refs, policy)
    columns = {
        "14": list(range(14)),
        "5": [OBSERVATIONS.index(name) for name in FIVE],
        "13": [i for i in range(14) if OBSERVATIONS[i] != "No Finding"],
    }
    for name in CELLS:
        average, size = name.split("_")
        chosen = columns[size]
        expected = metrics.precision_recall_fscore_support(
            true[:, chosen],
            said[:, chosen],
            average="samples" if average == "example" else average,
            zero_division=0,
        )[:3]
        assert list(grid[name].values()) == pytest.approx(expected), name
    each = metrics.precision_recall_fscore_support(true, said, average=None, zero_division=0)
    for row, observation in zip(np.transpose(each), OBSERVATIONS, strict=True):
        assert list(grid["observations"][observation].values()) == pytest.approx(row)


def test_intervals_hold_the_values_and_an_exact_system_leaves_no_doubt() -> None:
    rng = np.random.default_rng(1)
    hyps, refs = labels(rng, 150), labels(rng, 150)
    measure = clinical_measures(hyps, refs)["uncertain_negative"]
    values = measure.values()
    for name, (low, high) in measure.intervals(resamples=300).items():
        assert low <= values[name] <= high, name
    exact = clinical_measures(refs, refs)["uncertain_negative"]
    assert exact.intervals(resamples=300)["micro_14.f1"] == (1.0, 1.0)


def test_some_of_the_studies_score_as_if_they_were_alone() -> None:
    some = clinical_measures(HYPS, REFS)["uncertain_positive"].of(np.array([0, 3]))
    alone = clinical_measures([HYPS[0], HYPS[3]], [REFS[0], REFS[3]])["uncertain_positive"]
    assert some.values() == alone.values()


def test_names_of_the_published_cells_exist() -> None:
    for paper in PUBLISHED_CELLS:
        assert set(paper.cells) <= set(CELLS)
        assert set(paper.policies) <= set(POLICIES)
    assert "macro_14" in PUBLISHED_CELLS[0].cells  # R2Gen


def test_malformed_labels_are_refused() -> None:
    with pytest.raises(DataError, match="'Effusion' is none of the 14"):
        grid_of([{"Effusion": 1}], [{}])
    with pytest.raises(DataError, match="Edema: a label is 1, 0, -1 or blank, not 2"):
        grid_of([{"Edema": 2}], [{}])
    with pytest.raises(DataError, match="labels of 2 reports for 1 references"):
        grid_of([{}, {}], [{}])
