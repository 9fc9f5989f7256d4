"""Several systems on the same studies: the scores of each, the best of them, and who differs.

A system is one set of reports, or several, which are its runs (training seeds): its scores are then
means over the runs.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kia.errors import UsageError
from kia.evaluation.baselines import BASELINES
from kia.evaluation.board.entries import Settings
from kia.evaluation.board.scoreboard import Evaluation
from kia.evaluation.board.systems import References, System
from kia.evaluation.board.tables import baseline_path
from kia.evaluation.clinical.efficacy import nested
from kia.evaluation.statistics.intervals import Measure
from kia.evaluation.statistics.paired import all_differences, holm
from kia.evaluation.statistics.seeds import mean_measure, over_seeds

SCORES = ("protocols", "clinical", "graph_f1_kia", "radgraph_f1")
"""Keys of a result that hold scores of which a higher one is better."""

ERRORS = "clinical_errors"
"""Key of those of which a lower one is better."""

_SHARED = ("n", "dataset", "version", "coverage", "settings", "published_cells")


class Comparison:
    """Systems scored against the same references, beside each other and the baselines.

    Args:
        systems: Name → its runs, at least one each; runs are renamed after their system.
        references: What they are scored against.
        settings: Labeler, extractor, resamples …
        against: Name of the system that each other one is compared with, study by study.

    Attributes:
        evaluation: All runs of all systems, scored together.
        runs: System → names of its runs in `evaluation`.

    Raises:
        DataError: The ids do not fit together.
        UsageError: There is no system, or none of the name `against`.
    """

    def __init__(
        self,
        systems: Mapping[str, Sequence[System]],
        references: References,
        settings: Settings | None = None,
        against: str | None = None,
    ) -> None:
        if not systems or not all(systems.values()):
            raise UsageError("name at least one system, and at least one file of each")
        if against is not None and against not in systems:
            raise UsageError(f"no system is called {against!r}; there are {', '.join(systems)}")
        self.against = against
        self._settings = settings or Settings()
        self.runs = {name: _run_names(name, len(runs)) for name, runs in systems.items()}
        everyone = [
            replace(run, name=own)
            for name, runs in systems.items()
            for run, own in zip(runs, self.runs[name], strict=True)
        ]
        self.evaluation = Evaluation(everyone, references, self._settings)

    def result(self) -> dict[str, Any]:
        """What ``kia evaluate --json`` writes of several systems; see docs/evaluation.md.

        "systems" has for each what is written of it alone, its differences under "against".
        """
        systems = {name: self._of_system(name) for name in self.runs}
        for name, differences in self._differences().items():
            systems[name]["against"] = {"name": self.against, **nested(differences)}
        first = next(iter(systems.values()))
        return {
            **{key: first[key] for key in _SHARED},
            "name": ", ".join(systems),
            "systems": systems,
            "baselines": {key: first["baselines"][key] for key in BASELINES if key != "nearest"},
            "best": nested(dict(_best(systems))),
            "against": self.against,
            "notes": _common([found["notes"] for found in systems.values()]),
        }

    def _of_system(self, name: str) -> dict[str, Any]:
        of_run = {result["name"]: result for result in self.evaluation.results}
        results = [of_run[run] for run in self.runs[name]]
        found = results[0] if len(results) == 1 else over_seeds(results)
        return {**found, "name": name}

    def _differences(self) -> dict[str, dict[str, Any]]:
        """System → path → difference from `against`, its p-value also corrected for the others."""
        if self.against is None:
            return {}
        found = {
            name: self._difference(name, self.against) for name in self.runs if name != self.against
        }
        for path in dict.fromkeys(path for values in found.values() for path in values):
            compared = [values[path] for values in found.values() if path in values]
            corrected = holm([difference["p_value"] for difference in compared])
            for difference, p_value in zip(compared, corrected, strict=True):
                difference["p_holm"] = p_value
        return found

    def _difference(self, ours: str, theirs: str) -> dict[str, Any]:
        runs = math.lcm(len(self.runs[ours]), len(self.runs[theirs]))
        mine, others = self._measures(ours, runs), self._measures(theirs, runs)
        how = {"resamples": self._settings.resamples, "seed": self._settings.seed}
        found = all_differences(mine, others, **how)
        return {path: dict(difference) for path, difference in found.items()}

    def _measures(self, name: str, runs: int) -> dict[str, Measure]:
        """The mean scores of a system, its runs repeated until there are so many."""
        each = [self.evaluation.measures(run) for run in self.runs[name]]
        each *= runs // len(each)
        return {
            path: mean_measure([measures[path] for measures in each])
            for path in each[0]
            if all(path in measures for measures in each)
        }


def leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], float]]:
    """Path and value of each score in nested dictionaries; not of what is of references alone."""
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from leaves(value, (*path, name))
    elif isinstance(tree, int | float) and path[-1] not in ("support", "silence"):
        yield path, float(tree)


def _best(systems: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path of a score → its best value, whose it is, and the best of the baselines."""
    of_system = {
        name: dict(leaves({key: found[key] for key in (*SCORES, ERRORS)}))
        for name, found in systems.items()
    }
    bars: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for found in systems.values():
        bars[ERRORS, "weight"].append(found[ERRORS]["silence"])  # a report that says nothing
        for baseline in found["baselines"].values():
            for path, value in leaves(baseline or {}):
                bars[path].append(value)
    for path in dict.fromkeys(path for values in of_system.values() for path in values):
        best = min if path[0] == ERRORS else max
        value = best(values[path] for values in of_system.values() if path in values)
        bar = best(bars.get(tuple(baseline_path(path)), [math.nan]))
        has_bar = not math.isnan(bar)
        yield (
            ".".join(path),
            {
                "value": value,
                "systems": [name for name, found in of_system.items() if found.get(path) == value],
                "baseline": bar if has_bar else None,
                "beats_baselines": value != bar and best(value, bar) == value if has_bar else None,
            },
        )


def _common(notes: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The notes that all systems share."""
    return {
        key: note for key, note in notes[0].items() if all(one.get(key) == note for one in notes)
    }


def _run_names(system: str, runs: int) -> list[str]:
    return [system] if runs == 1 else [f"{system}, run {run}" for run in range(1, runs + 1)]
