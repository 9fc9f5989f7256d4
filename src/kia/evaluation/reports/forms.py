"""The forms in which systems write reports as one JSON document.

- coco's results, `[{"image_id": 1, "caption": "…"}]`, and annotations, `{"annotations": [{…}]}`
  (github.com/salaniz/pycocoevalcap, cocodataset.org/#format-results);
- what its scorers take, `{id: ["…"]}` and `{id: [{"caption": "…"}]}`, and `{id: "…"}`;
- ReXrank's input and prediction files, `{study: {"model_prediction": "…", "section_findings": …}}`
  (github.com/rajpurkarlab/ReXrank, example_files/prediction.json and evaluation_script.md);
- R2Gen's annotation.json, `{"train": [{"id", "report", …}], "val": …, "test": …}`;
- lists of texts, and of objects with any of the names of `kia.evaluation.reports.columns`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from kia.errors import DataError
from kia.evaluation.reports.columns import only_text
from kia.studies import ID_COLUMNS, SPLITS, Split
from kia.tables.cells import identity, is_missing
from kia.tables.columns import plain

TEXT = "report"
"""Name of the text in forms that have none for it."""


class Entry(NamedTuple):
    """A study of a document.

    Attributes:
        place: Where it stands, for errors.
        id: None where the form has none.
        values: Plain name → value, without the id.
    """

    place: str
    id: str | None
    values: Mapping[str, Any]


def entries(
    document: Any, where: str, split: Split = "test", id_column: str | None = None
) -> list[Entry]:
    """The studies of a document of any of the forms, in its order.

    Args:
        document: As JSON gives it.
        where: The file, for errors.
        split: Of R2Gen's annotation.
        id_column: The user's name for the key of ids.

    Raises:
        DataError: It has none of the forms; says which.
    """
    if isinstance(document, dict) and document and set(document) <= set(SPLITS):
        document = document.get(split, [])
    elif isinstance(document, dict) and isinstance(document.get("annotations"), list):
        document = [_of_image(item) for item in document["annotations"]]
    if isinstance(document, list):
        found = list(_from_list(document, where, id_column))
    elif isinstance(document, dict):
        found = list(_from_object(document, where))
    else:
        raise DataError(f"{where}: expected a list or an object of reports")
    if not found:
        raise DataError(f"{where} is empty: it needs one report a study")
    return found


def _of_image(annotation: Any) -> Any:
    """An annotation of coco without its own number: it is for its image."""
    if isinstance(annotation, dict) and "image_id" in annotation:
        return {name: value for name, value in annotation.items() if name != "id"}
    return annotation


def _from_list(items: list[Any], where: str, id_column: str | None) -> Iterator[Entry]:
    for number, item in enumerate(items, 1):
        place = f"{where}, entry {number}"
        if isinstance(item, str):
            yield Entry(place, None, {TEXT: item})
        elif isinstance(item, dict):
            values = {plain(name): value for name, value in item.items()}
            key = id_key(values, id_column)
            yield Entry(place, None if key is None else identity_at(values.pop(key), place), values)
        else:
            raise DataError(f"{place}: expected a text or an object with a report")


def _from_object(items: Mapping[str, Any], where: str) -> Iterator[Entry]:
    for name, item in items.items():
        place = f"{where}, {name[:60]}"
        if isinstance(item, list):
            item = only_text(item, place)
        if isinstance(item, dict):
            values = {plain(key): value for key, value in item.items()}
        elif isinstance(item, str) or is_missing(item):
            values = {TEXT: item}
        else:
            raise DataError(f"{place}: expected a text, [text] or an object with a report")
        yield Entry(place, identity_at(name, place), values)


def id_key(values: Mapping[str, Any], chosen: str | None) -> str | None:
    """The key of an entry that holds its id; None if none does."""
    names = ID_COLUMNS if chosen is None else (plain(chosen), *ID_COLUMNS)
    return next((name for name in names if name in values), None)


def identity_at(value: Any, place: str) -> str:
    """An id as text; DataError if it is none."""
    try:
        if is_missing(value):
            raise ValueError("the id is missing")
        return identity(value)
    except ValueError as error:
        raise DataError(f"{place}: {error}") from None
