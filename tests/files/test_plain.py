"""Files of strangers: only regular ones are opened; JSON and YAML are plain, and bounded."""

import json
import os
import time
from pathlib import Path

import pytest

from kia.config import load_config
from kia.errors import ConfigError
from kia.files.plain import (
    MOST_BITS,
    MOST_DEPTH,
    json_lines,
    parse_json,
    parse_yaml,
    read_json,
    read_yaml,
)
from kia.files.regular import open_file, read_text

DEEP = "[" * 100_000
LAUGHS = "a: &a [x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 8)}]\n" for n in range(20)
)
BAD_JSON = {
    "nothing": ("", "not JSON"),
    "half": ('{"a": ', "not JSON"),
    "a key twice": ('{"a": {"b": 1, "b": 2}}', "the key 'b' comes twice"),
    "deep": (DEEP, "deeper than"),
    "deep and closed": ("[" * 1000 + "]" * 1000, "deeper than"),
    "a little too deep": ("[" * (MOST_DEPTH + 1) + "1" + "]" * (MOST_DEPTH + 1), "deeper than"),
    "5,000 digits": ("9" * 5000, f"more than {MOST_BITS} bits"),
    "100 digits": ("9" * 100, f"more than {MOST_BITS} bits"),
    "half of a character": ('"\\ud83d"', "half of a character"),
    "half of a character as key": ('{"\\uDE00": 1}', "half of a character"),
}
BAD_YAML = {
    "half": ("a: [", "not valid YAML"),
    "a key twice": ("a: 1\nb: 2\na: 3", "the key 'a' comes twice"),
    "deep": (DEEP, "deeper than"),
    "deep in lines": ("- " * 100_000, "deeper than"),
    "deep in turn": ("[[]," * 20_000, "deeper than"),
    "in itself": ("&a [*a]", "deeper than"),
    "a billion laughs": (LAUGHS, "more than"),
    "5,000 digits": ("a: " + "9" * 5000, "a number of more than"),
    "base 60": ("a: " + "1:" * 60_000 + "1", "a number of more than"),
    "hexadecimal": ("a: 0x" + "f" * 90, f"more than {MOST_BITS} bits"),
    "half of a character": ('a: "\\ud83d"', "half of a character"),
    "a class": ("a: !!python/object/apply:os.getcwd []", "not valid YAML"),
    "bytes": ("a: !!binary aGFsbG8=", "not valid YAML"),
    "no whole number": ("a: !!int ''", "not valid YAML"),
    "no truth": ("a: !!bool maybe", "not valid YAML"),
    "a list as key": ("? [a]\n: 1", "not valid YAML"),
}


@pytest.mark.parametrize("what", BAD_JSON)
def test_json_beyond_bounds_is_a_value_error_in_one_line(what: str) -> None:
    text, told = BAD_JSON[what]
    with pytest.raises(ValueError, match=told) as caught:
        parse_json(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200
    assert "int_max_str_digits" not in str(caught.value)


@pytest.mark.parametrize("what", BAD_YAML)
def test_yaml_beyond_bounds_is_a_value_error_in_one_line_and_soon(what: str) -> None:
    text, told = BAD_YAML[what]
    began = time.process_time()
    with pytest.raises(ValueError, match=told) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)
    assert time.process_time() - began < 2


def test_what_is_within_bounds_is_read_as_it_stands() -> None:
    tree = {"a": [1, -2.5, None, True, "😀", {"b": []}], "": 2**MOST_BITS - 1}
    assert parse_json(json.dumps(tree)) == tree
    assert parse_json("[" * MOST_DEPTH + "]" * MOST_DEPTH)
    text = "base: &b {x: 1}\nmore: {<<: *b, y: 2}\nday: 2026-01-02\nhex: 0x10\nsmall: 1.0e-4"
    assert parse_yaml(text) == {
        **{"base": {"x": 1}, "more": {"x": 1, "y": 2}},
        **{"day": "2026-01-02", "hex": 16, "small": 0.0001},
    }


def test_lines_of_json_are_numbered_in_errors() -> None:
    assert list(json_lines('{"a": 1}\n\n[2]\n')) == [{"a": 1}, [2]]
    with pytest.raises(ValueError, match="line 3: not JSON"):
        list(json_lines("1\n2\n{\n"))


def test_a_pipe_a_device_and_a_folder_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match=r"not a regular file|Is a directory") as caught:
            open_file(path)
        assert caught.value.filename == str(path)


def test_links_are_followed_only_where_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("1")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "loop").symlink_to("loop")
    assert read_json(tmp_path / "link") == 1
    with pytest.raises(OSError, match="a symbolic link, not a file"):
        read_json(tmp_path / "link", follow=False)
    for name in ("loop", "\0", "\ud800", "a" * 5000):
        with pytest.raises(OSError, match=r".+"):
            read_json(tmp_path / name)


def test_a_file_that_is_too_large_or_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with file.open("wb") as opened:
        opened.truncate(1 << 40)  # takes no room on the disk
    for read in (read_json, read_yaml, read_text):
        with pytest.raises(ValueError, match=r"more than [0-9,]+ bytes"):
            read(file)
    file.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="not UTF-8"):
        read_text(file)


def test_a_configuration_that_is_a_pipe_does_not_hang(tmp_path: Path) -> None:
    for name in ("pipe", "pipe.yaml"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(ConfigError, match="not a regular file"):
            load_config(str(tmp_path / name))


@pytest.mark.parametrize("what", BAD_YAML)
def test_a_configuration_beyond_bounds_is_refused_in_one_line(what: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(BAD_YAML[what][0])
    with pytest.raises(ConfigError) as caught:
        load_config(str(tmp_path / "mine.yaml"))
    assert "\n" not in str(caught.value)
