"""How often a model's heat maps point at findings, if somebody measured it."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from kia.errors import ModelError
from kia.files.plain import read_json
from kia.files.records import Record

FILE = "localisation.json"
"""In a model folder: what `kia evaluate MODEL --localisation … --json FILE` writes."""
NOT_MEASURED = "How often these heat maps point at a finding was not measured for this model."
_Share = Annotated[float, Field(ge=0, le=1)]


class _Pointing(Record):
    pointing: _Share


class _System(Record):
    mean: _Pointing


class _Scores(Record):
    """What is needed of a file of scores."""

    findings: Annotated[int, Field(gt=0, lt=1 << 40)]
    systems: dict[str, Any]


def pointing_rate(folder: Path | None) -> str:
    """A sentence on how often heat maps of attention point at a finding.

    Args:
        folder: Of the model; None if it has none.

    Raises:
        ModelError: The file of scores is there and damaged.
    """
    file = None if folder is None else folder / FILE
    if file is None or not file.exists():
        return NOT_MEASURED
    try:
        scores = _Scores.of(read_json(file))
        share, chance = (
            _System.of(scores.systems.get(name)).mean.pointing for name in ("attention", "random")
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{file} is not what kia evaluate --localisation writes: {error}"
        ) from None
    return (
        f"Where this model's attention is highest lies a finding in {share:.0%} of "
        f"{scores.findings:,} findings that were measured; by chance in {chance:.0%}."
    )
