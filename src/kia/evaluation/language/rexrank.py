"""BLEU as the leaderboard ReXrank computes it: the mean of each study's own BLEU-2.

Source: ``prep_reports`` and ``add_bleu_col`` of ``CXRMetric/run_eval.py`` in the repository
rajpurkarlab/CXR-Report-Metric, which ReXrank's evaluation_script.md names; they call the package
fast-bleu (weights 1/2, 1/2; its smoothing 1, that of NLTK's ``method1``).
"""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

_SMOOTHED = 0.1  # of a pair of words, where none matches


def rexrank_tokens(text: str) -> list[str]:
    """The words of a report as ReXrank counts them: lower case, cut at spaces, full stops apart.

    Nothing else is cleaned, so "effusion," is another word than "effusion". An empty report is
    the word "nan": it went through a CSV that pandas read back.
    """
    return [word for word in (text or "nan").lower().replace(".", " .").split(" ") if word]


def rexrank_bleu_2(hyps: Sequence[str], refs: Sequence[str]) -> np.ndarray:
    """BLEU-2 of each study, (n,); ReXrank's column is their mean.

    Args:
        hyps: Raw generated reports.
        refs: Raw references, same length and order.
    """
    pairs = zip(hyps, refs, strict=True)
    return np.array([_bleu_2(rexrank_tokens(hyp), rexrank_tokens(ref)) for hyp, ref in pairs])


def _bleu_2(hyp: list[str], ref: list[str]) -> float:
    words = (Counter(hyp) & Counter(ref)).total()
    if not words:
        return 0.0
    pairs = (_pairs(hyp) & _pairs(ref)).total()
    precision = words / len(hyp) * (pairs or _SMOOTHED) / max(1, len(hyp) - 1)
    longer = len(hyp) > len(ref)
    return math.sqrt(precision) * (1.0 if longer else math.exp(1 - len(ref) / len(hyp)))


def _pairs(words: list[str]) -> Counter[tuple[str, str]]:
    return Counter(pairwise(words))
