"""Where the 34 landmarks lie: contours of lungs, heart and clavicles, and rules for the rest.

Contours are annotated (JSRT, 246 frontal chest X-rays); every other landmark follows from them by
one rule each, below. Lengths are fractions of the picture, or of the lung height h (apex to
costophrenic angle, about 27 cm). Patient right is image left.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kia.errors import DataError

RASTER = 224
"""Pixels a side on which a chest is drawn."""
POINTS = {
    **{"right_lung": 44, "left_lung": 50, "cardiac_silhouette": 26},
    **{"right_clavicle": 23, "left_clavicle": 23},
}
"""Contour → number of its points; points of equal number correspond between images."""
TIP = 21
"""Point of both lungs at the costophrenic angle."""
CORNER = {"right": 29, "left": 27}
"""Point of each lung at the cardiophrenic angle."""

Mask = NDArray[np.bool_]
Points = NDArray[np.float64]

_CENTRES = (np.arange(RASTER) + 0.5) / RASTER
_xs, _ys = np.meshgrid(_CENTRES, _CENTRES)


def filled(outline: Points) -> Mask:
    """Pixels whose centre lies inside a closed outline (even-odd rule).

    Args:
        outline: (K, 2), x and y as fractions of the picture.

    Returns:
        (RASTER, RASTER).
    """
    x1, y1 = outline.T[:, :, None]
    x2, y2 = np.roll(outline, -1, axis=0).T[:, :, None]
    edge, row = np.nonzero((y1 <= _CENTRES) != (y2 <= _CENTRES))
    part = (_CENTRES[row] - y1[edge, 0]) / (y2 - y1)[edge, 0]
    crossing = (x1[edge, 0] + part * (x2 - x1)[edge, 0]) * RASTER
    column = np.clip(np.ceil(crossing - 0.5), 0, RASTER).astype(np.int64)
    flips = np.zeros((RASTER, RASTER + 1), np.int64)
    np.add.at(flips, (row, column), 1)
    inside: Mask = flips.cumsum(axis=1)[:, :RASTER] % 2 == 1
    return inside


def box(x1: float, y1: float, x2: float, y2: float) -> Mask:
    """Pixels whose centre lies in a box; its corners may come in any order."""
    x1, x2 = sorted((x1, x2))
    y1, y2 = sorted((y1, y2))
    return (_xs >= x1) & (_xs < x2) & (_ys >= y1) & (_ys < y2)


class _Lung:
    """One lung: its mask and the points that the rules hang on."""

    def __init__(self, side: str, contours: Mapping[str, Points]) -> None:
        outline, clavicle = contours[f"{side}_lung"], contours[f"{side}_clavicle"]
        self.mask = filled(outline)
        self.clavicle = filled(clavicle)
        self.clavicle_bottom = clavicle[:, 1].max()
        self.outward = -1 if side == "right" else 1
        """Direction in the picture away from the midline."""
        self.top, self.bottom = outline[:, 1].min(), outline[:, 1].max()
        self.height = self.bottom - self.top
        self.side_wall = self.outward * (self.outward * outline[:, 0]).max()
        self.costophrenic = outline[TIP]
        self.cardiophrenic = outline[CORNER[side]]
        self.dome = outline[TIP : CORNER[side] + 1, 1].min()
        """Height of the top of the hemidiaphragm."""

    def inner_edge(self, y: float) -> float:
        """x of the lung's medial border at a height."""
        row = _xs[self.mask & (abs(_ys - y) < 1 / RASTER)]
        return float((row * self.outward).min() * self.outward) if len(row) else 0.5

    def rows(self, start: float, stop: float) -> Mask:
        """The lung between two fractions of its height."""
        y1, y2 = self.top + start * self.height, self.top + stop * self.height
        return self.mask & (y1 <= _ys) & (y2 > _ys)

    def landmarks(self, midline: float, carina: float, heart: Mask) -> dict[str, Mask]:
        """The landmarks that have a side, by their name without it."""
        h, out = self.height, self.outward
        hilum = carina + (0.09 if out < 0 else 0.05) * h
        root = self.inner_edge(hilum)
        tip, corner = self.costophrenic, self.cardiophrenic
        floor = np.where(self.mask, _ys, 0).max(axis=0)  # the lung's lowest point in each column
        return {
            # Annotated.
            "lung": self.mask,
            # Zones are thirds of the lung's height.
            "upper lung zone": self.rows(0, 1 / 3),
            "mid lung zone": self.rows(1 / 3, 2 / 3),
            "lower lung zone": self.rows(2 / 3, 1.01),
            # Where vessels and bronchi enter, 1 to 3 cm below the carina, the left above the right.
            "hilar structures": box(
                root - 0.04 * h * out, hilum - 0.12 * h, root + 0.14 * h * out, hilum + 0.12 * h
            ),
            # The apex is the lung that rises above the clavicle.
            "apical zone": self.mask & (self.clavicle_bottom > _ys),
            # The lowest lateral corner of the lung.
            "costophrenic angle": box(
                tip[0] + 0.03 * out, tip[1] - 0.15 * h, tip[0] - 0.12 * out, tip[1] + 0.03
            ),
            # The lowest medial corner of the lung, where the heart meets the diaphragm.
            "cardiophrenic angle": box(
                corner[0] - 0.08 * out,
                corner[1] - 0.1 * h,
                corner[0] + 0.06 * out,
                corner[1] + 0.05 * h,
            ),
            # The diaphragm is the lower border of the lung, here a band of 2 cm to each side.
            "hemidiaphragm": box(tip[0], 0, corner[0], 1) & (abs(_ys - floor) < 0.07 * h),
            # Annotated (the part in front of the lung).
            "clavicle": self.clavicle,
            # What lies below the dome, from the side wall to the midline.
            "upper abdomen": box(self.side_wall, self.dome, midline, 1) & ~self.mask & ~heart,
        }


