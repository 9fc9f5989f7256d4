"""The automaton of the Penn Treebank tokenizer, read from its jar.

The tokenizer of pycocoevalcap (Stanford CoreNLP 3.4.1) is an automaton that JFlex packed into
strings of one Java class. They are read from the class file, so that kia holds no copy of them.
"""

import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from kia.errors import DataError
from kia.evaluation.language.tables import Arrays, cached_arrays, package_file

_CLASS = "edu/stanford/nlp/process/PTBLexer.class"
_CONSTANT_BYTES = {
    3: 4,
    4: 4,
    5: 8,
    6: 8,
    7: 2,
    8: 2,
    9: 4,
    10: 4,
    11: 4,
    12: 4,
    15: 3,
    16: 2,
    18: 4,
}
_UTF8, _STRING, _WIDE = 1, 8, (5, 6)


def automaton() -> Arrays:
    """The automaton as arrays.

    Returns:
        "classes" (65536,): class of each UTF-16 unit; "rows" (S,): where the transitions of a state
        begin; "next": state by row + class, -1 for none; "actions" (S,): what a token that
        ends in a state is, 0 for none; "flags" (S,): 1 a token may end here, 8 it must.

    Raises:
        MissingDependency: pycocoevalcap is not installed.
        DataError: Its jar is not the one that is known.
    """
    from pycocoevalcap.tokenizer.ptbtokenizer import STANFORD_CORENLP_3_4_1_JAR

    jar = package_file("tokenizer", STANFORD_CORENLP_3_4_1_JAR)
    return cached_arrays("ptb-1", [jar], lambda: _unpacked(jar))


def _unpacked(jar: Path) -> Arrays:
    try:
        with zipfile.ZipFile(jar) as archive:
            texts = class_constants(archive.read(_CLASS))
        return {
            "classes": _runs(texts["ZZ_CMAP_PACKED"]).astype(np.int16),
            "rows": _pairs(_joined(texts, "ROWMAP")),
            "next": (_runs(_joined(texts, "TRANS")) - 1).astype(np.int16),
            "actions": _runs(_joined(texts, "ACTION")).astype(np.int16),
            "flags": _runs(_joined(texts, "ATTRIBUTE")).astype(np.int16),
        }
    except (OSError, KeyError, ValueError, struct.error, zipfile.BadZipFile):
        raise DataError(f"{jar}: not the tokenizer's jar; install pycocoevalcap 1.2 anew") from None


def _joined(texts: Mapping[str, np.ndarray], table: str) -> np.ndarray:
    parts = [value for name, value in texts.items() if name.startswith(f"ZZ_{table}_PACKED_")]
    return np.concatenate(parts)


def _runs(packed: np.ndarray) -> np.ndarray:
    """Pairs of a count and a value → the values."""
    return np.repeat(packed[1::2], packed[::2])


def _pairs(packed: np.ndarray) -> np.ndarray:
    """Upper and lower halves of numbers → the numbers."""
    return (packed[::2] << 16) | packed[1::2]


def class_constants(content: bytes) -> dict[str, np.ndarray]:
    """The constant strings of a Java class file by the name of their field, as UTF-16 units.

    Source: The Java Virtual Machine Specification, chapter 4.
    """
    names, strings, at = _constant_pool(content)
    (interfaces,) = struct.unpack_from(">H", content, at + 6)
    at += 8 + 2 * interfaces
    (fields,) = struct.unpack_from(">H", content, at)
    at += 2
    found = {}
    for _ in range(fields):
        _, name, _, attributes = struct.unpack_from(">4H", content, at)
        at += 8
        for _ in range(attributes):
            kind, length = struct.unpack_from(">HI", content, at)
            if names[kind] == b"ConstantValue":
                (value,) = struct.unpack_from(">H", content, at + 6)
                if value in strings:
                    found[names[name].decode()] = _units(names[strings[value]])
            at += 6 + length
    return found


def _constant_pool(content: bytes) -> tuple[dict[int, bytes], dict[int, int], int]:
    """Texts and strings (as numbers of texts) by their number, and where the pool ends."""
    magic, _, count = struct.unpack_from(">IIH", content)
    if magic != 0xCAFEBABE:
        raise ValueError("not a class file")
    texts, strings, at = {}, {}, 10
    numbers: Iterator[int] = iter(range(1, count))
    for number in numbers:
        kind = content[at]
        if kind == _UTF8:
            (length,) = struct.unpack_from(">H", content, at + 1)
            texts[number] = content[at + 3 : at + 3 + length]
            at += 3 + length
            continue
        if kind == _STRING:
            (strings[number],) = struct.unpack_from(">H", content, at + 1)
        at += 1 + _CONSTANT_BYTES[kind]
        if kind in _WIDE:
            next(numbers)  # these take two numbers
    return texts, strings, at


def _units(modified: bytes) -> np.ndarray:
    """Java's modified UTF-8 → UTF-16 units."""
    text = modified.replace(b"\xc0\x80", b"\0").decode("utf-8", "surrogatepass")
    return np.frombuffer(text.encode("utf-16-le", "surrogatepass"), np.uint16).astype(np.int32)
