"""A study as a row of studies.arrow, and what a row must be to be a study."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kia.files.plain import parse_json
from kia.knowledge.atlas.landmarks import LANDMARKS
from kia.knowledge.chexpert import OBSERVATIONS
from kia.studies import SPLITS, VIEWS, Study, StudyImage

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("patient", pa.string()),
        ("split", pa.string()),
        ("report", pa.string()),
        ("sections", pa.string()),
        ("labels", pa.string()),
        ("graph", pa.string()),
        ("landmarks", pa.list_(pa.string())),
        ("views", pa.list_(pa.string())),
        ("paths", pa.list_(pa.string())),
        ("first_image", pa.int32()),
        ("n_images", pa.int32()),
        ("digest", pa.binary(32)),
    ]
)
STATES: Mapping[int | None, str] = {1: "present", 0: "absent", -1: "uncertain", None: "silent"}
"""What a label may be."""
_DIGESTED = SCHEMA.names[: SCHEMA.names.index("paths")]
_LANDMARKS = frozenset(LANDMARKS)
_OPTIONAL = {"patient", "labels", "graph", "landmarks"}


def study_row(study: Study, first_image: int) -> dict[str, Any]:
    """A study as it is stored, without its digest.

    Args:
        study: Any.
        first_image: Number of its first image in the chunk.

    Raises:
        TypeError: Something in it is not JSON.
        ValueError: Likewise.
    """
    return {
        "id": study.id,
        "patient": study.patient,
        "split": study.split,
        "report": study.report,
        "sections": _json(study.sections),
        "labels": None if study.labels is None else _json(study.labels),
        "graph": None if study.graph is None else _json(study.graph),
        "landmarks": None if study.landmarks is None else list(study.landmarks),
        "views": [image.view for image in study.images],
        "paths": [image.path for image in study.images],
        "first_image": first_image,
        "n_images": len(study.images),
    }


def why_not_stored(study: Study) -> str:
    """Why a study cannot be a row; "" if it can."""
    try:
        pa.RecordBatch.from_pylist([study_row(study, 0)], schema=SCHEMA.remove(len(SCHEMA) - 1))
    except UnicodeEncodeError:
        return "its text holds half of a character (a lone surrogate)"
    except (TypeError, ValueError) as error:  # the text of an error may quote the report
        return f"it cannot be stored ({type(error).__name__})"
    return ""


def row_study(row: Mapping[str, Any]) -> Study:
    """The study in a row, as `study_row` took it.

    Raises:
        ValueError: Its sections, labels, graph or landmarks are none; in one line.
    """
    try:
        sections = _object(row["sections"], "sections")
        if not all(type(text) is str for text in sections.values()):
            raise ValueError("a section that is no text")
        return Study(
            id=row["id"],
            split=row["split"],
            images=tuple(map(StudyImage, row["paths"], row["views"])),
            report=row["report"],
            sections=sections,
            labels=None if row["labels"] is None else stored_labels(row["labels"]),
            graph=None if row["graph"] is None else _object(row["graph"], "a graph"),
            landmarks=None if row["landmarks"] is None else _known(row["landmarks"]),
            patient=row["patient"],
        )
    except ValueError as error:
        raise ValueError(f"study {_shown(row['id'])} has {error}") from None


def stored_labels(text: str) -> dict[str, int | None]:
    """Labels, as a row holds them; ValueError if they are none."""
    labels = _object(text, "labels")
    for name, state in labels.items():
        if name not in OBSERVATIONS or type(state) not in (int, type(None)) or state not in STATES:
            raise ValueError(f"the label {_shown(name)}={_shown(str(state))}")
    return labels


def _shown(text: str) -> str:
    """A text of a stranger's for an error line."""
    return " ".join(text.split())[:80]


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        found = parse_json(text)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{what} that are no JSON object")
    return found


def _known(landmarks: Iterable[str]) -> tuple[str, ...]:
    found = tuple(landmarks)
    if unknown := set(found) - _LANDMARKS:
        raise ValueError(f"the landmark {min(unknown)[:80]!r}")
    return found


def check_rows(rows: pa.RecordBatch) -> None:
    """Refuses rows that are none, before a value of them is looked at.

    Raises:
        ValueError: The buffers do not fit together, a value is missing where it may not be, or
            unknown, or the images, views and paths of a study are unequal in number.
    """
    try:
        rows.validate(full=True)
    except pa.ArrowException as error:
        raise ValueError(" ".join(str(error).split())[:200]) from None
    for name in SCHEMA.names:
        column = rows.column(name)
        if name not in _OPTIONAL and column.null_count:
            raise ValueError(f"a row without {name}")
        if pa.types.is_list(column.type) and column.flatten().null_count:
            raise ValueError(f"a row without one of its {name}")
    for name, values, known in (
        ("split", rows.column("split"), SPLITS),
        ("view", rows.column("views").flatten(), VIEWS),
    ):
        if not pc.all(pc.is_in(values, pa.array(known)), min_count=0).as_py():
            raise ValueError(f"an unknown {name}")
    first, count = rows.column("first_image"), rows.column("n_images")
    fits = pc.and_(pc.greater_equal(first, 0), pc.greater(count, 0))
    for name in ("views", "paths"):
        fits = pc.and_(fits, pc.equal(pc.list_value_length(rows.column(name)), count))
    if not pc.all(fits, min_count=0).as_py():
        raise ValueError("a row whose images, views and paths are unequal in number")


def row_digest(row: Mapping[str, Any], pixels: npt.NDArray[np.uint8]) -> bytes:
    """SHA-256 of what a study says and shows, wherever its files lay.

    Args:
        row: As stored.
        pixels: uint8 (W, S, S).
    """
    said = json.dumps([row[name] for name in _DIGESTED]).encode()
    digest = hashlib.sha256(len(said).to_bytes(8, "little") + said)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def content_hash(digests: Iterable[bytes]) -> str:
    """Hash of a data set: SHA-256 over the digests of its studies in stored order."""
    whole = hashlib.sha256()
    for digest in digests:
        whole.update(digest)
    return whole.hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=dict)
