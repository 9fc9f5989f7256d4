"""The scoreboard's JSON and what a reader sees of it."""

import json
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from kia.errors import DataError, UsageError
from kia.evaluation.board.entries import Settings
from kia.evaluation.board.rendering import render, scoreboard_page
from kia.evaluation.board.scoreboard import Evaluation
from kia.evaluation.board.systems import References, System
from kia.evaluation.board.tables import short_range
from kia.evaluation.clinical.efficacy import CELLS, POLICIES
from kia.evaluation.language.scores import METRICS, PROTOCOLS
from kia.evaluation.statistics.seeds import over_seeds
from kia.knowledge.chexpert import OBSERVATIONS
from kia.knowledge.organs import ORGANS
from kia.knowledge.radgraph import Entity, ReportGraph

REFS = {"a": "The heart is big.", "b": "The lungs are clear.", "c": "No effusion is seen."}
HYPS = {"c": "No effusion.", "a": "The heart is normal.", "b": "The lungs are clear."}
TRAIN = ["The lungs are clear."] * 3 + ["The heart is big.", "No pleural effusion is seen."]
VECTORS = np.eye(5), np.eye(5)[[4, 3, 0]]  # for c, a, b in this order


def evaluate_predictions(
    hyps: dict[str, str],
    refs: dict[str, str],
    train: list[str] | None = None,
    embeddings: Any = None,
    **more: Any,
) -> dict[str, Any]:
    system = System(hyps, embeddings=embeddings)
    return Evaluation([system], References(refs, train, **more)).results[0]


def shown(result: dict[str, Any], width: int = 120) -> str:
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(render(scoreboard_page(result)))
    return capture.get()


@pytest.fixture
def result() -> dict[str, Any]:
    origin = {"hash": "abc", "split": "test"}
    return evaluate_predictions(HYPS, REFS, TRAIN, embeddings=VECTORS, origin=origin)


def test_the_json_has_the_keys_of_its_schema(result: dict[str, Any]) -> None:
    """The first ten are the stable schema; later versions only add."""
    assert list(json.loads(json.dumps(result, allow_nan=False)))[:10] == [
        "n", "protocols", "clinical", "radgraph_f1", "diversity", "baselines", "confidence",
        "dataset", "version", "notes",
    ]  # fmt: skip
    assert result["n"] == 3
    assert list(result["protocols"]) == list(PROTOCOLS)
    assert list(result["protocols"].pop("rexrank")) == ["bleu_2"]
    assert all(list(values) == list(METRICS) for values in result["protocols"].values())
    assert list(result["clinical"]) == list(POLICIES)
    for policy in POLICIES:
        assert list(result["clinical"][policy]) == [*CELLS, "observations"]
        assert list(result["clinical"][policy]["observations"]) == list(OBSERVATIONS)
        row = result["clinical"][policy]["observations"]["Edema"]
        assert list(row) == ["precision", "recall", "f1", "support"]
    assert result["radgraph_f1"] is None  # no graphs were given, and kia's are not called so
    assert list(result["graph_f1_kia"]) == ["simple", "partial", "complete"]
    assert list(result["clinical_errors"]["organs"]) == list(ORGANS)
    assert list(result["diversity"])[:3] == ["unique_reports", "unique_ratio", "mean_length"]
    for name in ("constant", "best_constant", "best_constant_bleu_4", "most_frequent", "nearest"):
        assert list(result["baselines"][name]["r2gen"]) == list(METRICS)
        assert list(result["baselines"][name]["clinical"]["uncertain_negative"]) == list(CELLS)
        assert list(result["baselines"][name]["graph_f1_kia"]) == ["simple", "partial", "complete"]
        assert "radgraph_f1" not in result["baselines"][name]
    assert all(len(result["confidence"]["r2gen"][metric]) == 2 for metric in METRICS)
    assert len(result["confidence"]["graph_f1_kia"]["complete"]) == 2
    assert len(result["confidence"]["clinical_errors"]["organs"]["pleura"]["weight"]) == 2
    for policy in POLICIES:
        assert len(result["confidence"]["clinical"][policy]["micro_14"]["f1"]) == 2
    assert result["dataset"] == {"hash": "abc", "split": "test", "source": None}
    assert result["published_cells"][0]["paper"] == "R2Gen"


def test_reports_meet_their_references_by_id(result: dict[str, Any]) -> None:
    sorted_hyps = {id_: HYPS[id_] for id_ in sorted(HYPS)}
    again = evaluate_predictions(sorted_hyps, REFS, TRAIN)
    assert again["protocols"]["r2gen"] == pytest.approx(result["protocols"]["r2gen"])


