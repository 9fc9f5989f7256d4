"""Do predictions and references speak of the same studies?"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kia.errors import DataError
from kia.ids import hint_for

_NAMED_IDS = 3  # ids named in an error line


@dataclass(frozen=True)
class Coverage:
    """The studies that are scored, and those that could not be.

    Attributes:
        ids: Scored studies, in the order of the first system's predictions.
        missing: Studies of the references without a prediction of every system.
        unknown: Ids of predictions without a reference.
    """

    ids: list[str]
    missing: list[str]
    unknown: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Counts and the first ids, for the result."""
        return {
            "scored": len(self.ids),
            "missing": len(self.missing),
            "unknown": len(self.unknown),
            "first_missing": self.missing[:_NAMED_IDS],
            "first_unknown": self.unknown[:_NAMED_IDS],
        }


def covered(
    systems: Mapping[str, Mapping[str, str]],
    references: Mapping[str, str],
    *,
    split: str | None = None,
    other_splits: Mapping[str, Iterable[str]] | None = None,
    allow_missing: bool = False,
) -> Coverage:
    """Check that every study has one prediction of every system, and none lacks its study.

    Args:
        systems: Name → id → report, at least one.
        references: Id → report.
        split: Name of the split, for the message.
        other_splits: Split → its ids, to recognise predictions of another split.
        allow_missing: Score what can be scored instead of refusing.

    Raises:
        DataError: Ids are missing or unknown (says how many and the first ones), or nothing is
            left to score.
    """
    where = f"split {split}" if split else "the references"
    if not references:
        raise DataError(f"{where} has no studies" if split else "there are no references")
    missing: dict[str, None] = {}
    unknown: dict[str, None] = {}
    problems: list[str] = []
    hints: list[str] = []
    for name, predictions in systems.items():
        lacking = [id_ for id_ in references if id_ not in predictions]
        extra = [id_ for id_ in predictions if id_ not in references]
        if lacking or extra:
            named = f"{name}: " if len(systems) > 1 else ""
            problems.append(named + _problem(predictions, references, lacking, extra, where))
            hints.append(_hint(lacking, extra, other_splits or {}))
        missing |= dict.fromkeys(lacking)
        unknown |= dict.fromkeys(extra)
    if problems and not allow_missing:
        common = "what both have" if len(systems) == 1 else _all_have(len(references), len(missing))
        hint = next(filter(None, hints), f"--allow-missing scores {common}")
        raise DataError(f"{'; '.join(problems)} ({hint})")
    first = next(iter(systems.values()))
    ids = [id_ for id_ in first if id_ in references and id_ not in missing]
    if not ids:
        line = f"no prediction is for a study of {where}: no id is the same"
        examples = f"{first_ids(first)} here, {first_ids(references)} there"
        raise DataError(f"{line} ({examples})" if first else line)
    return Coverage(ids, list(missing), list(unknown))


def _problem(
    predictions: Mapping[str, str],
    references: Mapping[str, str],
    lacking: list[str],
    extra: list[str],
    where: str,
) -> str:
    """How the ids of a system do not fit: counts, and the first of them."""
    problems = []
    if lacking:
        problems.append(
            f"no prediction for {len(lacking)} of {len(references)} studies of {where}: "
            f"{first_ids(lacking)}"
        )
    if extra:
        problems.append(
            f"{len(extra)} of {len(predictions)} predictions are for studies not in {where}: "
            f"{first_ids(extra)}"
        )
    return "; ".join(problems)


def _hint(lacking: list[str], extra: list[str], other_splits: Mapping[str, Iterable[str]]) -> str:
    """The option that would help; "" if none is known."""
    for split, ids in other_splits.items():
        if extra and set(extra) <= set(ids):
            return f"these are of split {split}: use --split {split}"
    return hint_for(lacking, extra) if lacking and extra else ""


def _all_have(references: int, missing: int) -> str:
    if references == missing:
        return "the studies that all systems have, but there is none"
    return f"the {references - missing} studies that all systems have"


def first_ids(ids: Iterable[str]) -> str:
    """The first ids, for an error line."""
    named = list(ids)
    return ", ".join(named[:_NAMED_IDS]) + (", …" if len(named) > _NAMED_IDS else "")
