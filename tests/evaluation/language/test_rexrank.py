"""ReXrank's BLEU. Reference: fast-bleu 0.0.90, called as run_eval.py of CXR-Report-Metric does."""

import csv
import io

import numpy as np
import pytest

from kia.evaluation.baselines import CONSTANT_REPORT, most_frequent
from kia.evaluation.language.rexrank import rexrank_bleu_2, rexrank_tokens
from kia.evaluation.language.scores import score

PAIRS = {
    ("The heart is normal.", "The heart is big."): 0.6324555320336759,
    ("The lungs are clear.", "The lungs are clear."): 1.0,
    ("Clear.", "The lungs are clear."): 0.22313016014842982,
    ("clear", "The lungs are clear."): 0.005791913568955529,
    ("lungs lungs lungs clear", "The lungs are clear."): 0.10054274876162822,
    ("No effusion, no pneumothorax.", "No effusion. No pneumothorax."): 0.5178107940302672,
    ("T11.5 cm.", "t11.5 CM."): 1.0,
    ("The heart and the lungs are normal.", "Heart size is normal."): 0.23145502494313785,
    ("Nothing of it", "The lungs are clear."): 0.0,
    ("a", "a"): 0.3162277660168379,
}  # fmt: skip
"""(generated, reference) → ``BLEU([reference], {"bigram": (.5, .5)}).get_score([generated])``."""


def by_fast_bleu(hyps: list[str], refs: list[str]) -> list[float]:
    """The two functions of run_eval.py, on the reports as they are."""
    bleu = pytest.importorskip("fast_bleu").BLEU

    def prepared(report: str) -> list[str]:
        words = report.lower().replace(".", " .").split(" ")
        return [word for word in words if word != ""]

    weights = {"bigram": (1 / 2.0, 1 / 2.0)}
    return [
        bleu([prepared(ref)], weights).get_score([prepared(hyp)])["bigram"][0]
        for hyp, ref in zip(hyps, refs, strict=True)
    ]


@pytest.mark.parametrize("pair", PAIRS)
def test_a_study_has_the_value_of_fast_bleu(pair: tuple[str, str]) -> None:
    hyp, ref = pair
    assert rexrank_bleu_2([hyp], [ref])[0] == pytest.approx(PAIRS[pair], abs=5e-11)


def test_the_stored_values_are_those_of_the_package() -> None:
    hyps, refs = zip(*PAIRS, strict=True)
    assert by_fast_bleu(list(hyps), list(refs)) == pytest.approx(list(PAIRS.values()), abs=1e-14)


@pytest.mark.iu_xray
def test_590_reports_have_the_package_s_values_to_ten_decimals(
    iu_reports: dict[str, list[str]],
) -> None:
    train, refs = iu_reports["train"], iu_reports["test"]
    sets = {
        "constant": [CONSTANT_REPORT] * 590,
        "most frequent": [most_frequent(train).report] * 590,
        "the next study's": [*refs[1:], refs[0]],
        "of training": train[:590],
    }
    expected = {  # printed by fast-bleu 0.0.90, built from PyPI's sources with g++ 12
        "constant": 0.290425999510,
        "most frequent": 0.160006265715,
        "the next study's": 0.183091843748,
        "of training": 0.166116404640,
    }
    for name, hyps in sets.items():
        each = rexrank_bleu_2(hyps, refs)
        assert each.mean() == pytest.approx(expected[name], abs=5e-11), name
    try:
        import fast_bleu  # noqa: F401
    except ImportError:
        return
    for name, hyps in sets.items():
        gap = np.abs(rexrank_bleu_2(hyps, refs) - by_fast_bleu(hyps, refs)).max()
        assert gap < 1e-10, name


def test_an_empty_report_is_the_word_that_pandas_makes_of_it() -> None:
    """run_eval.py takes str() of what pandas read from an empty cell; .316 by fast-bleu."""
    assert rexrank_tokens("") == ["nan"]
    assert rexrank_bleu_2([""], [""])[0] == pytest.approx(0.3162277660168379)
    assert rexrank_bleu_2([""], ["Clear."])[0] == 0
    file = io.StringIO()
    csv.writer(file).writerows([["study_id", "report"], ["1", ""]])
    file.seek(0)
    pandas = pytest.importorskip("pandas")
    word = str(pandas.read_csv(file)["report"][0])
    assert word == "nan"


def test_the_protocol_has_bleu_2_alone() -> None:
    refs = ["The heart is big.", "The lungs are clear."]
    hyps = ["The heart is normal.", "The lungs are clear."]
    assert score(hyps, refs, protocol="rexrank") == {
        "bleu_2": pytest.approx((0.632455532033676 + 1) / 2, abs=1e-12)
    }
