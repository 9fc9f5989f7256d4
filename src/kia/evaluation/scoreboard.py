"""The scoreboard: a model's scores, the baselines it must beat, and how sure they are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kia.evaluation.baselines import (
    COLLAPSED_BELOW,
    CONSTANT_REPORT,
    best_constant,
    diversity,
    most_frequent,
    nearest_reports,
)
from kia.evaluation.language import (
    METRICS,
    NO_TRAINING_REPORTS,
    PROTOCOLS,
    LanguageScorer,
    LanguageScores,
)
from kia.evaluation.predictions import check_coverage
from kia.evaluation.protocols import DatasetStyle
from kia.evaluation.statistics import RESAMPLES, language_intervals

NOT_YET = "not computed yet by this version of kia"

_MODEL = "model"
_BASELINES = {
    "constant": "constant",
    "best_constant": "best constant",
    "most_frequent": "most frequent",
    "nearest": "nearest neighbour",
}
_HEADERS = ("B-1", "B-2", "B-3", "B-4", "METEOR", "ROUGE-L", "CIDEr")


def evaluate_predictions(
    predictions: Mapping[str, str],
    references: Mapping[str, str],
    train_reports: Sequence[str] | None = None,
    *,
    val_reports: Sequence[str] | None = None,
    dataset: DatasetStyle = "iu",
    embeddings: tuple[np.ndarray, np.ndarray] | None = None,
    origin: Mapping[str, str | None] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Score one system's reports beside the baselines.

    Args:
        predictions: Id → raw report, in the order of the embeddings.
        references: Id → raw report; the same ids.
        train_reports: Raw reports of the training split; without them ``r2gen`` and the baselines
            taken from training are None.
        val_reports: Raw reports of the validation split, on which the best constant is chosen;
            never those that are being scored.
        dataset: Cleaning, vocabulary and cut of "iu" or "mimic".
        embeddings: Image embeddings of the training studies and of the predicted ones.
        origin: "hash" and "split" of the data set, to be recorded.
        resamples: Resamples of the intervals.
        seed: Seed of the intervals.

    Returns:
        What ``kia evaluate --json`` writes; see docs/evaluation.md. What was not computed is
        None, and "notes" says why.

    Raises:
        DataError: The ids do not fit together, or the embeddings do not fit the reports.
    """
    origin = {"hash": None, "split": None} | dict(origin or {})
    check_coverage(predictions, references, origin["split"])
    hyps, refs = list(predictions.values()), [references[id_] for id_ in predictions]
    protocols = [p for p in PROTOCOLS if p != "r2gen" or train_reports]
    with LanguageScorer(refs, train_reports, dataset=dataset) as scorer:
        sets, notes = _baseline_reports(len(refs), train_reports, val_reports, dataset, embeddings)
        scores = scorer.score_sets({_MODEL: hyps} | sets, protocols)
    model = scores[_MODEL]
    notes |= {"clinical": NOT_YET, "radgraph_f1": NOT_YET} | _reasons(model)
    if not train_reports:
        notes["protocols.r2gen"] = NO_TRAINING_REPORTS
    return {
        "n": len(refs),
        "protocols": _values(model),
        "clinical": None,
        "radgraph_f1": None,
        "diversity": diversity(hyps, dataset),
        "baselines": {name: _values(scores[name]) if name in sets else None for name in _BASELINES},
        "confidence": _confidence(model, resamples, seed),
        "dataset": origin,
        "version": _version(),
        "notes": notes,
    }