def test_embeddings_follow_the_order_of_the_predictions(result: dict[str, Any]) -> None:
    copied = {"c": TRAIN[4], "a": TRAIN[3], "b": TRAIN[0]}
    expected = evaluate_predictions(copied, REFS, TRAIN)["protocols"]["coco"]
    assert result["baselines"]["nearest"]["coco"] == pytest.approx(expected)


def test_every_row_names_its_protocol(result: dict[str, Any]) -> None:
    text = shown(result)
    rows = ("model", "constant", "best constant (CIDEr)", "best constant (BLEU-4)",
            "most frequent", "nearest neighbour")  # fmt: skip
    for protocol in PROTOCOLS:
        for row in rows:
            assert f"{row} · {protocol}" in text
    assert text.count("95 % interval") == 6
    assert "3 studies of split test, 3 different reports (100.0%)" in text
    assert "collapsed" not in text


def test_bounds_lose_only_the_zero_before_the_point() -> None:
    assert short_range((0.104, 0.188)) == ".104–.188"
    assert short_range((9.876, 10.0)) == "9.876–10.000"


def test_the_result_names_its_conventions(result: dict[str, Any]) -> None:
    assert result["settings"] == {"cleaning": "iu", "resamples": 1000, "seed": 0}
    text = " ".join(shown(result).split())
    assert "cleaned as R2Gen cleans IU X-Ray" in text
    assert "cut to 59 words" in text
    assert "1,000 bootstrap resamples of the studies, seed 0" in text


def test_a_narrow_terminal_loses_no_digit(result: dict[str, Any]) -> None:
    assert "…" not in shown(result, width=100)


def test_without_training_reports_r2gen_is_null_and_says_why() -> None:
    result = evaluate_predictions(HYPS, REFS)
    assert result["protocols"]["r2gen"] is None
    assert result["confidence"]["r2gen"] is None
    assert result["baselines"]["most_frequent"] is None
    assert result["baselines"]["constant"]["r2gen"] is None
    assert result["protocols"]["r2gen-full"]["cider"] is not None
    assert "training reports" in result["notes"]["protocols.r2gen"]
    text = shown(result)
    assert "model · r2gen (needs --train-references)  " in text
    assert "r2gen needs the training reports" in text


def test_missing_embeddings_are_said() -> None:
    result = evaluate_predictions(HYPS, REFS, TRAIN)
    assert result["baselines"]["nearest"] is None
    assert "nearest neighbour: no image embeddings beside the predictions" in shown(result)


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


def test_brackets_in_reports_are_no_markup() -> None:
    train = ["[bold]clear[/bold] [/]"] * 2
    result = evaluate_predictions(HYPS, REFS, train)
    assert "[bold]clear[/bold] [/]" in shown(result)


def test_predictions_must_cover_the_references() -> None:
    with pytest.raises(DataError, match="no prediction for 2 of 3"):
        evaluate_predictions({"a": "x"}, REFS)


ANAT = {"1": Entity("heart", "ANAT-DP", 0, 0)}
GRAPHS = {"big": ReportGraph("heart", ANAT), "": ReportGraph("heart")}


def edema_if_big(texts: Any) -> list[dict[str, int | None]]:
    return [{"Edema": 1 if "big" in text else 0} for text in texts]


def heart_if_big(texts: Any) -> list[ReportGraph]:
    return [GRAPHS["big" if "big" in text else ""] for text in texts]


BIG = {"a": "big", "b": "big", "c": "small", "d": "small"}
ALL = Settings(labeler=edema_if_big, labeler_name="big", extractor=heart_if_big, resamples=100)


def test_any_labeler_and_extractor_can_be_used() -> None:
    """By hand: calls a, b, c; truths a, b; hits a, b."""
    hyps = System({"a": "big", "b": "big", "c": "big", "d": "small"})
    result = Evaluation([hyps], References(BIG), ALL).results[0]
    edema = result["clinical"]["uncertain_negative"]["observations"]["Edema"]
    assert edema == {"precision": pytest.approx(2 / 3), "recall": 1.0, "f1": 0.8, "support": 2}
    assert result["graph_f1_kia"] == {"simple": 0.5, "partial": 0.5, "complete": 0.5}
    assert result["labelers"] == {"predictions": "big", "references": "big"}


def test_labels_and_graphs_of_files_take_the_place_of_tools() -> None:
    labels = {id_: {"Fracture": 1} for id_ in BIG}
    graphs = dict.fromkeys(BIG, GRAPHS["big"])
    system = System(BIG, labels=labels, graphs=graphs)
    refs = References(BIG, labels=labels, graphs=graphs)
    result = Evaluation([system], refs, ALL).results[0]
    assert result["clinical"]["uncertain_negative"]["micro_14"]["f1"] == 1.0
    assert result["clinical"]["uncertain_negative"]["observations"]["Edema"]["support"] == 0
    assert result["radgraph_f1"]["complete"] == 1.0
    assert result["graph_f1_kia"]["complete"] == 0.5  # the extractor's, whatever files hold
    assert result["labelers"]["predictions"] == result["graph_sources"]["radgraph_f1"] == "file"
    for one_sided in ((system, References(BIG)), (System(BIG), refs)):
        with pytest.raises(UsageError, match="give --graphs and --reference-graphs"):
            Evaluation([one_sided[0]], one_sided[1], ALL)
    with pytest.raises(DataError, match="with the labels of m lacks 3 of 4 studies: b, c, d"):
        Evaluation([System(BIG, "m", labels={"a": {}})], References(BIG), ALL)


