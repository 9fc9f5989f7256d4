"""Pairs of studies that say something different about a landmark, and reports with words swapped.

For the counterfactual of Fig. 9a: the same report, but for what it says about one landmark.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kia.data.counted import uniforms
from kia.data.store.dataset import PreparedDataset
from kia.errors import DataError
from kia.evaluation.clinical.efficacy import positives
from kia.evaluation.priors import sentences
from kia.knowledge.atlas.landmarks import mentioned_landmarks
from kia.knowledge.labels.rules import label_reports


@dataclass(frozen=True)
class Exchange:
    """A landmark of a study, and a report that says something else about it.

    Attributes:
        study: Number in the data set.
        landmark: One of the 34.
        donor: Number of the study whose report says something else.
        own: The study's report.
        edited: The same with the donor's sentences on the landmark in place of its own.
        other: The donor's report.
    """

    study: int
    landmark: str
    donor: int
    own: str
    edited: str
    other: str

    def named_reports(self, donor: str) -> dict[str, str]:
        """The three reports by whose they are, for a picture; `donor` is the other study's id."""
        edited = f"edited with words of {donor}"
        return {"its own report": self.own, edited: self.edited, f"report of {donor}": self.other}


def said_about(report: str, landmark: str) -> str:
    """The sentences of a report that mention a landmark, "" if none does."""
    return " ".join(s for s in sentences(report) if landmark in mentioned_landmarks(s))


def edited_report(report: str, landmark: str, words: str) -> str:
    """The report with other words in place of its sentences on a landmark, or at its end."""
    kept: list[str] = []
    place = None
    for sentence in sentences(report):
        if landmark in mentioned_landmarks(sentence):
            place = len(kept) if place is None else place
        else:
            kept.append(sentence)
    kept.insert(len(kept) if place is None else place, words)
    return " ".join(kept)


def exchanges(
    dataset: PreparedDataset, studies: NDArray[np.int64], landmark: str | None = None
) -> list[Exchange]:
    """Pairs of studies that differ on a landmark; each gets the other's words on it.

    Two reports differ on a landmark if the observations that their sentences on it call present
    (or uncertain) by the built-in labeler differ. Exchanges go both ways, one for one: where most
    hearts are normal, a model that merely paints bright for "enlarged" would otherwise gain from
    it. What is left of the larger side has no pair. Partners are drawn by the studies' numbers, so
    that the same studies give the same exchanges.

    Args:
        dataset: With frontal images; studies whose first view is lateral are left out.
        studies: (n,) numbers in the data set.
        landmark: Only this one.
    """
    reports = _frontal_reports(dataset, studies)
    said: dict[str, dict[int, str]] = {}
    for study, report in reports.items():
        for name in [landmark] if landmark else mentioned_landmarks(report):
            if text := said_about(report, name):
                said.setdefault(name, {})[study] = text
    found = []
    for name, words in said.items():
        for one, other in _pairs(words):
            found += [_exchange(reports, name, *pair) for pair in ((one, other), (other, one))]
    return found


def exchange_of(
    dataset: PreparedDataset, studies: NDArray[np.int64], study: int, landmark: str
) -> Exchange:
    """One study with the words of the next of `studies` that differs from it on a landmark.

    Raises:
        DataError: The study has no frontal image or no word on it, or no other one differs.
    """
    reports = _frontal_reports(
        dataset, np.array([study, *(s for s in studies if s > study), *studies])
    )
    words = {number: said_about(report, landmark) for number, report in reports.items()}
    words = {number: text for number, text in words.items() if text}
    meaning = _meanings(words)
    for number in words if study in words else ():
        if meaning[number] != meaning[study]:
            return _exchange(reports, landmark, study, number)
    raise DataError(
        f"{dataset.study(study).id} has no frontal image or no word on the {landmark}, or no other "
        "study of its split says something else about it; choose another --id or --landmark"
    )


def _frontal_reports(dataset: PreparedDataset, studies: NDArray[np.int64]) -> dict[int, str]:
    return {
        study: dataset.study(study).report
        for study in studies.tolist()
        if dataset.views(study)[0] == "frontal"
    }


def _exchange(reports: Mapping[int, str], landmark: str, study: int, donor: int) -> Exchange:
    own, other = reports[study], reports[donor]
    edited = edited_report(own, landmark, said_about(other, landmark))
    return Exchange(study, landmark, donor, own, edited, other)


def _meanings(words: Mapping[int, str]) -> dict[int, bytes]:
    """What the words of each study call present; equal where they do not differ."""
    texts = sorted(set(words.values()))
    called = positives(label_reports(texts), "uncertain_positive")[:, :-1]  # without No Finding
    meaning = {text: row.tobytes() for text, row in zip(texts, called, strict=True)}
    return {study: meaning[text] for study, text in words.items()}


def _pairs(words: Mapping[int, str]) -> list[tuple[int, int]]:
    """As many pairs of studies that differ as there can be, each study in one at most."""
    meaning = _meanings(words)
    draws = uniforms(0, 0, np.array(list(words), np.int64), "partner", 1)[:, 0]
    sizes = Counter(meaning.values())
    drawn = sorted(zip(words, draws, strict=True), key=lambda one: one[1])
    order = sorted(
        (study for study, _ in drawn), key=lambda one: (-sizes[meaning[one]], meaning[one])
    )
    largest = max(sizes.values())
    order = order[max(0, 2 * largest - len(order)) :]  # of which more have no partner
    half = len(order) // 2  # no group is larger, so that half a turn leads into another group
    return list(zip(order[:half], order[half : 2 * half], strict=True))