def _baseline_reports(
    studies: int,
    train_reports: Sequence[str] | None,
    val_reports: Sequence[str] | None,
    dataset: DatasetStyle,
    embeddings: tuple[np.ndarray, np.ndarray] | None,
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The reports of every baseline that can be had, and a note on each."""
    sets = {"constant": [CONSTANT_REPORT] * studies}
    notes = {"baselines.constant": f"“{CONSTANT_REPORT}”"}
    if not train_reports:
        for name in ("best_constant", "most_frequent", "nearest"):
            notes[f"baselines.{name}"] = "needs the training reports"
        return sets, notes
    chosen = {
        "best_constant": best_constant(train_reports, val_reports, dataset=dataset),
        "most_frequent": most_frequent(train_reports),
    }
    for name, choice in chosen.items():
        sets[name] = [choice.report] * studies
        notes[f"baselines.{name}"] = f"{choice.how}: “{choice.report}”"
    if embeddings is None:
        notes["baselines.nearest"] = "no image embeddings beside the predictions"
    else:
        sets["nearest"] = nearest_reports(train_reports, *embeddings, studies=studies)
        notes["baselines.nearest"] = "report of the nearest training study by image embedding"
    return sets, notes


def _values(scores: Mapping[str, LanguageScores]) -> dict[str, dict[str, float | None] | None]:
    return {p: scores[p].values if p in scores else None for p in PROTOCOLS}


def _reasons(scores: Mapping[str, LanguageScores]) -> dict[str, str]:
    return {
        f"protocols.{protocol}.{metric}": reason
        for protocol, result in scores.items()
        for metric, reason in result.reasons.items()
    }


def _confidence(
    scores: Mapping[str, LanguageScores], resamples: int, seed: int
) -> dict[str, dict[str, list[float]] | None]:
    intervals: dict[str, dict[str, list[float]] | None] = dict.fromkeys(PROTOCOLS)
    for protocol, result in scores.items():
        found = language_intervals(result.statistics, resamples=resamples, seed=seed)
        intervals[protocol] = {name: list(found[name]) for name in METRICS if name in found}
    return intervals


def _version() -> str:
    from kia import __version__

    return __version__


def collapse_warning(result: Mapping[str, Any]) -> str | None:
    """One plain sentence if the model writes nearly the same for everyone, else None."""
    unique, studies = result["diversity"]["unique_reports"], result["n"]
    if studies < 2 or (unique > 1 and unique / studies >= COLLAPSED_BELOW):
        return None
    plural = "report" if unique == 1 else "different reports"
    return f"This model writes {unique} {plural} for {studies} studies: it has collapsed."


def render(result: Mapping[str, Any]) -> RenderableType:
    """The scoreboard as a table with its notes, for a terminal.

    Args:
        result: From `evaluate_predictions`, or read back from its JSON file.
    """
    parts: list[RenderableType] = [_table(result), Text(_summary(result))]
    if warning := collapse_warning(result):
        parts.append(Text(warning, style="bold red"))
    parts += [Text(line, style="dim") for line in _note_lines(result["notes"])]
    return Group(*parts)


def _table(result: Mapping[str, Any]) -> Table:
    table = Table(box=box.SIMPLE, title="Language metrics, protocol by protocol")
    table.add_column("reports · protocol", no_wrap=True)
    for header in _HEADERS:
        table.add_column(header, justify="right", overflow="fold")
    for protocol in PROTOCOLS:
        values = result["protocols"][protocol]
        table.add_row(f"{_MODEL} · {protocol}", *_cells(values), style="bold")
        if values is not None:
            intervals = result["confidence"][protocol] or {}
            table.add_row("  95 % interval", *(_range(intervals.get(m)) for m in METRICS))
        for key, label in _BASELINES.items():
            baseline = result["baselines"][key]
            if baseline is not None and baseline[protocol] is not None:
                table.add_row(f"{label} · {protocol}", *_cells(baseline[protocol]))
        table.add_section()
    for key, label in (("clinical", "clinical F1"), ("radgraph_f1", "RadGraph F1")):
        if result[key] is None:
            table.add_row(label, "not yet", style="dim")
    return table


def _cells(values: Mapping[str, float | None] | None) -> list[str]:
    found = [values[m] if values else None for m in METRICS]
    return ["–" if value is None else f"{value:.4f}" for value in found]


def _range(interval: Sequence[float] | None) -> str:
    """Such as ".104–.188", short enough for a table of seven."""
    if interval is None:
        return ""
    return "–".join(f"{bound:.3f}".removeprefix("0") for bound in interval)


def _summary(result: Mapping[str, Any]) -> str:
    spread = result["diversity"]
    split = result["dataset"]["split"]
    return (
        f"{result['n']} studies{f' of split {split}' if split else ''}, "
        f"{spread['unique_reports']} different reports ({spread['unique_ratio']:.1%}), "
        f"{spread['mean_length']:.1f} words each on average."
    )


def _note_lines(notes: Mapping[str, str]) -> list[str]:
    """One line a reason, the keys that share it before it."""
    keys: dict[str, list[str]] = {}
    for key, note in notes.items():
        name = key.removeprefix("protocols.").removeprefix("baselines.")
        keys.setdefault(note, []).append(_BASELINES.get(name, name))
    return [f"{', '.join(names)}: {note}" for note, names in keys.items()]