def test_labels_of_a_file_are_not_compared_with_those_of_a_tool() -> None:
    system = System(BIG, "m", labels={id_: {"Edema": 1} for id_ in BIG})
    result = Evaluation([system], References(BIG), ALL, against=System(BIG, "other")).results[0]
    assert set(result["against"]) == {"name", "protocols", "graph_f1_kia", "clinical_errors"}
    assert "come from a file" in result["notes"]["against.clinical"]
    assert "baselines are read by big" in result["notes"]["baselines.*.clinical"]
    assert "Clinical efficacy (file; references: big)" in shown(result)


def test_groups_score_as_if_they_were_alone() -> None:
    hyps = {"a": "big heart", "b": "big", "c": "big lungs today", "d": "small"}
    groups = {"view": {"a": "AP", "c": "AP", "b": "PA"}}
    result = Evaluation([System(hyps)], References(BIG, groups=groups), ALL).results[0]
    found = result["by"]["view"]
    assert {name: group["n"] for name, group in found.items()} == {"AP": 2, "PA": 1, "unknown": 1}
    part = {id_: BIG[id_] for id_ in "ac"}
    alone = Evaluation([System({id_: hyps[id_] for id_ in "ac"})], References(part), ALL)
    expected = alone.results[0]
    ours = found["AP"]["protocols"]["r2gen-full"]
    for metric in ("bleu_1", "bleu_4", "rouge_l"):  # CIDEr keeps the idf of all references
        assert ours[metric] == pytest.approx(expected["protocols"]["r2gen-full"][metric])
    assert found["AP"]["graph_f1_kia"] == expected["graph_f1_kia"]
    micro = found["AP"]["clinical"]["uncertain_negative"]["micro_14"]
    assert micro == expected["clinical"]["uncertain_negative"]["micro_14"]
    assert "By view" in shown(result)


def test_another_system_is_compared_on_the_same_studies() -> None:
    refs = {str(i): f"the heart is big {i}" for i in range(30)}
    good = System(refs, "good")
    bad = System(dict.fromkeys(refs, "nothing at all"), "bad")
    result = Evaluation([good], References(refs), ALL, against=bad).results[0]
    found = result["against"]
    assert found["name"] == "bad"
    bleu = found["protocols"]["r2gen-full"]["bleu_4"]
    assert bleu["difference"] == pytest.approx(1.0)
    assert bleu["interval"] == pytest.approx((1.0, 1.0))
    assert bleu["p_value"] == pytest.approx(1 / 101)
    assert found["graph_f1_kia"]["simple"]["difference"] == 1.0
    assert found["clinical"]["uncertain_negative"]["micro_14"]["f1"]["difference"] == 1.0
    assert "good against bad" in shown(result)
    with pytest.raises(UsageError, match="named twice"):
        Evaluation([good], References(refs), ALL, against=good)


def test_several_seeds_give_mean_and_standard_deviation() -> None:
    """By hand: ROUGE-L 1 and 0 of one-word reports: mean 1/2, sd √(2 · (1/2)² / 1)."""
    refs = References({"a": "big"}, ["big"] * 3)
    systems = [System({"a": "big"}, "1"), System({"a": "small"}, "2")]
    results = Evaluation(systems, refs, ALL).results
    found = over_seeds(results)
    assert found["protocols"]["r2gen"]["rouge_l"] == pytest.approx(0.5 + 0.5 * 0.5)  # shared stop
    assert found["sd"]["protocols"]["r2gen"]["rouge_l"] == pytest.approx(0.5 / 2**0.5)
    assert found["graph_f1_kia"]["simple"] == 0.5
    assert found["sd"]["graph_f1_kia"]["simple"] == pytest.approx(0.5**0.5)
    assert found["protocols"]["coco"]["cider"] == 0  # of one reference every idf is 0
    assert found["n"] == 1
    assert [run["name"] for run in found["runs"]] == ["1", "2"]
    text = shown(found)
    assert "mean of 2 runs · r2gen" in text
    assert "±0.3536" in text
    with pytest.raises(UsageError, match="at least two"):
        over_seeds(results[:1])


