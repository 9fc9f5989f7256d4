"""The scoreboard: a system's scores, the baselines it must beat, and how sure they are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kia.errors import UsageError
from kia.evaluation.baselines import BASELINES, diversity
from kia.evaluation.board.entries import Board, Scored, Settings, baseline_key
from kia.evaluation.board.systems import References, System
from kia.evaluation.cases import Case, worst_cases
from kia.evaluation.clinical.claims import Reading
from kia.evaluation.clinical.efficacy import PUBLISHED_CELLS, Labels, clinical_grid, nested
from kia.evaluation.clinical.organs import organ_grid
from kia.evaluation.coverage import Coverage, covered
from kia.evaluation.language.scores import METRICS, NO_TRAINING_REPORTS, PROTOCOLS, LanguageScores
from kia.evaluation.priors import prior_rate
from kia.evaluation.statistics.intervals import Measure
from kia.evaluation.statistics.paired import all_differences

NO_RADGRAPH = (
    "needs graphs of RadGraph's model, of both sides (--graphs, --reference-graphs; or "
    "--with radgraph)"
)
"""Why there is no RadGraph-F1; what kia's own extractor gives is never called so."""


class Evaluation:
    """Systems scored against the same references, beside the baselines.

    Args:
        systems: At least one; several are scored together.
        references: What they are scored against.
        settings: Labeler, extractor, resamples …
        against: A system that each of them is compared with, study by study.

    Attributes:
        results: For each system what ``kia evaluate --json`` writes; see docs/evaluation.md. What
            was not computed is None, and "notes" says why.

    Raises:
        DataError: The ids do not fit together, or the embeddings do not fit the reports.
        UsageError: Two systems have the same name.
    """

    def __init__(
        self,
        systems: Sequence[System],
        references: References,
        settings: Settings | None = None,
        against: System | None = None,
    ) -> None:
        settings = settings or Settings()
        everyone = [*systems, *([against] if against else [])]
        names = [system.name for system in everyone]
        if doubled := next((name for name in names if names.count(name) > 1), None):
            raise UsageError(f"{doubled}: the same file or system of predictions is named twice")
        coverage = covered(
            {system.name: system.reports for system in everyone},
            references.reports,
            split=references.origin.get("split"),
            other_splits=references.other_splits,
            allow_missing=settings.allow_missing,
        )
        _check_graphs(systems, references)
        self._board = Board(everyone, references, settings, coverage.ids)
        self._scored = self._board.score()
        result = _Result(self._board, self._scored)
        self.results = [result.about(system, coverage) for system in systems]
        if against:
            for system, found in zip(systems, self.results, strict=True):
                found["against"] = {"name": against.name, **self._differences(system, against)}
                found["notes"] |= _not_compared(system, against)

    @property
    def references(self) -> References:
        """What was scored against."""
        return self._board.references

    @property
    def ids(self) -> list[str]:
        """The studies that were scored, in order."""
        return self._board.ids

    def pairs(self, system: str) -> tuple[list[str], list[str]]:
        """Generated reports of a system and references, in the order of `ids`."""
        return self._board.hyps[system], self._board.refs

    def read(self, system: str) -> list[Reading]:
        """What the reports of a system say, in the order of `ids`."""
        return self._board.read(self._board.hyps[system])

    def references_read(self) -> list[Reading]:
        """What the references say, in the order of `ids`."""
        return self._board.read(self._board.refs)

    def labels(self, system: str) -> list[Labels]:
        """Labels of a system's reports, in the order of `ids`."""
        return self._board.labels[system]

    def reference_labels(self) -> list[Labels]:
        """Labels of the references, in the order of `ids`."""
        return self._board.ref_labels

    def measures(self, system: str) -> dict[str, Measure]:
        """Path in the result, such as "protocols.r2gen" → a system's scores, to be resampled."""
        return self._scored[system].measures()

    def baseline_measures(self, baseline: str, system: str = "") -> dict[str, Measure]:
        """The same of a baseline, of one of a system's own with its name; {} if there is none."""
        found = self._scored.get(baseline_key(baseline, system))
        return {} if found is None else found.measures()

    def worst_cases(self, system: str, most: int = 12) -> list[Case]:
        """The studies at which a system does worst; see `kia.evaluation.cases`."""
        board = self._board
        labels = board.labels[system], board.ref_labels
        scored = self._scored[system]
        return worst_cases(board.ids, board.hyps[system], board.refs, labels, scored, most)

    def _differences(self, ours: System, theirs: System) -> dict[str, Any]:
        settings = self._board.settings
        left_out = tuple(f"{k.removeprefix('against.')}." for k in _not_compared(ours, theirs))
        measures = self._scored[ours.name].measures()
        kept = {path: one for path, one in measures.items() if not path.startswith(left_out)}
        others = self._scored[theirs.name].measures()
        how = {"resamples": settings.resamples, "seed": settings.seed}
        return nested(all_differences(kept, others, **how))


