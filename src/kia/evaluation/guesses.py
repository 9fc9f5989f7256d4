"""Hidden words guessed with the study's image, another's and none: how many are right."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kia.evaluation.statistics.intervals import Measure
from kia.evaluation.statistics.paired import paired_differences

CONDITIONS = ("image", "another", "none")
"""The study's own image, another study's, none at all."""

KINDS = ("observation words", "anatomy words", "present", "absent")
"""What is guessed: words of a report by the side of their entity, and of the label report."""


@dataclass(frozen=True)
class Guesses:
    """Hidden words of a split and whether they were guessed.

    Attributes:
        study: (M,) number in the data set.
        kind: (M,) place in KINDS.
        right: (M, 3) by CONDITIONS; a word is right if all of its word pieces are.
        common: Kind → share that the most frequent of the hidden words would get right.
    """

    study: NDArray[np.int64]
    kind: NDArray[np.int64]
    right: NDArray[np.bool_]
    common: Mapping[str, float]


def score_guesses(guesses: Guesses) -> dict[str, dict[str, Any]]:
    """Accuracy by kind of word, and what the image is worth.

    Returns:
        Kind → {"words", "studies", "accuracy": {"image", "another", "none", "most_frequent_word"},
        "difference": {"another", "none"}: the own image's accuracy minus the other's, see
        `paired_differences`; its interval is a bootstrap over studies}. The most frequent word is
        that of the scored words themselves, of the label report's two the more frequent. Kinds
        without a word are left out.
    """
    return {
        name: _score(guesses, number, guesses.common[name])
        for number, name in enumerate(KINDS)
        if name in guesses.common
    }


def _score(guesses: Guesses, kind: int, common: float) -> dict[str, Any]:
    chosen = guesses.kind == kind
    _, rows = np.unique(guesses.study[chosen], return_inverse=True)
    right = guesses.right[chosen].astype(float)
    count = np.bincount(rows).astype(float)
    measures = [
        Measure(
            np.stack([np.bincount(rows, right[:, place]), count], axis=1),
            lambda sums: {"accuracy": sums[:, 0] / sums[:, 1]},
        )
        for place in range(len(CONDITIONS))
    ]
    accuracy = {
        name: one.values()["accuracy"] for name, one in zip(CONDITIONS, measures, strict=True)
    }
    return {
        "words": len(right),
        "studies": len(count),
        "accuracy": accuracy | {"most_frequent_word": common},
        "difference": {
            name: paired_differences(measures[0], one)["accuracy"]
            for name, one in zip(CONDITIONS[1:], measures[1:], strict=True)
        },
    }
