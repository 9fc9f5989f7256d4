"""Changes a file as a stranger could: types, ranges, what is missing or more, deep, huge, bytes.

The same seed gives the same changes.
"""

import copy
import json
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import yaml

RAW = {
    "deep list": "[" * 5000,
    "deep and closed": "[" * 500 + "]" * 500,
    "deep object": '{"a": ' * 5000,
    "5,000 digits": "9" * 5000,
    "half a character": '"\\ud83d"',
    "NaN": "NaN",
    "infinity": "-Infinity",
    "a float beyond all": "1e999",
    "a key twice": '{"a": 1, "a": 2}',
    "nothing": "",
    "a word": "nonsense",
}
"""What no JSON writer gives."""

YAML_RAW = {
    "deep list": "[" * 5000,
    "deep and closed": "[" * 500 + "]" * 500,
    "5,000 digits": "9" * 5000,
    "base 60": "1:" * 5000 + "1",
    "half a character": '"\\ud83d"',
    "NaN": ".nan",
    "infinity": "-.inf",
    "a key twice": "{a: 1, a: 2}",
    "a class": "!!python/object/apply:os.getcwd []",
    "a date": "2026-01-02",
    "bytes": "!!binary aGFsbG8=",
    "a set": "!!set {a, b}",
    "in itself": "&a [*a]",
    "laughs": "[&a [x,x,x,x,x,x,x,x], &b [*a,*a,*a,*a], &c [*b,*b,*b,*b], [*c,*c,*c,*c]]",
    "no whole number": "!!int ''",
    "nothing": "",
}

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 1000, 2**31, -(2**31), 2**63, 2**64, 10**40, -(10**40)),
    *(0.0, -0.5, 0.5, 1e-300, 1e308, -1e308),
    *("", "x", "0", "-1", "1e3", "train", "../../etc/passwd", "/dev/zero", "a\0b", "ü😀", "\n"),
    *("x" * 10_000, [], {}, [[]], [None], {"": None}, [0] * 1000, {str(n): n for n in range(1000)}),
)

_MARK = "@@raw@@"
Tree = Any


