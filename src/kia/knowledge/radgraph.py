"""RadGraph graphs: entities of a report and their relations, read, checked and written.

Source: Jain et al. 2021, "RadGraph: Extracting Clinical Entities and Relations from Radiology
Reports"; Delbrouck et al. 2024 for the XL labels. Paper: Sec. 3.2.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kia.errors import DataError
from kia.files.plain import read_json

MOST_GRAPHS = 4 << 30
"""Bytes of a file of graphs; that of MIMIC-CXR's 220,000 reports has about one GB."""
LABELS: tuple[str, ...] = ("ANAT-DP", "OBS-DP", "OBS-U", "OBS-DA")
"""Anatomy, and observations that are definitely present, uncertain or definitely absent."""

RELATIONS: tuple[str, ...] = ("modify", "located_at", "suggestive_of")

LabelSet = Literal["v1", "xl"]

_TO_XL = {
    "ANAT-DP": "Anatomy::definitely present",
    "OBS-DP": "Observation::definitely present",
    "OBS-U": "Observation::uncertain",
    "OBS-DA": "Observation::definitely absent",
}
_CERTAINTY = {
    "definitely present": "OBS-DP",
    "uncertain": "OBS-U",
    "definitely absent": "OBS-DA",
}
# XL labels measurements, and anatomy of other certainty, apart; v1 does not.
_TO_V1 = {
    **{label: label for label in LABELS},
    **{
        f"Observation::{kind}{certainty}": label
        for kind in ("", "measurement::")
        for certainty, label in _CERTAINTY.items()
    },
    **{
        f"Anatomy::{kind}{certainty}": "ANAT-DP"
        for kind in ("", "measurement::")
        for certainty in _CERTAINTY
    },
}

_TOKEN = re.compile(r"\w+|[^\w\s]+")


def tokenise(text: str) -> list[str]:
    """The tokens of a report: runs of word characters and runs of punctuation."""
    return _TOKEN.findall(text)


def token_spans(text: str) -> list[tuple[int, int]]:
    """Where each token of `tokenise(text)` lies: start and end (exclusive) in characters."""
    return [match.span() for match in _TOKEN.finditer(text)]


@dataclass(frozen=True, slots=True)
class Entity:
    """A run of tokens that names an anatomy or an observation.

    Attributes:
        tokens: The tokens, joined by a space.
        label: One of `LABELS`.
        start_ix: Position of the first token in the graph's text.
        end_ix: Position of the last one, inclusive.
        relations: (one of `RELATIONS`, key of the target entity), from this entity.
    """

    tokens: str
    label: str
    start_ix: int
    end_ix: int
    relations: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ReportGraph:
    """The graph of one report.

    Attributes:
        text: The tokens of the report, joined by a space.
        entities: Key ("1", "2", …) → entity.
    """

    text: str
    entities: Mapping[str, Entity] = field(default_factory=dict)

    def to_record(self, label_set: LabelSet = "v1") -> dict[str, Any]:
        """The graph as RadGraph's JSON has it, with labels of one of the two label sets."""
        return {
            "text": self.text,
            "entities": {
                key: {
                    "tokens": entity.tokens,
                    "label": _TO_XL[entity.label] if label_set == "xl" else entity.label,
                    "start_ix": entity.start_ix,
                    "end_ix": entity.end_ix,
                    "relations": [list(relation) for relation in entity.relations],
                }
                for key, entity in self.entities.items()
            },
        }

    @classmethod
    def from_record(cls, record: Any, name: str = "graph", labeler: str = "1") -> "ReportGraph":
        """The graph of a RadGraph record, checked.

        Args:
            record: `{"text", "entities"}`, or with the entities under `labeler_1` or `labeler_2`,
                as in RadGraph's test set; labels of either set.
            name: The report, for error lines.
            labeler: "1" or "2": whose entities, where the record has two.

        Raises:
            DataError: The record is malformed; names the report and the entity.
        """
        if not isinstance(record, dict):
            raise DataError(f"{name}: a graph is an object with text and entities")
        text = record.get("text")
        held = record if "entities" in record else record.get(f"labeler_{labeler}")
        entities = held.get("entities") if isinstance(held, dict) else None
        if not isinstance(text, str) or not isinstance(entities, dict):
            raise DataError(f"{name}: the graph lacks text, or entities by key")
        tokens = text.split()
        return cls(
            text,
            {
                key: _entity(entity, f"{name}, entity {key[:80]}", tokens, entities)
                for key, entity in entities.items()
            },
        )