def test_a_mean_over_runs_hides_no_collapsed_run() -> None:
    refs = References({str(i): f"the heart {i}" for i in range(10)})
    good, bad = System(refs.reports, "good"), System(dict.fromkeys(refs.reports, "clear"), "bad")
    text = shown(over_seeds(Evaluation([good, bad], refs, ALL).results))
    assert "bad writes 1 report for 10 studies: it has collapsed." in text
    assert "good writes" not in text


def test_each_of_several_runs_is_compared_with_the_other_system() -> None:
    """By hand: entities of "big" alone; the runs have 4/4 and 2/4 graphs right, the other none."""
    runs = [System(BIG, "s1"), System(BIG | {"a": "small"}, "s2")]
    other = System(dict.fromkeys(BIG, "small"), "other")
    found = over_seeds(Evaluation(runs, References(BIG), ALL, against=other).results)
    assert "against" not in found
    text = shown(found)
    for run, ours in (("s1", "0.5000"), ("s2", "0.2500")):
        table = text.split(f"{run} against other")[1]
        row = next(line for line in table.splitlines() if "graph-F1 by kia, simple" in line)
        assert row.split()[4:7] == [ours, "0.0000", f"+{ours}"]


def test_scores_of_tools_and_image_gains_of_runs_are_averaged(result: dict[str, Any]) -> None:
    """By hand: of 1 and 2 the mean is 1.5, the standard deviation √½."""
    runs = [
        result
        | {"extra": {"radeval": {"rouge1": value}}, "image_gain": {"value": value, "split": "val"}}
        for value in (1.0, 2.0)
    ]
    found = over_seeds(runs)
    assert found["extra"] == {"radeval": {"rouge1": 1.5}}
    assert found["sd"]["extra"]["radeval"]["rouge1"] == pytest.approx(0.5**0.5)
    assert found["image_gain"]["value"] == 1.5
    assert found["sd"]["image_gain"]["value"] == pytest.approx(0.5**0.5)
    lacking = over_seeds([runs[0], result])  # a tool that failed, a run without a log
    assert "extra" not in lacking
    assert lacking["image_gain"] is None


def test_studies_that_were_left_out_are_said_in_the_result() -> None:
    settings = Settings(allow_missing=True, resamples=100)
    system = System({"b": HYPS["b"], "x": "?"}, embeddings=(VECTORS[0], np.eye(5)[[0, 1]]))
    result = Evaluation([system], References(REFS, TRAIN), settings).results[0]
    assert result["n"] == 1
    assert result["coverage"]["missing"] == 2
    assert result["coverage"]["unknown"] == 1
    assert result["baselines"]["nearest"]["r2gen"]["rouge_l"] == 1.0  # the row of b, not of x
    assert "2 studies have no prediction and 1 predictions no study; only 1 are" in shown(result)


def test_published_rows_stand_beside_the_same_data_set_only() -> None:
    refs = {str(i): "the lungs are clear" for i in range(590)}
    origin = {"source": "IU X-Ray", "split": "test", "hash": "x"}
    result = evaluate_predictions(refs, refs, ["clear"] * 3, origin=origin)
    text = shown(result)
    assert "KIA (Graph), paper" in text
    assert "0.641" in text
    for other in ({"split": "val"}, {"source": "phantom"}):
        assert "paper" not in shown(result | {"dataset": origin | other}).split("Clinical")[0]
    other_cleaning = {"settings": result["settings"] | {"cleaning": "mimic"}}
    assert "paper" not in shown(result | other_cleaning).split("Clinical")[0]
    mimic = {"dataset": origin | {"source": "MIMIC-CXR"}, "n": 3858}
    assert "Table 2 of the paper" not in shown(result | mimic)
    text = shown(result | mimic | other_cleaning)
    assert "Table 2 of the paper" in text
    assert "0.461" in text
    assert "KIA (Graph), paper" in text
    assert "Labels of the paper: CheXpert labeler; ours: kia's rule labeler." in text


def test_image_gain_of_the_run_is_shown() -> None:
    gain = {"value": 0.0123, "split": "val", "epoch": 3}
    system = System(REFS, image_gain=gain)
    result = Evaluation([system], References(REFS), Settings(resamples=100)).results[0]
    assert result["image_gain"] == gain
    assert "Image gain on val: 0.0123 nats a token." in shown(result)


def test_worst_cases_are_those_with_most_wrong_observations() -> None:
    hyps = System({"a": "big", "b": "small", "c": "big", "d": "small"}, "m")
    evaluation = Evaluation([hyps], References(BIG), ALL)
    worst = evaluation.worst_cases("m", most=2)
    assert [(case.id, case.missed, case.invented) for case in worst] == [
        ("b", ("Edema",), ()),
        ("c", (), ("Edema",)),
    ]
    assert worst[0].hyp == "small"
    assert worst[0].ref == "big"