def _places(tree: Tree, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all values of a tree."""
    if above:
        yield above
    if isinstance(tree, dict | list):
        pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
        for key, value in pairs:
            yield from _places(value, (*above, key))


def _at(tree: Tree, path: tuple[Any, ...]) -> Tree:
    for key in path:
        tree = tree[key]
    return tree


def _value(rng: random.Random) -> Any:
    return copy.deepcopy(rng.choice(VALUES))


def mutated_tree(tree: Tree, rng: random.Random) -> Tree:
    """A copy in which something is other; `RAW` values stand as marks."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(tree))
        if not places or rng.random() < 0.02:
            tree = _value(rng)
            continue
        *above, key = rng.choice(places)
        node = _at(tree, tuple(above))
        old = node[key]
        match rng.randrange(9):
            case 0:
                del node[key]
            case 1 | 2:
                node[key] = _value(rng)
            case 3:
                node[key] = _MARK
            case 4:  # another type of the same
                node[key] = rng.choice((str(old), [old], {"a": old}, bool(old), repr(old)))
            case 5 if isinstance(old, int | float):
                node[key] = rng.choice((-old, old + 1, old - 1, old * 10**6, old / 3, float(old)))
            case 5 | 6:
                node[key] = copy.deepcopy(_at(tree, rng.choice(places)))
            case 7 if isinstance(node, dict):
                node[rng.choice(("more", "", "a\0", "__class__", "x" * 5000))] = _value(rng)
            case 7:
                node.append(_value(rng))
            case _ if isinstance(node, dict):
                node[f"{key}s"] = node.pop(key)
            case _:
                node.insert(0, copy.deepcopy(old))
    return tree


def mutated_bytes(content: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, left out, put in, doubled; or cut off."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        place = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0:
                del data[place:]
            case 1:
                data[place:place] = rng.randbytes(rng.choice((1, 3, 200)))
            case 2:
                del data[place : place + rng.choice((1, 4, 100))]
            case 3:
                data[place:place] = data[place : place + rng.choice((1, 30, 1000))]
            case _ if place < len(data):
                data[place] ^= 1 << rng.randrange(8)
            case _:
                data += rng.choice((b"\0", b"\xff", b" " * 5000, b"[" * 5000))
    return bytes(data)


def mutations(content: bytes, kind: str, seed: int, count: int) -> Iterator[bytes]:
    """As many changed contents of a file.

    Args:
        content: As it was written.
        kind: "json", "jsonl", "yaml", "safetensors" (its header or its bytes), "npy" (its header),
            "arrow" (its rows) or "bytes".
        seed: Another one gives other changes.
        count: How many.
    """
    change: Callable[[bytes, random.Random], bytes] = {
        "json": _json,
        "jsonl": _jsonl,
        "yaml": _yaml,
        "safetensors": _safetensors,
        "npy": _npy,
        "arrow": _arrow,
        "bytes": mutated_bytes,
    }[kind]
    rng = random.Random(seed)
    for _ in range(count):
        yield mutated_bytes(content, rng) if rng.random() < 0.15 else change(content, rng)


def _raw(text: str, raw: dict[str, str], rng: random.Random) -> str:
    for mark in (f'"{_MARK}"', f"'{_MARK}'", _MARK):
        text = text.replace(mark, rng.choice(list(raw.values())))
    return text


def _json(content: bytes, rng: random.Random) -> bytes:
    text = json.dumps(mutated_tree(json.loads(content), rng))
    return _raw(text, RAW, rng).encode("utf-8", "surrogatepass")


def _jsonl(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    place = rng.randrange(len(lines))
    if lines[place].strip():
        lines[place] = _json(lines[place], rng)
    if rng.random() < 0.1:
        lines.insert(place, rng.choice([*lines, b"", b"[]", b"{}", b"null"]))
    return b"\n".join(lines)


def _yaml(content: bytes, rng: random.Random) -> bytes:
    text = yaml.safe_dump(mutated_tree(yaml.safe_load(content), rng), sort_keys=False)
    return _raw(text, YAML_RAW, rng).encode("utf-8", "surrogatepass")


def _safetensors(content: bytes, rng: random.Random) -> bytes:
    (length,) = struct.unpack("<Q", content[:8])
    header, tensors = content[8 : 8 + length], content[8 + length :]
    if rng.random() < 0.3:
        values = struct.pack("<f", rng.choice((float("nan"), float("inf"), 1e38, -1.0, 0.0)))
        place = rng.randrange(len(tensors) // 4) * 4
        return content[: 8 + length] + tensors[:place] + values + tensors[place + 4 :]
    header = _json(header, rng)
    length = rng.choice((len(header), len(header), len(header), rng.getrandbits(64)))
    return struct.pack("<Q", length) + header + tensors


def _npy(content: bytes, rng: random.Random) -> bytes:
    """Its header is a Python dict as text."""
    start = 10 + int.from_bytes(content[8:10], "little")
    if rng.random() < 0.5:
        return mutated_bytes(content[:start], rng) + content[start:]
    shape = rng.choice(
        ("()", "(1,)", "(-1, 8, 8)", f"({10**30},)", "(1" + ",1" * 200 + ")", "1", "x")
    )
    kind = rng.choice(("|u1", "<f4", "|O", "<U5", "|V9", "[('a', '|O')]", "<M8[s]", "x"))
    order = rng.choice(("True", "False", "None", "1", "[" * 300))
    text = f"{{'descr': {kind!r}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    header = text + b" " * rng.choice((0, 30, 60_000 - len(text)))
    size = rng.choice((len(header), len(header), 65_535)).to_bytes(2, "little")
    return (
        content[:6]
        + rng.choice((b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\x09\0"))
        + (size + header + content[start:])
    )


def _arrow(content: bytes, rng: random.Random) -> bytes:
    """Cells of a table."""
    reader = pa.ipc.open_file(pa.BufferReader(content))
    batches = [reader.get_batch(n) for n in range(reader.num_record_batches)]
    number = rng.randrange(len(batches))
    rows = batches[number].to_pylist()
    for _ in range(rng.choice((1, 1, 2))):
        row, column = rng.choice(rows), rng.choice(reader.schema)
        if rng.random() < 0.6 and isinstance(row[column.name], str) and row[column.name][:1] == "{":
            row[column.name] = _json(row[column.name].encode(), rng).decode("utf-8", "replace")
        elif pa.types.is_string(column.type):
            row[column.name] = rng.choice(
                (None, "", "x", "train", "nul\0", "x" * 100_000, "[]", "{}")
            )
        elif pa.types.is_list(column.type):
            some = rng.choice((None, "", "x", "frontal", "lateral", "left lung"))
            row[column.name] = rng.choice((None, [], [some], [some] * 3, [None, some]))
        elif pa.types.is_integer(column.type):
            row[column.name] = rng.choice((None, 0, 1, 2, 3, -1, 2**31 - 1, -(2**31)))
        else:
            row[column.name] = rng.choice((None, b"x" * 32))
    if rng.random() < 0.1:
        rows = rng.choice((rows[1:], [*rows, rows[0]], rows[::-1]))
    batches[number] = pa.RecordBatch.from_pylist(rows, schema=reader.schema)
    if rng.random() < 0.05:
        batches = rng.choice((batches[1:], [*batches, batches[0]]))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, reader.schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()
