"""The 14 CheXpert observations, the label report (Paper: Sec. 3.2, Fig. 4b), files of labels."""

import csv
import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Literal

from kia.errors import DataError
from kia.studies import ID_COLUMNS

OBSERVATIONS: tuple[str, ...] = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
    "No Finding",
)

_BESIDE = {*ID_COLUMNS, "subject_id", "reports", "report impression", "report"}
_VALUES = {"": None, "1": 1, "0": 0, "-1": -1, "1.0": 1, "0.0": 0, "-1.0": -1}


def label_report(
    labels: Mapping[str, int | None], uncertain_as: Literal["present", "absent", "skip"] = "present"
) -> str:
    """The sentence that names each observation as present or absent, in the order of the 14.

    Args:
        labels: Observation → 1 present, 0 absent, −1 uncertain, None unmentioned. Everything but
            1 and −1 is absent.
        uncertain_as: How −1 is worded; "skip" as present (the caller leaves its word out of the
            loss).
    """
    present = (1,) if uncertain_as == "absent" else (1, -1)
    parts = [
        f"{name.lower()} is {'present' if labels.get(name) in present else 'absent'}"
        for name in OBSERVATIONS
    ]
    return f"in this radiology image, {', '.join(parts)}."


def read_labels(path: Path) -> dict[str, dict[str, int | None]]:
    """Labels of reports, as the CheXpert labeler, CheXbert, MIMIC-CXR or kia write them.

    Args:
        path: A CSV, or a CSV under gzip (`mimic-cxr-2.0.0-chexpert.csv.gz`). It has a column for
            each observation with 1, 0, −1 or nothing (also as 1.0 …), and beside them no other
            than `id`, `study_id` or `uid`, `subject_id`, and the reports' own.

    Returns:
        Id → labels, in the order of the file. Without a column of ids, as in the labeler's own
        output, these are row numbers from 1.

    Raises:
        DataError: The file is not readable, a column is unknown, missing or doubled, a value is
            none of the four, or an id occurs twice.
    """
    path = Path(path)
    limit = csv.field_size_limit(2**31 - 1)  # the default refuses reports above 128 KiB
    try:
        with _open(path) as file:
            return _labels(path, file)
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: not readable as CSV of labels ({reason})") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8 text; is it a CSV of labels?") from None
    finally:
        csv.field_size_limit(limit)


def write_labels(path: Path, labels: Mapping[str, Mapping[str, int | None]]) -> None:
    """Writes id and the 14 observations as CSV; the file is there whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", *OBSERVATIONS])
            for name, row in labels.items():
                writer.writerow([name, *(row.get(observation) for observation in OBSERVATIONS)])
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _labels(path: Path, file: IO[str]) -> dict[str, dict[str, int | None]]:
    reader = csv.reader(file, strict=True)
    columns = [name.strip() for name in next(reader, [])]
    places, identity = _places(path, columns)
    found: dict[str, dict[str, int | None]] = {}
    for number, row in enumerate((row for row in reader if row), 1):
        where = f"{path}, line {reader.line_num}"
        if len(row) != len(columns):
            raise DataError(f"{where}: {len(row)} values for {len(columns)} columns")
        name = str(number) if identity is None else row[identity].strip()
        if not name or name in found:
            raise DataError(f"{where}: the id is {'missing' if not name else 'there twice'}")
        found[name] = {}
        for observation, place in places.items():
            if (value := row[place].strip()) not in _VALUES:
                raise DataError(
                    f"{where}: {observation} is {value[:20]!r}; labels are 1, 0, -1 or nothing"
                )
            found[name][observation] = _VALUES[value]
    if not found:
        raise DataError(f"{path}: has no row of labels below its header")
    return found


def _places(path: Path, columns: list[str]) -> tuple[dict[str, int], int | None]:
    """Column of each observation, and of the ids (None: there is none)."""
    lower = [name.lower() for name in columns]
    for name, spelled in zip(columns, lower, strict=True):
        if name not in OBSERVATIONS and spelled not in _BESIDE:
            raise DataError(
                f"{path}: unknown column {name[:40]!r}; a file of labels has the 14 observations "
                f"and one of {', '.join(ID_COLUMNS)}"
            )
        if lower.count(spelled) > 1:
            raise DataError(f"{path}: the column {name!r} is there twice")
    missing = [name for name in OBSERVATIONS if name not in columns]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)}")
    places = {name: columns.index(name) for name in OBSERVATIONS}
    return places, next((lower.index(name) for name in ID_COLUMNS if name in lower), None)
