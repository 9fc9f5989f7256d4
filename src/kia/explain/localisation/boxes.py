"""Findings of any data set by a table of boxes or masks, for `localisation`."""

import difflib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kia.errors import DataError
from kia.explain.localisation.measure import Inputs, PlacedFinding, placed_finding
from kia.imaging.grey import Grey, Picture
from kia.imaging.reading import read_doubtful, read_image
from kia.imaging.resize import resize_square
from kia.knowledge.chexpert import OBSERVATIONS
from kia.processing import KIAProcessor
from kia.tables.cells import number
from kia.tables.table import open_table

_BOX = ("x", "y", "w", "h")
_BY_NAME = {name.lower(): name for name in OBSERVATIONS}

Rows = list[tuple[str, Mapping[str, Any]]]
"""Where each stands in its table, for errors, and what it says."""


def read_boxes(table: Path) -> dict[Path, Rows]:
    """Rows of a table of findings by the image that they are in.

    Args:
        table: Any (`kia.tables.table`) with `image` (a file, relative to the table),
            `observation` (one of the 14), and either `x`, `y`, `w`, `h` (left, top, width, height
            in pixels of that image) or `mask` (a picture of the image's size, bright on the
            finding).

    Raises:
        DataError: It is unreadable or empty, or a row is wrong.
    """
    rows: dict[Path, Rows] = {}
    opened = open_table(table, ("image", "observation"), (*_BOX, "mask"))
    for found in opened:
        where, row = opened.where(found), found.values
        if found.problem is not None or row["image"] is None:
            raise DataError(f"{where}: {found.problem or 'no image'}")
        name = str(row["observation"] or "").strip()
        if name.lower() not in _BY_NAME:
            near = difflib.get_close_matches(name.lower(), _BY_NAME, 1)
            hint = f"; did you mean '{_BY_NAME[near[0]]}'?" if near else ""
            raise DataError(f"{where}: observation '{name}' is none of the 14{hint}")
        own = {**row, "observation": _BY_NAME[name.lower()], "table": table.parent}
        rows.setdefault(table.parent / str(row["image"]).strip(), []).append((where, own))
    return rows


def box_batches(
    images: Mapping[Path, Rows], processor: KIAProcessor, batch_size: int = 32
) -> Iterator[tuple[Inputs, list[PlacedFinding]]]:
    """Frontal images and what is in them, batch by batch, for `localisation.finding_maps`.

    Places of one observation in an image are one finding. A finding smaller than a pixel of what
    the model reads is left out.

    Args:
        images: From `read_boxes`.
        processor: Of the model; masks are resized as images are.
        batch_size: Images at a time.

    Raises:
        DataError: A box or mask does not fit its image.
        ImageError: An image cannot be read.
    """
    paths = list(images)
    for start in range(0, len(paths), batch_size):
        pixels: list[Tensor] = []
        findings: list[PlacedFinding] = []
        for index, path in enumerate(paths[start : start + batch_size], start):
            picture = read_doubtful(path)
            square = _square(picture.grey, picture.aspect, processor)
            pixels.append(processor.normalise(torch.from_numpy(square)[None]))
            findings += _findings(index, images[path], picture, processor)
        inputs = {
            "pixel_values": torch.stack(pixels),
            "view_ids": torch.zeros(len(pixels), 1, dtype=torch.int64),
        }
        yield inputs, findings


def _square(grey: Grey, aspect: float, processor: KIAProcessor) -> NDArray[np.uint8]:
    return resize_square(grey, processor.image_size, processor.resize, aspect)


def _findings(
    index: int, rows: Rows, picture: Picture, processor: KIAProcessor
) -> Iterator[PlacedFinding]:
    together: dict[str, list[NDArray[np.bool_]]] = {}
    for where, row in rows:
        mask = _mask(where, row, picture.grey.shape)
        small = _square(mask, picture.aspect, processor) >= 128
        if small.any():
            together.setdefault(row["observation"], []).append(small)
    for name, masks in together.items():
        yield placed_finding(index, name, masks)


def _mask(where: str, row: Mapping[str, Any], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """255 on the finding, 0 elsewhere, in the size (H, W) of its image."""
    if row.get("mask"):
        mask = read_image(row["table"] / str(row["mask"]))
        if mask.shape != shape:
            raise DataError(f"{where}: the mask has shape {mask.shape}, its image {shape}")
        return np.where(mask >= 128, 255, 0).astype(np.uint8)
    try:
        x, y, w, h = (number(row[name]) for name in _BOX)
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{where}: give numbers for x, y, w, h, or a mask") from None
    height, width = shape
    finite = all(map(math.isfinite, (x, y, w, h)))
    if not (finite and w > 0 and h > 0 and 0 <= x < width and 0 <= y < height):
        raise DataError(
            f"{where}: box x={x:g} y={y:g} w={w:g} h={h:g} is not inside its image of "
            f"{width} × {height} pixels"
        )
    mask = np.zeros(shape, np.uint8)
    mask[round(y) : max(round(y + h), round(y) + 1), round(x) : max(round(x + w), round(x) + 1)] = (
        255
    )
    return mask
