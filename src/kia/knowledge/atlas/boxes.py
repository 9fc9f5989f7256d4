"""Boxes and contours of landmarks on frontal chest X-rays, as users have them.

- A table with the columns landmark, x1, y1, x2, y2: corners as fractions of the picture, a row a
  box.
- Scene graphs of Chest ImaGenome (JSON, one file an image, or a folder of them): `objects` with
  `bbox_name`, `x1`, `y1`, `x2`, `y2` in pixels of the picture padded to a square of 224.
- JSRT contours (JSON): image → {"right_lung": [[x, y], …], …}, fractions of the picture.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kia.errors import DataError
from kia.files.plain import read_json
from kia.files.regular import MOST_TABLE
from kia.knowledge.atlas.places import LANDMARKS
from kia.knowledge.atlas.rules import Mask, box, landmark_masks
from kia.tables.cells import number
from kia.tables.table import open_table

SCENE_SIDE = 224
"""Pixels a side of the pictures that Chest ImaGenome's boxes refer to."""


def read_boxes(path: str | Path) -> Iterator[dict[str, Mask]]:
    """Masks of annotated boxes, as `Atlas.from_masks` takes them.

    Args:
        path: A table, a scene graph (.json), or a folder of scene graphs.

    Returns:
        Landmark → mask for each box (table) or image (scene graphs). Objects of a scene graph that
        are no landmark, or have no box, are left out.

    Raises:
        DataError: The file cannot be read, a landmark is unknown (table), or a box is none.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(path.rglob("*.json"))
        if not files:
            raise DataError(f"{path}: no scene graph in this folder; they are named *.json")
        for file in files:
            yield _scene_graph(file)
    elif path.suffix.lower() == ".json":
        yield _scene_graph(path)
    else:
        yield from _table_boxes(path)


def read_contours(path: str | Path) -> Iterator[dict[str, Mask]]:
    """Masks of the 34 landmarks for each image of a file of contours.

    Raises:
        DataError: The file is no such file.
    """
    images = _json(Path(path))
    if not isinstance(images, dict) or not images:
        raise DataError(f"{path}: no contours; expected an object: image → contours")
    for image, contours in images.items():
        try:
            points = {name: np.array(outline, np.float64) for name, outline in contours.items()}
        except (AttributeError, TypeError, ValueError):
            raise DataError(f"{path}: {image}: contours are lists of [x, y]") from None
        try:
            yield landmark_masks(points)
        except DataError as error:
            raise DataError(f"{path}: {image}: {error}") from None


def _table_boxes(path: Path) -> Iterator[dict[str, Mask]]:
    table = open_table(path, ("landmark", "x1", "y1", "x2", "y2"))
    for row in table:
        where = table.where(row)
        if row.problem is not None:
            raise DataError(f"{where}: {row.problem}")
        name = str(row.values["landmark"] or "").strip().lower()
        if name not in LANDMARKS:
            raise DataError(f"{where}: {name!r} is none of the 34 landmarks (as 'right lung')")
        yield {name: _box(row.values, 1, where)}


def _scene_graph(path: Path) -> dict[str, Mask]:
    scene = _json(path)
    objects = scene.get("objects") if isinstance(scene, dict) else None
    if not isinstance(objects, list) or not all(isinstance(item, dict) for item in objects):
        raise DataError(f"{path}: no Chest ImaGenome scene graph: it has no list of objects")
    masks: dict[str, Mask] = {}
    for item in objects:
        name = item.get("bbox_name")
        if name in LANDMARKS and item.get("x1") is not None:
            masks[name] = _box(item, SCENE_SIDE, f"{path}: {name}")
    return masks


def _box(corners: Mapping[str, Any], side: float, where: str) -> Mask:
    try:
        x1, y1, x2, y2 = (number(corners[key]) / side for key in ("x1", "y1", "x2", "y2"))
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{where}: x1, y1, x2 and y2 are not all numbers") from None
    if not all(math.isfinite(value) and -0.5 <= value <= 1.5 for value in (x1, y1, x2, y2)):
        raise DataError(f"{where}: the box lies outside the picture; corners go from 0 to {side:g}")
    if x1 >= x2 or y1 >= y2:
        raise DataError(f"{where}: the box is empty; x1 < x2 and y1 < y2 are needed")
    return box(x1, y1, x2, y2)


def _json(path: Path) -> Any:
    try:
        return read_json(path, MOST_TABLE)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None
