"""Files that others may have made: only regular ones are opened, and read within bounds.

What JSON and YAML are read into is plain: dict, list, str, int, float, bool and None. Readers turn
`OSError` and `ValueError` into an error of their own, which names the file.
"""

import errno
import io
import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 4 << 20
"""Of a JSON document; parsed, it may take 20 times that."""
MOST_YAML = 256 << 10
"""Bytes of a YAML document: its parser needs two seconds for so many."""
MOST_TABLE = 1 << 30
"""Bytes of a file with an entry a report or a study."""
MOST_DEPTH = 64
"""Levels of lists and objects in each other."""
MOST_BITS = 256
"""Of a whole number, so that it fits into a float."""
MOST_VALUES = 1 << 20
"""Values of a YAML document; what it names twice counts twice."""
_MOST_DIGITS = 100  # of a number in YAML, which Python would read in quadratic time
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_HALF_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")
_HALF = "an escape such as \\ud83d is half of a character; write both"
_LONG = f"a whole number of more than {MOST_BITS} bits"
_DEEP = f"deeper than {MOST_DEPTH} levels"


def open_file(path: Path, *, follow: bool = True) -> io.BufferedReader:
    """Opens a regular file to read; a pipe or a device is refused, not waited for.

    Args:
        path: Of the file.
        follow: Whether its name may be a symbolic link.

    Raises:
        OSError: It is missing, cannot be opened, or is no regular file.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        if error.errno != errno.ELOOP or follow:
            raise
        raise OSError(errno.ELOOP, "a symbolic link, not a file", str(path)) from None
    except ValueError as error:  # a null character, or half of one
        raise OSError(errno.EINVAL, f"not a name of a file ({error})", str(path)) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(handle, "rb")


def real_path(path: str | Path) -> Path:
    """A path, absolute and without symbolic links; where they lead in a circle, with them.

    Raises:
        ValueError: It holds a null character, or half of one.
    """
    return Path(os.path.realpath(path))


def read_text(path: Path, most: int = MOST_BYTES, *, follow: bool = True) -> str:
    """The text of a regular file in UTF-8.

    Args:
        path: Of the file.
        most: Bytes that it may have.
        follow: As `open_file`.

    Raises:
        OSError: As `open_file`.
        ValueError: It is larger, or not UTF-8.
    """
    with open_file(path, follow=follow) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"more than {most:,} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None


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
        raise ValueError(f"not JSON: {error.msg}, line {error.lineno}") from None
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
                    raise ValueError(_HALF)
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