def _entity(record: Any, where: str, tokens: list[str], entities: Mapping[str, Any]) -> Entity:
    fields = ("tokens", "label", "start_ix", "end_ix", "relations")
    missing = [key for key in fields if not isinstance(record, dict) or key not in record]
    if missing:
        raise DataError(f"{where}: lacks {', '.join(missing)}")
    start, end = record["start_ix"], record["end_ix"]
    if type(start) is not int or type(end) is not int or not 0 <= start <= end < len(tokens):
        asked = f"start_ix {start!r:.20} and end_ix {end!r:.20}"
        raise DataError(f"{where}: {asked} are no positions among the text's {len(tokens)} tokens")
    name = " ".join(tokens[start : end + 1])
    if not isinstance(record["tokens"], str) or record["tokens"].split() != name.split():
        raise DataError(
            f"{where}: tokens are not those at {start} to {end} (inclusive) of the text"
        )
    label = _TO_V1.get(record["label"]) if isinstance(record["label"], str) else None
    if label is None:
        raise DataError(
            f"{where}: unknown label {str(record['label'])[:80]!r}; known are {', '.join(LABELS)} "
            f"and {', '.join(_TO_XL.values())}"
        )
    relations = record["relations"]
    if not isinstance(relations, list):
        raise DataError(f"{where}: relations are a list of [relation, entity]")
    return Entity(
        name, label, start, end, tuple(_relation(item, where, entities) for item in relations)
    )


def _relation(item: Any, where: str, entities: Mapping[str, Any]) -> tuple[str, str]:
    if not (isinstance(item, list) and len(item) == 2 and all(isinstance(i, str) for i in item)):
        raise DataError(f"{where}: a relation is [relation, entity], both texts")
    relation, target = item
    if relation not in RELATIONS:
        raise DataError(
            f"{where}: unknown relation {relation[:80]!r}; known are {', '.join(RELATIONS)}"
        )
    if target not in entities:
        raise DataError(f"{where}: {relation} goes to entity {target[:80]!r}, which is not there")
    return relation, target


def read_graph_records(path: Path) -> dict[str, Any]:
    """Report id → unchecked RadGraph record, from a JSON file.

    Args:
        path: RadGraph's `MIMIC-CXR_graphs.json` (keys `p10/p10000032/s50414267.txt`; physionet.org
            /content/radgraph), what the package `radgraph` returns (keys from "0"), or kia's.

    Raises:
        DataError: The file is not readable.
    """
    try:
        records = read_json(Path(path), MOST_GRAPHS)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None
    if (
        isinstance(records, list) and records
    ):  # in the order of the reports, as F1RadGraph returns them
        return {str(row): record for row, record in enumerate(records)}
    if not isinstance(records, dict):
        raise DataError(f'{path}: expected {{"report id": {{"text", "entities"}}, …}}')
    return records


def read_graphs(path: Path, labeler: str = "1") -> dict[str, ReportGraph]:
    """Report id → graph; see `read_graph_records`.

    Args:
        path: The file.
        labeler: "1" or "2": whose entities, where records have two (RadGraph's test set).

    Raises:
        DataError: The file is not readable, or a graph is malformed.
    """
    return {
        name: ReportGraph.from_record(record, f"{path}, report {name[:80]}", labeler)
        for name, record in read_graph_records(path).items()
    }


def write_graphs(path: Path, graphs: Mapping[str, ReportGraph], label_set: LabelSet = "v1") -> None:
    """Writes report id → graph as RadGraph's JSON; the file is there whole or not at all.

    Args:
        path: The file; its folder is made.
        graphs: Report id → graph.
        label_set: "v1" as in RadGraph 1, "xl" as in RadGraph-XL.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            records = {name: graph.to_record(label_set) for name, graph in graphs.items()}
            json.dump(records, file, ensure_ascii=False, indent=1)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
