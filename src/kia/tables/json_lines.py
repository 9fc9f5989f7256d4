"""JSON Lines: an object a line, each with its own keys; and whole JSON files."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kia.errors import DataError
from kia.tables.cells import CELL_LIMIT
from kia.tables.source import Record, Source, too_long
from kia.tables.text import LINE_LIMIT, TextFile, read_text, reading

_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_HALF = "an escape such as \\ud83d is half of a character; write both"


def read_json(path: Path) -> Any:
    """Content of a JSON file; DataError if it is missing or malformed."""
    text = read_text(path)
    with reading(path, "JSON"):
        return json.loads(text.removeprefix("\ufeff"))


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
            if not good and found != _HALF:  # most likely no JSON Lines at all
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
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not JSON ({error.msg if isinstance(error, json.JSONDecodeError) else error})"
    if not isinstance(found, dict):
        return "not a JSON object"
    if "\\ud" in line.lower() and _HALF_CHARACTER.search(json.dumps(found, ensure_ascii=False)):
        return _HALF
    return found
