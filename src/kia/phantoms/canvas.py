"""Drawing surface of the phantom: patient coordinates in, brightness layers and masks out."""

from collections.abc import Sequence
from functools import cached_property, lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Layer = np.ndarray
"""float32 (S, S), 0 to 1."""

Points = np.ndarray
"""float (N, 2): x, y as fractions of the image before the patient's rotation and shift."""


def spline(points: Sequence[tuple[float, float]], *, closed: bool = False, per: int = 6) -> Points:
    """Catmull-Rom curve through points, `per` samples to each segment.

    Args:
        points: Control points (x, y).
        closed: Whether the last point joins the first.
        per: Samples of each segment.

    Returns:
        Samples, (N, 2).
    """
    p = np.asarray(points, dtype=np.float64)
    ends = (p[-1:], p[:2]) if closed else (p[:1], p[-1:])
    q = np.concatenate([ends[0], p, ends[1]])
    a, b, c, d = q[:-3, None], q[1:-2, None], q[2:-1, None], q[3:, None]
    t = (np.arange(per) / per)[None, :, None]
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    curve = curve.reshape(-1, 2)
    return curve if closed else np.concatenate([curve, p[-1:]])


@lru_cache(maxsize=8)
def _pixel_grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    centres = (np.arange(size, dtype=np.float32) + 0.5) / size
    return centres[None, :], centres[:, None]


class Canvas:
    """A square image of one patient, slightly rotated about its centre and shifted.

    Args:
        size: Side S in pixels.
        angle: Rotation in radians.
        shift: Shift (x, y) as fractions of the image.
    """

    def __init__(self, size: int, angle: float, shift: tuple[float, float]) -> None:
        self.size = size
        cos, sin = float(np.cos(angle)), float(np.sin(angle))
        self._turn = np.array([[cos, sin], [-sin, cos]])
        self._offset = np.array(shift) + 0.5

    @cached_property
    def x(self) -> Layer:
        """Patient coordinate x of each pixel, (S, S)."""
        return self._grid(0)

    @cached_property
    def y(self) -> Layer:
        """Patient coordinate y of each pixel, (S, S)."""
        return self._grid(1)

    def _grid(self, axis: int) -> Layer:
        column, row = _pixel_grid(self.size)
        across, down = self._turn.T[:, axis].astype(np.float32)
        dx, dy = self._offset.astype(np.float32)
        return (column - dx) * across + ((row - dy) * down + np.float32(0.5))

    def place(self, points: Points) -> Points:
        """Patient coordinates as image fractions (rotated and shifted), (N, 2)."""
        return (np.asarray(points) - 0.5) @ self._turn + self._offset

    def box(self, points: Points) -> tuple[float, float, float, float]:
        """Bounding box (x1, y1, x2, y2) of points, in image fractions clipped to 0 to 1."""
        placed = np.clip(self.place(points), 0.0, 1.0)
        (x1, y1), (x2, y2) = placed.min(axis=0), placed.max(axis=0)
        return float(x1), float(y1), float(x2), float(y2)

    def fill(self, *polygons: Points, blur: float = 0.0) -> Layer:
        """Filled polygons, antialiased, blurred by `blur` (standard deviation, image fraction)."""
        # A wide blur hides that it was drawn at half the size, for a quarter of the time.
        size = self.size // 2 if blur >= 0.009 else self.size
        image = Image.new("L", (size, size))
        draw = ImageDraw.Draw(image)
        for polygon in polygons:
            draw.polygon((self.place(polygon) * size).ravel().tolist(), fill=255)
        return self._layer(image, blur)

    def mask(self, *polygons: Points) -> np.ndarray:
        """Filled polygons as a boolean mask, (S, S)."""
        return self.fill(*polygons) > 0.5

    def soften(self, layer: Layer, blur: float) -> Layer:
        """A layer or mask blurred by `blur` (image fraction)."""
        return self._layer(Image.fromarray((layer * 255).astype(np.uint8)), blur)

    def strokes(
        self, lines: Sequence[tuple[Points, float, float]], blur: float = 0.0, *, fine: int = 2
    ) -> Layer:
        """Lines of given width (image fraction) and value (0 to 1), later ones on top.

        A width of 0 fills the polygon.

        Args:
            lines: (points, width, value) of each line.
            blur: Standard deviation of the blur, image fraction.
            fine: Drawn at this many times the size, then averaged.

        Returns:
            The layer, (S, S).
        """
        scale = self.size * fine
        image = Image.new("L", (scale, scale))
        draw = ImageDraw.Draw(image)
        everything = np.concatenate([points for points, _, _ in lines])
        placed = (self.place(everything) * scale).ravel().tolist()
        start = 0
        for points, width, value in lines:
            xy = placed[start : start + 2 * len(points)]
            start += 2 * len(points)
            if not width:
                draw.polygon(xy, fill=int(value * 255))
                continue
            draw.line(xy, fill=int(value * 255), width=max(1, round(width * scale)))
        return self._layer(image.reduce(fine) if fine > 1 else image, blur)

    def _layer(self, image: Image.Image, blur: float) -> Layer:
        radius = blur * image.width
        # One or two box blurs of the same variance: a Gaussian costs three.
        if radius > 2.8:
            box = ImageFilter.BoxBlur(1.22 * radius)
            image = image.filter(box).filter(box)
        elif radius > 0.25:
            image = image.filter(ImageFilter.BoxBlur(max(0.5, 1.73 * radius - 0.5)))
        if image.width != self.size:
            image = image.resize((self.size, self.size), Image.Resampling.BILINEAR)
        return np.multiply(np.asarray(image), np.float32(1 / 255), dtype=np.float32)


def ellipse(cx: float, cy: float, rx: float, ry: float, angle: float = 0.0) -> Points:
    """Outline of an ellipse with half-axes rx, ry turned by `angle` radians, (24, 2)."""
    turn = np.linspace(0.0, 2 * np.pi, 24, endpoint=False)
    x, y = rx * np.cos(turn), ry * np.sin(turn)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cx + cos * x - sin * y, cy + sin * x + cos * y], axis=1)


def blob(rng: np.random.Generator, cx: float, cy: float, rx: float, ry: float) -> Points:
    """An irregular ellipse: its radius wobbles at random, (24, 2)."""
    turn = np.linspace(0.0, 2 * np.pi, 24, endpoint=False)
    phase = rng.uniform(0, 2 * np.pi, 3)
    wobble = 1 + 0.16 * np.sin(2 * turn + phase[0]) + 0.12 * np.sin(3 * turn + phase[1])
    wobble += 0.06 * np.sin(5 * turn + phase[2])
    return np.stack([cx + rx * wobble * np.cos(turn), cy + ry * wobble * np.sin(turn)], axis=1)
