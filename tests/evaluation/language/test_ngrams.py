"""The n-gram scorers against pycocoevalcap, their reference implementation."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kia.evaluation.language.ngrams import (
    CiderReferences,
    bleu_rows,
    longest_common_subsequence,
    rouge_l,
)
from kia.evaluation.statistics.intervals import bleu_from_sums

texts = st.lists(st.sampled_from(["a", "b", "c", "dd", "."]), max_size=14).map(" ".join)
pairs = st.lists(st.tuples(texts, texts), min_size=1, max_size=7)


def captions(side: list[str]) -> Any:
    return {i: [text] for i, text in enumerate(side)}


@settings(deadline=None, max_examples=150)
@given(pairs)
def test_bleu_is_that_of_pycocoevalcap(drawn: list[tuple[str, str]]) -> None:
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer

    hyps, refs = map(list, zip(*drawn, strict=True))
    scorer = BleuScorer(n=4)
    for hyp, ref in drawn:
        scorer += (hyp, [ref])
    expected, _ = scorer.compute_score(option="closest", verbose=0)
    sums = bleu_rows(hyps, refs).sum(axis=0, keepdims=True)
    assert bleu_from_sums(sums)[0] == pytest.approx(expected)


@settings(deadline=None, max_examples=150)
@given(pairs)
def test_rouge_l_is_that_of_pycocoevalcap(drawn: list[tuple[str, str]]) -> None:
    from pycocoevalcap.rouge.rouge import Rouge

    hyps, refs = map(list, zip(*drawn, strict=True))
    expected = Rouge().compute_score(captions(refs), captions(hyps))[1]
    assert rouge_l(hyps, refs) == pytest.approx(expected)


@settings(deadline=None, max_examples=150)
@given(pairs)
def test_cider_is_that_of_pycocoevalcap(drawn: list[tuple[str, str]]) -> None:
    from pycocoevalcap.cider.cider import Cider

    hyps, refs = map(list, zip(*drawn, strict=True))
    if any(refs):  # it takes the maximum of an empty table
        expected = Cider().compute_score(captions(refs), captions(hyps))[1]
        assert CiderReferences(refs).score(hyps) == pytest.approx(expected)
    else:
        assert not CiderReferences(refs).score(hyps).any()


def test_cider_of_two_studies_by_hand() -> None:
    """The worked example of docs/evaluation.md.

    Two references, so a word of one of them weighs ln 2 and a word of both 0. "heart normal"
    against "heart big": one bigram each, no penalty; of the unigrams neither "normal" nor "big"
    is shared and "heart" weighs as much as both; of the bigrams nothing is shared.
    """
    refs = ["heart big", "lungs clear"]
    weight = math.log(2)
    unigrams = weight**2 / (math.hypot(weight, weight) * math.hypot(weight, weight))
    # "normal" is in no reference: its frequency counts as 1, so it weighs ln 2 too
    assert CiderReferences(refs).score(["heart normal", "lungs clear"]) == pytest.approx(
        [10 * unigrams / 4, 10 * 2 / 4]  # the second has no 3- and 4-grams to agree on
    )


def test_the_longest_common_subsequence_of_known_pairs() -> None:
    assert longest_common_subsequence("AGGTAB", "GXTXAYB") == 4  # GTAB, the textbook's pair
    assert longest_common_subsequence("abc", "") == longest_common_subsequence("", "abc") == 0
    assert longest_common_subsequence("a" * 300, "a" * 200) == 200


def test_results_do_not_change_when_texts_come_back() -> None:
    scorer = CiderReferences(["a b c", "b c d", "a a b"])
    first = scorer.score(["a b", "b c", "a"])
    assert np.array_equal(scorer.score(["a b", "b c", "a"]), first)
