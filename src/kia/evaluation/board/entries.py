"""All sets of reports of one evaluation, scored together: systems and their baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from kia.errors import DataError
from kia.evaluation.baselines import ChosenReport, constant_baselines, nearest_reports
from kia.evaluation.board.systems import (
    Extractor,
    Labeler,
    References,
    System,
    annotate,
    built_in_extractor,
    built_in_labeler,
)
from kia.evaluation.clinical.claims import Reading, read_claims
from kia.evaluation.clinical.efficacy import Labels, clinical_measures
from kia.evaluation.clinical.errors import error_measure
from kia.evaluation.clinical.graphs import graph_measure
from kia.evaluation.clinical.organs import organ_measure
from kia.evaluation.coverage import first_ids
from kia.evaluation.language.scores import PROTOCOLS, LanguageScorer, LanguageScores
from kia.evaluation.statistics.intervals import RESAMPLES, Measure, language_measure
from kia.knowledge.radgraph import ReportGraph

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """How to score.

    Attributes:
        labeler: Labels reports; kia's rules by default.
        labeler_name: What the result calls it.
        extractor: Extracts graphs; kia's rules by default.
        extractor_name: What the result calls it.
        allow_missing: Score the studies that have both sides, instead of refusing.
        resamples: Of intervals and p-values.
        seed: Of intervals and p-values.
        by_organ: Score what is said of each organ, too.
    """

    labeler: Labeler | None = None
    labeler_name: str = "kia's rule labeler"
    extractor: Extractor | None = None
    extractor_name: str = "kia's rule extractor"
    allow_missing: bool = False
    resamples: int = RESAMPLES
    seed: int = 0
    by_organ: bool = False


@dataclass(frozen=True)
class Scored:
    """The scores of one set of reports, ready to be resampled.

    Attributes:
        language: By protocol.
        clinical: By policy of `kia.evaluation.clinical.efficacy`.
        graphs: F1 of the extractor's graphs.
        errors: By kind and organ, of the extractor's graphs.
        radgraph: F1 of graphs that were given for both sides; else None.
    """

    language: dict[str, LanguageScores]
    clinical: dict[str, Measure]
    graphs: Measure
    errors: Measure
    radgraph: Measure | None
    organs: Measure | None = None

    def measures(self) -> dict[str, Measure]:
        """Path in the result, such as "clinical.uncertain_negative" → measure."""
        found = {
            f"protocols.{protocol}": language_measure(scores.statistics)
            for protocol, scores in self.language.items()
            if scores.statistics
        }
        found |= {f"clinical.{policy}": measure for policy, measure in self.clinical.items()}
        found |= {"graph_f1_kia": self.graphs, "clinical_errors": self.errors}
        found |= {} if self.organs is None else {"organs": self.organs}
        return found if self.radgraph is None else found | {"radgraph_f1": self.radgraph}


class Board:
    """One evaluation: the sets of reports, their annotations and their scores.

    Args:
        systems: Systems of different names.
        references: What they are scored against.
        settings: Labeler, extractor, resamples …
        ids: The studies to score, in order.
    """

    def __init__(
        self, systems: Sequence[System], references: References, settings: Settings, ids: list[str]
    ) -> None:
        self.references, self.settings, self.ids = references, settings, ids
        self.refs = [references.reports[id_] for id_ in ids]
        self.systems = {system.name: system for system in systems}
        self.hyps = {s.name: [s.reports[id_] for id_ in ids] for s in systems}
        self.constants: dict[str, ChosenReport] = {}
        self.labels: dict[str, list[Labels]] = {}
        self.ref_labels: list[Labels] = []
        self.readings: dict[str, Reading] = {}

    def score(self) -> dict[str, Scored]:
        """Scores of every system by name, and of every baseline by `baseline_key`."""
        refs = self.references
        protocols = [p for p in PROTOCOLS if p != "r2gen" or refs.train]
        with LanguageScorer(self.refs, refs.train, dataset=refs.dataset) as scorer:
            self.constants = constant_baselines(refs)
            sets = dict(self.hyps)
            for key, chosen in self.constants.items():
                sets[baseline_key(key)] = [chosen.report] * len(self.refs)
            for name, system in self.systems.items():
                if refs.train and (rows := _rows(system, self.ids)) is not None:
                    near = nearest_reports(refs.train, *rows, studies=len(self.refs))
                    sets[baseline_key("nearest", name)] = near
            graphs = self._annotations(sets)
            self.readings = {text: read_claims(graph) for text, graph in graphs.items()}
            language = scorer.score_sets(sets, protocols)
        return {
            name: Scored(
                language[name],
                clinical_measures(self.labels[name], self.ref_labels),
                graph_measure(
                    [graphs[text] for text in hyps], [graphs[text] for text in self.refs]
                ),
                error_measure(self.read(hyps), self.read(self.refs)),
                self._radgraph(name),
                organ_measure(hyps, self.refs) if self.settings.by_organ else None,
            )
            for name, hyps in sets.items()
        }

    def read(self, texts: Sequence[str]) -> list[Reading]:
        """What reports say, of those that were scored."""
        return [self.readings[text] for text in texts]

    def _radgraph(self, name: str) -> Measure | None:
        """F1 of graphs from files, where both sides have them."""
        ours, theirs = self.systems.get(name, System({})).graphs, self.references.graphs
        if ours is None or theirs is None:
            return None
        given = ((f"graphs of {name}", ours), ("graphs of the references", theirs))
        return graph_measure(*(self._given(what, graphs) for what, graphs in given))

    def _annotations(self, sets: Mapping[str, Sequence[str]]) -> dict[str, ReportGraph]:
        """Sets the labels of all reports; returns the extractor's graph of each text."""
        refs = self.references
        texts = [text for hyps in (*sets.values(), self.refs) for text in hyps]
        labels = annotate(self.settings.labeler or built_in_labeler(), texts)
        self.ref_labels = self._labelled("the references", refs.labels, self.refs, labels)
        for name, hyps in sets.items():
            given = self.systems.get(name, System({})).labels
            self.labels[name] = self._labelled(name, given, hyps, labels)
        return annotate(self.settings.extractor or built_in_extractor(), texts)

    def _labelled(
        self,
        name: str,
        given: Mapping[str, Labels] | None,
        texts: Sequence[str],
        made: Mapping[str, Labels],
    ) -> list[Labels]:
        if given is None:
            return [made[text] for text in texts]
        return self._given(f"labels of {name}", given)

    def _given(self, what: str, given: Mapping[str, T]) -> list[T]:
        """Labels or graphs from a file, in the order of the studies."""
        if missing := [id_ for id_ in self.ids if id_ not in given]:
            raise DataError(
                f"the file with the {what} lacks {len(missing)} of {len(self.ids)} studies: "
                f"{first_ids(missing)}"
            )
        return [given[id_] for id_ in self.ids]


def baseline_key(baseline: str, system: str = "") -> str:
    """Key of a baseline's set of reports, which no system's name can be."""
    return f"\n{baseline}\n{system}"


def _rows(system: System, ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray] | None:
    """Embeddings in the order in which studies are scored."""
    if system.embeddings is None:
        return None
    train, query = system.embeddings
    if query.ndim != 2 or len(query) != len(system.reports):
        return train, query  # refused, with its shape, where it is used
    place = {id_: row for row, id_ in enumerate(system.reports)}
    return train, query[[place[id_] for id_ in ids]]
