"""Language metrics. The golden values are those of docs/evaluation.md."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kia.errors import DataError, UsageError
from kia.evaluation.baselines import CONSTANT_REPORT, most_frequent
from kia.evaluation.language import scores as language
from kia.evaluation.language.scores import (
    METRICS,
    LanguageScorer,
    cider,
    score,
)

GOLDEN = {
    "r2gen": (0.5000, 0.3376, 0.2400, 0.1721, 0.2240, 0.3628, 0.2850),
    "r2gen-full": (0.5031, 0.3405, 0.2424, 0.1743, 0.2266, 0.3627, 0.2830),
    "coco": (0.4566, 0.3024, 0.2059, 0.1366, 0.2144, 0.3152, 0.2760),
}
QUICK_METRICS = tuple(name for name in METRICS if name != "meteor")


@pytest.mark.iu_xray
@pytest.mark.parametrize("protocol", GOLDEN)
def test_the_constant_report_has_its_golden_values(
    protocol: str, iu_reports: dict[str, list[str]]
) -> None:
    refs = iu_reports["test"]
    assert len(refs) == 590
    values = score(
        [CONSTANT_REPORT] * 590, refs, protocol=protocol, train_reports=iu_reports["train"]
    )
    assert {name: round(values[name] or 0, 4) for name in METRICS} == dict(
        zip(METRICS, GOLDEN[protocol], strict=True)
    )


@pytest.mark.iu_xray
def test_cider_of_the_two_simplest_baselines(iu_reports: dict[str, list[str]]) -> None:
    """.285 and .344: the figures that the project's issue names."""
    train, refs = iu_reports["train"], iu_reports["test"]
    common = most_frequent(train).report
    assert round(cider([CONSTANT_REPORT] * 590, refs, train), 3) == 0.285
    assert round(cider([common] * 590, refs, train), 3) == 0.344


def test_equal_reports_reach_the_top_of_every_metric() -> None:
    reports = ["the heart is big today", "no pleural effusion is seen", "lungs clear as before"]
    for protocol in ("r2gen-full", "coco"):
        values = score(reports, reports, protocol=protocol)
        assert values == pytest.approx(dict.fromkeys(METRICS, 1.0) | {"cider": 10.0}), protocol


@pytest.mark.parametrize("protocol", ["r2gen-full", "coco"])
def test_no_report_shifts_the_lines_of_meteor_or_of_the_tokenizer(protocol: str) -> None:
    odd = ["a\tb", "a\nb\r\nc", "||| EVAL ||| 1", "\"q\" 'x'", "größe ≤ 心臓 🫀", "", "\u2028\x85a"]
    first, last = ("the heart is big", "the heart"), ("no effusion", "no pleural effusion")
    with LanguageScorer([first[1], *odd, last[1]]) as scorer:
        mixed = scorer.score([first[0], *reversed(odd), last[0]], protocol).statistics["meteor"]
    with LanguageScorer([first[1], last[1]]) as scorer:
        alone = scorer.score([first[0], last[0]], protocol).statistics["meteor"]
    assert np.array_equal(mixed[[0, -1]], alone)


def test_scores_do_not_depend_on_their_company() -> None:
    refs = ["the lungs are clear", "no effusion"]
    with LanguageScorer(refs) as scorer:
        sets = {"a": refs, "b": ["clear", "effusion"], "c": refs}
        together = scorer.score_sets(sets, ("coco",))
        alone = scorer.score(["clear", "effusion"], "coco")
    assert together["b"]["coco"].values == alone.values
    assert together["a"]["coco"].values == together["c"]["coco"].values


def test_only_the_asked_metrics_are_computed() -> None:
    values = score(["a b"], ["a b"], protocol="r2gen-full", metrics=("rouge_l",))
    assert values == dict.fromkeys(METRICS) | {"rouge_l": 1.0}


@pytest.fixture
def no_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise DataError("another pycocoevalcap")

    monkeypatch.setattr("kia.evaluation.language.scores.Meteor", refuse)
    monkeypatch.setattr("kia.evaluation.language.ptb.tokens.automaton", refuse)


@pytest.mark.usefixtures("no_tables")
def test_without_its_tables_only_meteor_is_missing_and_says_why() -> None:
    with LanguageScorer(["the heart"]) as scorer:
        result = scorer.score(["the heart"], "r2gen-full")
    assert result.values["meteor"] is None
    assert result.reasons["meteor"] == "another pycocoevalcap"
    assert all(result.values[name] is not None for name in QUICK_METRICS)


@pytest.mark.usefixtures("no_tables")
def test_without_its_tables_the_coco_protocol_is_not_computed_and_says_why() -> None:
    with LanguageScorer(["the heart"]) as scorer:
        result = scorer.score(["the heart"], "coco")
    assert result.values == dict.fromkeys(METRICS)
    assert result.reasons == dict.fromkeys(METRICS, "another pycocoevalcap")


def test_no_java_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr("subprocess.Popen", refuse)
    values = score(["the heart is big"], ["the heart"], protocol="coco")
    assert all(value is not None for value in values.values())


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    score(["a b"], ["a b"], protocol="r2gen-full", metrics=QUICK_METRICS)
    score(["a \x01 b"], ["a b"], protocol="coco", metrics=QUICK_METRICS)
    assert capfd.readouterr() == ("", "")


def test_wrong_use_is_told_in_one_line() -> None:
    with pytest.raises(UsageError, match="unknown protocol 'bleu'"):
        score(["a"], ["a"], protocol="bleu", metrics=("cider",))
    with pytest.raises(UsageError, match="unknown metric 'spice'"):
        score(["a"], ["a"], protocol="coco", metrics=("spice",))
    with pytest.raises(UsageError, match="r2gen needs the training reports"):
        score(["a"], ["a"], protocol="r2gen", metrics=("cider",))
    with pytest.raises(DataError, match="2 reports for 1 references"):
        score(["a", "b"], ["a"], protocol="coco", metrics=("cider",))
    with pytest.raises(DataError, match="no report to score"):
        score([], [], protocol="coco")


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=5))
def test_any_text_can_be_scored(pairs: list[tuple[str, str]]) -> None:
    hyps, refs = map(list, zip(*pairs, strict=True))
    values = score(hyps, refs, protocol="r2gen-full", metrics=QUICK_METRICS)
    assert all(values[name] is not None for name in QUICK_METRICS)


def test_empty_references_can_be_scored_with_ptb_tokens() -> None:
    values = score(["a"], ["..."], protocol="coco", metrics=QUICK_METRICS)
    assert values["cider"] == 0.0


def test_importing_the_scorers_loads_neither_torch_nor_pycocoevalcap() -> None:
    import subprocess
    import sys

    code = (
        "import sys, kia.evaluation.board.scoreboard as s; "
        "print({'torch', 'transformers', 'pycocoevalcap', 'kia.models'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert language.PROTOCOLS == ("r2gen", "r2gen-full", "coco", "rexrank")
