"""JSON and YAML, read within bounds into plain values.

These are dict, list, str, int, float, bool and None.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from kia.files.regular import MOST_BYTES, read_text

MOST_YAML = 256 << 10
"""Bytes of a YAML document: its parser needs two seconds for so many."""
MOST_DEPTH = 64
"""Levels of lists and objects in each other."""
MOST_BITS = 256
"""Of a whole number, so that it fits into a float."""
MOST_VALUES = 1 << 20
"""Values of a YAML document; what it names twice counts twice."""
_MOST_DIGITS = 100  # of a number in YAML, which Python would read in quadratic time
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_HALF_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")
HALF_CHARACTER = "an escape such as \\ud83d is half of a character; write both"
"""What is said of a text that UTF-8 cannot hold."""
_LONG = f"a whole number of more than {MOST_BITS} bits"
_DEEP = f"deeper than {MOST_DEPTH} levels"


def read_json(path: Path, most: int = MOST_BYTES, *, follow: bool = True) -> Any:
    """What a JSON file says; see `read_text` and `parse_json` for the errors."""
    return parse_json(read_text(path, most, follow=follow))


def read_yaml(path: Path) -> Any:
    """What a YAML file says; see `read_text` and `parse_yaml` for the errors."""
    return parse_yaml(read_text(path, MOST_YAML))


def json_lines(text: str) -> Iterator[Any]:
    """What the lines of a text say, each of them JSON.

    Raises:
        ValueError: As `parse_json`, with the number of the line.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield parse_json(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None


def parse_json(text: str) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: It is not JSON, a key comes twice in an object, it is deeper than `MOST_DEPTH`,
            or holds a longer whole number than `MOST_BITS` or half of a character; in one line,
            which quotes nothing but a key.
    """
    try:
        found = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        line = f", line {error.lineno}" if "\n" in text.strip() else ""
        raise ValueError(f"not JSON ({error.msg}{line})") from None
    except RecursionError:
        raise ValueError(_DEEP) from None
    except ValueError as error:
        is_pythons = "int_max_str_digits" in str(error)  # a number of thousands of digits
        raise ValueError(_LONG if is_pythons else str(error)) from None
    _check(found, texts=bool(_HALF_ESCAPED.search(text)) or bool(_HALF_CHARACTER.search(text)))
    return found


def parse_yaml(text: str) -> Any:
    """What a YAML text says; dates stay text.

    Raises:
        ValueError: As `parse_json`; or it has more than `MOST_VALUES` values.
    """
    try:
        found = _PlainLoader(text).get_single_data()
    except yaml.YAMLError as error:
        raise ValueError(f"not valid YAML: {' '.join(str(error).split())}") from None
    except (KeyError, IndexError, RecursionError) as error:
        # what PyYAML makes of a tag on another value, as `!!bool maybe`
        raise ValueError(f"not valid YAML: {type(error).__name__}") from None
    _check(found, texts=True, most=MOST_VALUES)
    return found


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for place, name in enumerate(names) if name in names[:place])
        raise ValueError(f"the key {doubled[:80]!r} comes twice")
    return found


def _check(tree: Any, *, texts: bool, most: int | None = None) -> None:
    """Refuses plain values beyond the bounds.

    Args:
        tree: They are gone through level by level.
        texts: Whether they may hold half of a character.
        most: Values that there may be.
    """
    level, depth, values = [tree], 0, 0
    while level:
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below += one.values()
                if texts:
                    below += one
            elif isinstance(one, list):
                below += one
            elif isinstance(one, str):
                if texts and _HALF_CHARACTER.search(one):
                    raise ValueError(HALF_CHARACTER)
            elif isinstance(one, int) and one.bit_length() > MOST_BITS:
                raise ValueError(_LONG)
            if most is not None and values + len(below) > most:
                raise ValueError(f"more than {most:,} values")
        values, depth, level = values + len(below), depth + 1, below
        if depth > MOST_DEPTH:
            raise ValueError(_DEEP)


class _PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader with plain values alone, each key once, and no deep nesting."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise yaml.YAMLError(_DEEP)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, _ in node.value:
                said = key.tag, key.value if isinstance(key.value, str) else id(key)
                if said in seen:
                    raise yaml.YAMLError(f"the key {str(key.value)[:80]!r} comes twice")
                seen.add(said)
        return super().construct_mapping(node, deep=deep)

    def construct_number(self, node: Any) -> int | float:
        if len(str(node.value)) > _MOST_DIGITS:
            raise yaml.YAMLError(f"a number of more than {_MOST_DIGITS} characters")
        whole = node.tag.endswith(":int")
        try:
            return self.construct_yaml_int(node) if whole else self.construct_yaml_float(node)
        except ValueError:
            raise yaml.YAMLError(f"{str(node.value)[:80]!r} is not a number") from None


_PLAIN = ("null", "bool", "int", "float", "str", "seq", "map")
_TAG = "tag:yaml.org,2002:"
_PlainLoader.yaml_constructors = {
    **{f"{_TAG}{name}": yaml.SafeLoader.yaml_constructors[f"{_TAG}{name}"] for name in _PLAIN},
    **{f"{_TAG}{name}": _PlainLoader.construct_number for name in ("int", "float")},
    None: yaml.SafeLoader.yaml_constructors[None],  # says that it knows no such tag
}
_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != f"{_TAG}timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
