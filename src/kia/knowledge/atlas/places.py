"""The anatomical atlas: how often each place of a frontal chest X-ray belongs to a landmark.

An atlas holds one coverage map for each landmark: the share of annotated images whose box or mask
covers each of CELLS × CELLS places. Key patches are the patches of highest coverage (Paper:
Sec. 3.2, App. A, "top 20 patch positions for 34 regions using a small number of images").
"""

import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from kia.errors import DataError, UsageError
from kia.files.regular import open_file

CELLS = 56
"""Cells a side of a coverage map: four to a patch of the paper's 14 × 14 grid."""
KEY_SHARE = 20 / 196
"""Share of the patches that are key patches of a landmark: 20 of 14 × 14 (Paper: App. A)."""
MAX_GRID = 512
_SCALE = 65535  # coverage is stored as 16-bit integers
_MOST_BYTES = 16 << 20  # unpacked; an atlas has 220 KB
_ENTRIES = ("names", "coverage", "images", "source")

SIDED = (
    *("lung", "upper lung zone", "mid lung zone", "lower lung zone", "hilar structures"),
    *("apical zone", "costophrenic angle", "cardiophrenic angle", "hemidiaphragm", "clavicle"),
    "upper abdomen",
)
"""Landmarks that have a right and a left one."""
LANDMARKS: tuple[str, ...] = (
    *(f"{side} {name}" for side in ("right", "left") for name in SIDED),
    *("trachea", "spine", "aortic arch", "mediastinum", "upper mediastinum", "svc"),
    *("cardiac silhouette", "cavoatrial junction", "right atrium", "descending aorta", "carina"),
    "abdomen",
)
"""The 34 landmarks: the objects of Chest ImaGenome without right and left cardiac silhouette."""


@dataclass(frozen=True, slots=True)
class Atlas:
    """Coverage maps of the 34 landmarks.

    Attributes:
        coverage: (34, CELLS, CELLS), 0 to 1, in the order of LANDMARKS; rows from top to bottom,
            columns from image left (patient right).
        images: (34,), how many annotated images show each landmark; 0 where its coverage was taken
            from another atlas.
        source: What it was built from.
    """

    coverage: NDArray[np.float64]
    images: NDArray[np.int64]
    source: str

    def coverage_on(self, name: str, grid: int) -> NDArray[np.float64]:
        """Mean coverage of each patch of a grid × grid image, shape (grid, grid).

        Raises:
            UsageError: `name` is none of LANDMARKS, or the grid is outside 1 to MAX_GRID.
        """
        if name not in LANDMARKS:
            raise UsageError(f"{name!r} is no landmark; choose from {', '.join(LANDMARKS)}")
        if not 1 <= grid <= MAX_GRID:
            raise UsageError(f"a grid of {grid} patches a side; choose 1 to {MAX_GRID}")
        weights = _overlap(grid)
        patches: NDArray[np.float64] = weights @ self.coverage[LANDMARKS.index(name)] @ weights.T
        return patches

    def key_patches(self, name: str, grid: int = 14) -> NDArray[np.int64]:
        """The patches that a landmark covers most, the most covered first.

        Ties, also those at zero coverage (a landmark may be smaller than its key patches), go to
        the patch nearest the centre of the landmark.

        Args:
            name: One of LANDMARKS.
            grid: Patches a side of the image.

        Returns:
            Row-major patch numbers (row · grid + column), 20/196 of all, at least one.
        """
        coverage = self.coverage_on(name, grid).round(9).ravel()
        centres = np.stack(np.divmod(np.arange(grid * grid), grid), axis=1)
        centre = np.average(centres, axis=0, weights=coverage) if coverage.any() else (grid - 1) / 2
        distance = ((centres - centre) ** 2).sum(axis=1).round(9)
        order = np.lexsort((distance, -coverage))
        return order[: max(1, round(grid * grid * KEY_SHARE))].astype(np.int64)

    def save(self, path: str | Path) -> None:
        """Writes the atlas as one .npz file (no pickle)."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:  # a file: savez would add its suffix to a name
            np.savez_compressed(
                file,
                names=np.array(LANDMARKS),
                coverage=(self.coverage * _SCALE).round().astype(np.uint16),
                images=self.images,
                source=np.array(self.source),
            )

    @classmethod
    def read(cls, path: str | Path) -> "Atlas":
        """Reads an atlas that `save` wrote.

        Raises:
            DataError: The file is missing, damaged, or no atlas.
        """
        try:
            with open_file(Path(path)) as file:
                return cls._load(file)
        except OSError as error:
            raise DataError(f"{path}: {error.strerror or error}") from None
        except Exception:  # zip files and the headers of arrays raise a lot
            raise DataError(
                f"{path}: no atlas of this version of kia; make one with kia knowledge atlas"
            ) from None

    @classmethod
    def _load(cls, file: BinaryIO) -> "Atlas":
        with zipfile.ZipFile(file) as packed:
            if sum(entry.file_size for entry in packed.infolist()) > _MOST_BYTES:
                raise ValueError
        file.seek(0)
        with np.load(file, allow_pickle=False) as stored:
            names, coverage, images, source = (stored[entry] for entry in _ENTRIES)
        if tuple(names) != LANDMARKS or images.shape != (len(LANDMARKS),):
            raise ValueError
        if coverage.dtype != np.uint16 or coverage.shape != (len(LANDMARKS), CELLS, CELLS):
            raise ValueError
        return cls(coverage / _SCALE, images.astype(np.int64), str(source))

    @classmethod
    def from_masks(
        cls,
        images: Iterable[Mapping[str, NDArray[np.bool_]]],
        source: str,
        *,
        rest: "Atlas | None" = None,
        advance: Callable[[], object] = lambda: None,
    ) -> "Atlas":
        """Averages annotated images.

        Args:
            images: For each, landmark → mask (S, S) with S a multiple of CELLS; an image may lack
                landmarks.
            source: Kept with the atlas.
            rest: Gives the coverage of landmarks that occur in no image.
            advance: Called after each image.

        Raises:
            DataError: No image shows a landmark, or one occurs in none and there is no `rest`.
        """
        total = np.zeros((len(LANDMARKS), CELLS, CELLS))
        count = np.zeros(len(LANDMARKS), np.int64)
        for masks in images:
            for name, mask in masks.items():
                index = LANDMARKS.index(name)
                step = len(mask) // CELLS
                total[index] += mask.reshape(CELLS, step, CELLS, step).mean(axis=(1, 3))
                count[index] += 1
            advance()
        missing = [name for name, n in zip(LANDMARKS, count, strict=True) if not n]
        if missing and (rest is None or not count.any()):
            raise DataError(f"{source}: nothing for {', '.join(missing)}")
        coverage = total / np.maximum(count, 1)[:, None, None]
        if rest is not None:
            coverage[count == 0] = rest.coverage[count == 0]
        return cls(coverage, count, source)


@cache
def shipped_atlas() -> Atlas:
    """The atlas that comes with kia, built from the JSRT contours and `knowledge/atlas_rules`."""
    with resources.as_file(resources.files("kia.knowledge.atlas") / "atlas.npz") as path:
        return Atlas.read(path)


@cache
def _overlap(grid: int) -> NDArray[np.float64]:
    """(grid, CELLS), the share of each patch row that lies in each cell row; rows sum to 1."""
    edges = np.arange(grid + 1) * CELLS / grid
    cells = np.arange(CELLS)
    low = np.maximum(edges[:-1, None], cells)
    high = np.minimum(edges[1:, None], cells + 1)
    overlap: NDArray[np.float64] = np.clip(high - low, 0, None) * grid / CELLS
    return overlap
