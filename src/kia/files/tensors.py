"""The header of a safetensors file, checked before anything is made of what it says.

Format: 8 bytes with the length of the header (little-endian), the header as JSON, the tensors
(https://huggingface.co/docs/safetensors).
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from safetensors import SafetensorError

from kia.errors import ModelError
from kia.files.plain import parse_json
from kia.files.records import Record, first_problem
from kia.files.regular import open_file

MOST_HEADER = 1 << 20
"""Bytes; a model of five towers of twelve blocks has 110,000."""
WEIGHTS = {"F32": 4, "F16": 2, "BF16": 2}
"""Types of weights, and their bytes."""
_BYTES = WEIGHTS | {"F64": 8, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
Size = Annotated[int, Field(ge=0, lt=1 << 48)]


class StoredTensor(Record):
    """What the header says of a tensor."""

    dtype: str
    shape: Annotated[list[Size], Field(max_length=8)]
    data_offsets: Annotated[list[Size], Field(min_length=2, max_length=2)]


_ADAPTER = TypeAdapter(dict[str, StoredTensor])


def read_header(file: Path) -> dict[str, StoredTensor]:
    """Name → tensor of a safetensors file.

    Raises:
        OSError: As `open_file`.
        ValueError: It is none, or its header is larger than `MOST_HEADER` or does not fit the file.
    """
    with open_file(file) as opened:
        size = os.fstat(opened.fileno()).st_size
        length = int.from_bytes(opened.read(8), "little")
        if size < 8 or length > size - 8:
            raise ValueError("not a safetensors file, or cut off")
        if length > MOST_HEADER:
            raise ValueError(f"a header of {length:,} bytes; at most {MOST_HEADER:,} are read")
        header = opened.read(length)
    try:
        found = parse_json(header.decode("utf-8"))
    except UnicodeDecodeError:
        raise ValueError("a header that is not UTF-8") from None
    return _checked(found, size - 8 - length)


def _checked(found: Any, size: int) -> dict[str, StoredTensor]:
    """The tensors of a header, which lie one after another in `size` bytes."""
    if not isinstance(found, dict):
        raise ValueError("a header that is no JSON object")
    found.pop("__metadata__", None)
    try:
        tensors = _ADAPTER.validate_python(found)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from None
    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].data_offsets):
        if tensor.dtype not in _BYTES:
            raise ValueError(f"{name[:80]} is of the type {tensor.dtype[:20]}, which is not read")
        begin, behind = tensor.data_offsets
        if begin != end or behind - begin != math.prod(tensor.shape) * _BYTES[tensor.dtype]:
            raise ValueError(f"{name[:80]} does not lie where its shape says")
        end = behind
    if end != size:
        raise ValueError(f"{size:,} bytes of tensors instead of {end:,}")
    return tensors


@contextmanager
def optional_tensors(file: Path) -> Iterator[None]:
    """Around the reading of a file in a model folder that a model can do without.

    Raises:
        ModelError: Instead of what reading or checking it raises; names the file and the way out.
    """
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
        raise ModelError(
            f"{file} is damaged ({reason}); remove it to go without this check"
        ) from error
