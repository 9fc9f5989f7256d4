"""What a reader should know beside the tables, in sentences: summary, warnings, notes."""

from collections.abc import Mapping
from typing import Any

from kia.evaluation.baselines import BASELINES

Values = Mapping[str, Any]

COLLAPSED_BELOW = 0.05
"""Share of different reports below which a model is said to have collapsed."""


def summary_lines(result: Values) -> list[str]:
    """What was scored, and what no score tells, a sentence each.

    Args:
        result: From `kia.evaluation.board.scoreboard`, or read back from its JSON file.
    """
    split = result["dataset"]["split"]
    if "systems" in result:
        beside = f" of split {split}" if split else ""
        return [f"{result['n']} studies{beside}, {len(result['systems'])} systems."]
    spread = result["diversity"]
    length = spread["length_ratio"]
    beside = "" if length is None else f" ({length:.2f} times the references)"
    lines = [
        f"{result['n']} studies{f' of split {split}' if split else ''}, "
        f"{spread['unique_reports']:.0f} different reports ({spread['unique_ratio']:.1%}), "
        f"{spread['mean_length']:.1f} words each on average{beside}."
    ]
    if (copied := spread["copied_ratio"]) is not None:
        lines.append(f"{copied:.1%} of the reports are copied word for word from training.")
    priors = result["prior_comparisons"]
    lines.append(
        f"{priors['predictions']:.1%} of the sentences compare with an earlier study "
        f"(references: {priors['references']:.1%})."
    )
    if gain := result["image_gain"]:
        lines.append(f"Image gain on {gain['split']}: {gain['value']:.4f} nats a token.")
    return lines


def warning_lines(result: Values) -> list[str]:
    """What must not be overlooked: a collapsed model, studies that were not scored."""
    several = result.get("systems")
    found = [result] if several is None else list(several.values())
    # a mean over runs would hide the one that collapsed
    runs = [run for one in found for run in one.get("runs", [one])]
    named = several is not None or len(runs) > 1
    lines = [line for run in runs if (line := _collapse(run, named))]
    coverage = result["coverage"]
    if coverage["missing"] or coverage["unknown"]:
        lines.append(
            f"Incomplete: {coverage['missing']} studies have no prediction and "
            f"{coverage['unknown']} predictions no study; only {coverage['scored']} are scored, "
            "so these numbers compare with no others."
        )
    return lines


def has_collapsed(unique: float, studies: int) -> bool:
    """Whether so few different reports for so many studies mean that a model has collapsed."""
    return studies > 1 and (unique <= 1 or unique / studies < COLLAPSED_BELOW)


def _collapse(result: Values, named: bool) -> str | None:
    unique, studies = result["diversity"]["unique_reports"], result["n"]
    if not has_collapsed(unique, studies):
        return None
    who = result["name"] if named else "This model"
    plural = "report" if unique == 1 else "different reports"
    return f"{who} writes {unique} {plural} for {studies} studies: it has collapsed."


def note_lines(notes: Mapping[str, str]) -> list[str]:
    """One line a reason, the keys that share it before it."""
    keys: dict[str, list[str]] = {}
    for key, note in notes.items():
        name = key.removeprefix("protocols.").removeprefix("baselines.")
        keys.setdefault(note, []).append(BASELINES.get(name, name))
    return [f"{', '.join(names)}: {note}" for note, names in keys.items()]