class _Result:
    """Turns the scores of a board into what is written."""

    def __init__(self, board: Board, scored: Mapping[str, Scored]) -> None:
        self.board, self.scored = board, scored

    def about(self, system: System, coverage: Coverage) -> dict[str, Any]:
        """What is written about one system."""
        refs, settings = self.board.references, self.board.settings
        model, hyps = self.scored[system.name], self.board.hyps[system.name]
        baselines = {
            key: self.scored.get(baseline_key(key, system.name if key == "nearest" else ""))
            for key in BASELINES
        }
        measures = model.measures()
        return {
            "n": len(self.board.ids),
            "protocols": _language(model),
            "clinical": clinical_grid(model.clinical),
            "radgraph_f1": model.radgraph.values() if model.radgraph else None,
            **_organs(model),
            "diversity": diversity(hyps, refs.dataset, self.board.refs, refs.train),
            "baselines": {key: _baseline(found) for key, found in baselines.items()},
            "confidence": self._confidence(measures),
            "dataset": {"hash": None, "split": None, "source": None, **refs.origin},
            "version": _version(),
            "notes": self._notes(system, model),
            **_of_graphs(model),
            "name": system.name,
            "coverage": coverage.as_dict(),
            "prior_comparisons": {
                "predictions": prior_rate(hyps),
                "references": prior_rate(self.board.refs),
            },
            "image_gain": dict(system.image_gain) if system.image_gain else None,
            "labelers": _sources(system.labels, refs.labels, settings.labeler_name),
            "graph_sources": {
                "graph_f1_kia": settings.extractor_name,
                "clinical_errors": settings.extractor_name,
                "radgraph_f1": "file" if model.radgraph else None,
            },
            "settings": {
                "cleaning": refs.dataset,
                "resamples": settings.resamples,
                "seed": settings.seed,
            },
            "published_cells": [cell._asdict() for cell in PUBLISHED_CELLS],
            "by": {
                column: self._groups(values, measures) for column, values in refs.groups.items()
            },
        }

    def _notes(self, system: System, model: Scored) -> dict[str, str]:
        """Path of a value → how it was chosen, or why it is missing."""
        notes = {}
        for key in BASELINES:
            if chosen := self.board.constants.get(key):
                how = f"{chosen.how}: " if chosen.how else ""
                notes[f"baselines.{key}"] = f"{how}“{chosen.report}”"
            elif not self.board.references.train:
                notes[f"baselines.{key}"] = "needs the training reports"
            elif system.embeddings is None:
                notes[f"baselines.{key}"] = "no image embeddings beside the predictions"
            else:
                notes[f"baselines.{key}"] = (
                    "report of the nearest training study by image embedding"
                )
        if not self.board.references.train:
            notes["protocols.r2gen"] = NO_TRAINING_REPORTS
        if system.image_gain is None:
            notes["image_gain"] = "no log of the run beside the predictions"
        if model.radgraph is None:
            notes["radgraph_f1"] = NO_RADGRAPH
        if system.labels is not None:
            notes["baselines.*.clinical"] = (
                f"baselines are read by {self.board.settings.labeler_name}, this system by a file: "
                "they compare roughly"
            )
        return notes | _reasons(model.language)

    def _confidence(self, measures: Mapping[str, Measure]) -> dict[str, Any]:
        settings = self.board.settings
        intervals = {
            f"{path}.{name}": list(interval)
            for path, measure in measures.items()
            for name, interval in measure.intervals(
                resamples=settings.resamples, seed=settings.seed
            ).items()
        }
        tree = nested(intervals)
        languages = tree.pop("protocols", {})
        ordered = {
            protocol: {name: found[name] for name in METRICS if name in found}
            for protocol, found in languages.items()
        }
        return {protocol: ordered.get(protocol) for protocol in PROTOCOLS} | tree

    def _groups(
        self, values: Mapping[str, str], measures: Mapping[str, Measure]
    ) -> dict[str, dict[str, Any]]:
        """The scores of the studies of each group; CIDEr keeps the idf of all references."""
        of_study = np.array([values.get(id_) or "unknown" for id_ in self.board.ids])
        groups: dict[str, dict[str, Any]] = {}
        for value in sorted(set(of_study)):
            rows = np.flatnonzero(of_study == value)
            parts = {
                f"{path}.{name}": score
                for path, measure in measures.items()
                for name, score in measure.of(rows).values().items()
            }
            groups[str(value)] = {"n": len(rows), **nested(parts)}
        return groups


def _language(scored: Scored) -> dict[str, dict[str, float | None] | None]:
    return {p: scored.language[p].values if p in scored.language else None for p in PROTOCOLS}


def _baseline(scored: Scored | None) -> dict[str, Any] | None:
    if scored is None:
        return None
    grid = clinical_grid(scored.clinical)
    for cells in grid.values():
        del cells["observations"]
    found = {**_language(scored), "clinical": grid, **_of_graphs(scored)}
    return found | _organs(scored)


def _organs(scored: Scored) -> dict[str, Any]:
    """What is said of each organ, if that was asked for."""
    return {} if scored.organs is None else {"organs": organ_grid(scored.organs)}


def _of_graphs(scored: Scored) -> dict[str, Any]:
    """What is read from the graphs of the extractor."""
    return {
        "clinical_errors": nested(scored.errors.values()),
        "graph_f1_kia": scored.graphs.values(),
    }


def _check_graphs(systems: Sequence[System], references: References) -> None:
    """Graphs of RadGraph's model and of kia's rules are never compared with each other."""
    given = [system.graphs is not None for system in systems]
    if any(given) != (references.graphs is not None):
        raise UsageError(
            "RadGraph-F1 compares graphs of one origin: give --graphs and --reference-graphs, "
            "or none of them"
        )


def _sources(ours: object, theirs: object, tool: str) -> dict[str, str]:
    return {
        "predictions": tool if ours is None else "file",
        "references": tool if theirs is None else "file",
    }


def _not_compared(ours: System, theirs: System) -> dict[str, str]:
    """What two systems cannot be compared on, and why: one was read by a tool, one by a file."""
    if (ours.labels is None) == (theirs.labels is None):
        return {}
    return {"against.clinical": "labels of one system come from a file, of the other not"}


def _reasons(scores: Mapping[str, LanguageScores]) -> dict[str, str]:
    return {
        f"protocols.{protocol}.{metric}": reason
        for protocol, result in scores.items()
        for metric, reason in result.reasons.items()
    }


def _version() -> str:
    from kia import __version__

    return __version__
