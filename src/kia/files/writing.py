"""JSON files, written whole or not at all, that say the same on every terminal."""

import json
import math
import os
import re
import tempfile
from pathlib import Path
from typing import Any

STEERING = re.compile(
    # ECMA-48's control characters, but for the line feed and the tab; what turns the direction of
    # writing or ends a line (UAX #9); halves of characters, which no terminal takes
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Characters that steer a terminal, or that it cannot show."""


def write_json(path: str | Path, content: Any) -> None:
    """Writes a JSON file whole or not at all; folders are made, NaN and infinity become null."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json_text(_finite(content), indent=2) + "\n"
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def json_text(content: Any, indent: int | None = None) -> str:
    """JSON that says the same on every terminal and in every file, whatever the texts hold."""
    text = json.dumps(content, indent=indent, ensure_ascii=False, default=str)
    # within strings alone: nothing else of JSON has such characters
    return STEERING.sub(lambda one: f"\\u{ord(one[0]):04x}", text)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
