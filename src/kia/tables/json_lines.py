"""JSON Lines: an object a line, each with its own keys; and whole JSON files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kia.errors import DataError
from kia.files.plain import HALF_CHARACTER, parse_json
from kia.tables.cells import CELL_LIMIT
from kia.tables.source import Record, Source, too_long
from kia.tables.text import LINE_LIMIT, TextFile, read_text


def read_json(path: Path) -> Any:
    """Content of a JSON file; DataError if it is missing or malformed."""
    try:
        return parse_json(read_text(path).removeprefix("\ufeff"))
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


def open_json_lines(path: Path) -> Source:
    """Opens JSON Lines; empty lines are passed over.

    Raises:
        DataError: It is unreadable, or its first line is no JSON object.
    """
    text = TextFile(path)
    source = Source(None, iter(()))
    source.records = _records(path, text, source)
    return source


def _records(path: Path, text: TextFile, source: Source) -> Iterator[Record]:
    good = False
    for number, line in enumerate(text.lines(), start=1):
        if len(line) > LINE_LIMIT:
            raise too_long(path, f"line {number}", "")
        if not line.strip():
            continue
        found = _parsed(line)
        if isinstance(found, str):
            if not good and found != HALF_CHARACTER:  # most likely no JSON Lines at all
                raise DataError(f"{path}, line {number}: {found}")
            yield Record(number, (), (), found)
            continue
        good = True
        if len(line) > CELL_LIMIT:
            for name, value in found.items():
                if isinstance(value, str) and len(value) > CELL_LIMIT:
                    raise too_long(path, f"line {number}", name)
        yield Record(number, tuple(found), tuple(found.values()))
    source.remarks += text.remarks


def _parsed(line: str) -> dict[str, Any] | str:
    """The object of a line, or why it is none."""
    try:
        found = parse_json(line)
    except ValueError as error:
        return str(error)
    return found if isinstance(found, dict) else "not a JSON object"