def landmark_masks(contours: Mapping[str, Points]) -> dict[str, Mask]:
    """The 34 landmarks of one frontal chest X-ray.

    Args:
        contours: Outline of each of `POINTS`, x and y as fractions of the picture.

    Returns:
        Landmark → (RASTER, RASTER).

    Raises:
        DataError: A contour is missing or has other points.
    """
    _check(contours)
    right, left = _Lung("right", contours), _Lung("left", contours)
    heart = filled(contours["cardiac_silhouette"])
    heart_x1, heart_top = contours["cardiac_silhouette"].min(axis=0)
    heart_bottom = contours["cardiac_silhouette"][:, 1].max()
    top, h = (right.top + left.top) / 2, (right.height + left.height) / 2
    # The medial ends of the clavicles lie at the same distance from the midline.
    midline = (contours["right_clavicle"][:, 0].max() + contours["left_clavicle"][:, 0].min()) / 2
    carina = top + 0.31 * h

    between = box(0, top, 1, min(right.dome, left.dome)) & ~right.mask & ~left.mask
    between &= _extent(right.mask, -1) & _extent(left.mask, 1)
    masks = {
        f"{side} {name}": mask
        for side, lung in (("right", right), ("left", left))
        for name, mask in lung.landmarks(midline, carina, heart).items()
    }
    masks |= {
        # An air column 2 cm wide on the midline, from the neck to the carina.
        "trachea": box(midline - 0.035, top - 0.05, midline + 0.035, carina),
        # Vertebral bodies, 4 cm wide, from the upper to the lower edge of the picture.
        "spine": box(midline - 0.055, 0, midline + 0.055, 1),
        # The knob: from the trachea to the left lung, 4 cm high, down to just below the carina.
        "aortic arch": box(
            midline, carina - 0.12 * h, left.inner_edge(carina) + 0.01, carina + 0.03 * h
        ),
        # What lies between the lungs from the apices down, with the heart.
        "mediastinum": between | heart,
        # The mediastinum above the carina (fourth thoracic vertebra).
        "upper mediastinum": between & (carina > _ys),
        # The right border of the upper mediastinum, from the first rib to the right atrium.
        "svc": box(right.inner_edge(carina) - 0.01, carina - 0.13 * h, midline - 0.01, heart_top),
        # Annotated.
        "cardiac silhouette": heart,
        # The upper right corner of the heart (about 4 cm below the carina), 3 cm wide.
        "cavoatrial junction": _around((heart_x1 + midline) / 2, heart_top, 0.06 * h, 0.06 * h),
        # The part of the heart on the right of the midline.
        "right atrium": heart & (midline > _xs),
        # Left of the spine's middle, 2.5 cm wide, from the arch to the diaphragm.
        "descending aorta": box(midline, carina - 0.05 * h, midline + 0.1 * h, heart_bottom),
        # Where the trachea divides: 31 % of the lung height below the apices, on the midline.
        "carina": _around(midline, carina, 0.05 * h, 0.04 * h),
        # Both sides below the diaphragm.
        "abdomen": masks["right upper abdomen"] | masks["left upper abdomen"],
    }
    return masks


def _check(contours: Mapping[str, Points]) -> None:
    for name, points in POINTS.items():
        if name not in contours or contours[name].shape != (points, 2):
            raise DataError(f"contour {name} is missing or has not {points} points (x, y)")
        if not (np.abs(contours[name] - 0.5) <= 1).all():  # nor is what is not finite
            raise DataError(f"contour {name} lies outside the picture, which goes from 0 to 1")


def _around(x: float, y: float, beside: float, above: float) -> Mask:
    """A box by its centre and half its sides."""
    return box(x - beside, y - above, x + beside, y + above)


def _extent(lung: Mask, outward: int) -> Mask:
    """Pixels on the medial side of a lung's outermost column, in the rows that it reaches."""
    inward = lung if outward < 0 else lung[:, ::-1]
    reached = np.maximum.accumulate(inward, axis=1)
    return reached if outward < 0 else reached[:, ::-1]
