"""Lateral view of a phantom patient, who faces image left, with the findings it shows."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from kia.phantoms.anatomy import Patient
from kia.phantoms.canvas import Canvas, Layer, Points, blob, ellipse, spline
from kia.phantoms.findings import Finding
from kia.phantoms.frontal import expose

Stroke = tuple[Points, float, float]

_FRONT = [(0.24, 0.80), (0.185, 0.64), (0.185, 0.46), (0.235, 0.31), (0.33, 0.19), (0.43, 0.12)]
_BACK = [(0.52, 0.09), (0.64, 0.10), (0.75, 0.2), (0.825, 0.38), (0.855, 0.58), (0.855, 0.76)]
_BACK += [(0.83, 0.91)]
_WALL = spline(_FRONT + _BACK)
_DOME = spline([(0.83, 0.91), (0.77, 0.83), (0.66, 0.765), (0.5, 0.735), (0.35, 0.745)])
_SPINE = spline([(0.645, 0.02), (0.68, 0.14), (0.745, 0.32), (0.765, 0.5), (0.745, 0.7)])
_LUMBAR = spline([(0.745, 0.7), (0.70, 0.86), (0.645, 1.02)])
_STERNUM = spline([(0.285, 0.225), (0.215, 0.33), (0.165, 0.46), (0.163, 0.62)])
_CHEST = [(0.36, -0.05), (0.34, 0.10), (0.22, 0.19), (0.12, 0.36), (0.09, 0.6), (0.11, 0.8)]
_REAR = [(0.93, 1.3), (0.93, 0.8), (0.945, 0.5), (0.90, 0.28), (0.80, 0.12), (0.70, -0.05)]
_BODY = spline([*_CHEST, (0.12, 1.3), *_REAR], closed=True)
_VENTRICLE = [(0.20, 0.78), (0.195, 0.66), (0.22, 0.56), (0.29, 0.46), (0.385, 0.385)]
_ATRIUM = [(0.46, 0.40), (0.515, 0.49), (0.53, 0.6), (0.515, 0.7), (0.49, 0.80), (0.36, 0.84)]
_HEART = spline([*_VENTRICLE, *_ATRIUM], closed=True)
_HEART_SCALE = (1.16, 1.28, 1.42)
_FLUID_LEVEL = (0.80, 0.66, 0.48)
_ZONES = {"upper": (0.47, 0.27), "mid": (0.60, 0.46), "lower": (0.66, 0.67), "middle": (0.34, 0.6)}


class _Lateral:
    """Geometry of one patient's lateral view."""

    def __init__(self, patient: Patient, size: int, heart_scale: float) -> None:
        self.patient = patient
        self.canvas = Canvas(size, patient.lateral_angle, patient.shift)
        self.drop = patient.dome[0] - 0.745
        self._scale = np.array([patient.depth, 1 + self.drop])
        self._offset = np.array([0.5 - 0.5 * patient.depth, 0.0])
        scale = heart_scale * patient.heart_ratio / 0.435
        outline = _HEART - np.array([0.2, 0.80])
        self.heart = self.fit(outline * scale + np.array([0.2, 0.80]))

    def fit(self, points: Points) -> Points:
        """Template coordinates stretched to the patient's depth and diaphragm height."""
        return np.asarray(points) * self._scale + self._offset

    def lung(self, lower: float) -> Points:
        """Outline of one lung whose dome lies `lower` below the template's."""
        base = _DOME + np.array([0.0, lower]) * np.linspace(0.2, 1, len(_DOME))[:, None]
        return self.fit(np.concatenate([_WALL, base[1:]]))


def render_lateral(
    patient: Patient, findings: Sequence[Finding], size: int
) -> tuple[np.ndarray, list[np.ndarray | None]]:
    """Draw the lateral view.

    Args:
        patient: Who is drawn.
        findings: What is drawn in addition to the normal anatomy.
        size: Side S in pixels.

    Returns:
        Pixels uint8 (S, S), and the mask (S, S) of each finding or None if it does not show.
    """
    scale = 1.0
    for finding in findings:
        if finding.kind == "cardiomegaly":
            scale = _HEART_SCALE[finding.grade]
    view = _Lateral(patient, size, scale)
    air, density = _soft_tissue(view)
    masks: list[np.ndarray | None] = []
    devices: list[Stroke] = []
    for finding in findings:
        if finding.kind == "cardiomegaly":
            masks.append(view.canvas.mask(view.heart))
        elif finding.observation == "Support Devices":
            strokes = [(view.fit(p), width, value) for p, width, value in _device(finding)]
            devices += strokes
            wide = [(points, width + 0.008, 1.0) for points, width, _ in strokes]
            masks.append(view.canvas.strokes(wide, fine=1) > 0 if strokes else None)
        else:
            masks.append(_shade(view, air, density, finding))
    _bones(view, density)
    if devices:
        density += view.canvas.strokes(devices) * (0.97 - density)
    return expose(density, patient, 1), masks


def _soft_tissue(view: _Lateral) -> tuple[Layer, Layer]:
    canvas, patient = view.canvas, view.patient
    body = canvas.fill(view.fit(_BODY), blur=0.010)
    right = canvas.fill(view.lung(0.0), blur=0.005)
    left = canvas.fill(view.lung(0.035), blur=0.005)
    heart = canvas.fill(view.heart, blur=0.013)
    air = 0.55 * right + 0.45 * left
    upper = np.clip((np.float32(0.34) - canvas.y) * np.float32(4), 0, 1)
    density = body * (patient.soft + 0.16 + 0.06 * canvas.y)
    density -= air * (0.37 - 0.14 * upper) * (1 - 0.62 * heart)
    # The heart's own left dome is hidden; behind it the lung is darkest.
    vessels = canvas.strokes(_vessels(view))
    density += 0.12 * vessels * air
    airway = view.fit(np.array([(0.49, 0.0), (0.53, 0.2), (0.555, 0.36)]))
    density -= 0.11 * canvas.strokes([(airway, 0.036, 1.0)], 0.005, fine=1)
    return np.maximum(right, left), density


def _vessels(view: _Lateral) -> list[Stroke]:
    rng = np.random.default_rng((view.patient.texture_seed, 2))
    hilum = np.array([0.545, 0.43])
    count = 16
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.uniform(-0.15, 0.15, count)
    reach = rng.uniform(0.15, 0.26, count)
    bend = rng.uniform(-0.03, 0.03, (count, 2))
    tip = hilum + reach[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    middle = hilum + 0.45 * (tip - hilum) + bend
    strokes: list[Stroke] = []
    for one, two in zip(middle, tip, strict=True):
        strokes.append((view.fit(np.stack([one, two])), 0.004, 0.45))
        strokes.append((view.fit(np.stack([hilum, one])), 0.008, 0.55))
    strokes.append((view.fit(ellipse(0.545, 0.43, 0.045, 0.035)), 0, 0.6))
    arch = spline([(0.44, 0.36), (0.47, 0.285), (0.55, 0.265), (0.62, 0.31), (0.65, 0.4)])
    strokes.append((view.fit(arch), 0.035, 0.5))
    return strokes


@cache
def _skeleton() -> tuple[Stroke, ...]:
    """Scapula, ribs, vertebrae and sternum in template coordinates."""
    scapula = np.array([(0.70, 0.10), (0.79, 0.12), (0.845, 0.36), (0.82, 0.37)])
    bones: list[Stroke] = [(scapula, 0, 0.5)]
    for level in np.arange(0.14, 0.75, 0.085):
        back = 0.72 + 0.14 * np.sin((level - 0.05) * 2.6)
        curve = [(back, level), (back - 0.16, level + 0.08), (back - 0.36, level + 0.21)]
        line = spline(curve, per=4)
        bones += [(line, 0.018, 0.42), (line, 0.008, 0.28)]
    column = np.concatenate([_SPINE, _LUMBAR[1:]])
    step = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(column, axis=0).T))])
    for place in np.arange(0.02, step[-1] - 0.05, 0.072):
        span = [place, place + 0.054]
        ends = np.stack([np.interp(span, step, column[:, axis]) for axis in (0, 1)], axis=1)
        bones += [(ends, 0.072, 1.0), (ends, 0.056, 0.75)]
    return (*bones, (_STERNUM, 0.030, 1.0), (_STERNUM, 0.018, 0.7))


def _bones(view: _Lateral, density: Layer) -> None:
    strokes = [(view.fit(points), width, value) for points, width, value in _skeleton()]
    density += view.patient.bone * 1.45 * view.canvas.strokes(strokes)


def _shade(view: _Lateral, air: Layer, density: Layer, finding: Finding) -> np.ndarray | None:
    """Draw a finding of lung or pleura into the picture; None if it does not show."""
    canvas, rng, grade = view.canvas, np.random.default_rng(finding.seed), finding.grade
    if finding.kind == "effusion":
        level = _FLUID_LEVEL[grade] + view.drop + rng.uniform(-0.02, 0.02)
        behind = np.clip((canvas.x - np.float32(0.5)) * np.float32(3), -0.2, 1.1)
        surface = np.float32(level + 0.05) - np.float32(0.13) * np.abs(behind) * behind
        alpha, bright, cut = np.clip((canvas.y - surface) * np.float32(20), 0, 1), 0.70, 0.4
        alpha = alpha * (canvas.x > 0.42) if grade == 0 else alpha
    elif finding.kind in ("consolidation", "opacity", "nodule"):
        alpha, bright, cut = _patch(view, finding, rng)
    elif finding.kind == "atelectasis":
        lines: list[Stroke] = []
        for number in range(1 + grade):
            x, y = 0.62 + rng.uniform(-0.03, 0.03), 0.70 - 0.06 * number
            ends = np.array([(x - 0.10, y + 0.02), (x + 0.11, y - 0.02)])
            lines.append((view.fit(ends), 0.014 + 0.003 * grade, 1.0))
        alpha, bright, cut = canvas.strokes(lines, 0.006), 0.62, 0.3
    else:
        return None
    alpha = alpha * np.clip(2 * air, 0, 1)
    density += alpha * 0.9 * np.maximum(np.float32(bright) - density, 0)
    mask = alpha > cut
    return mask if mask.any() else None


def _patch(
    view: _Lateral, finding: Finding, rng: np.random.Generator
) -> tuple[Layer, float, float]:
    x, y = _ZONES[finding.location.split()[0]]
    grade, canvas = finding.grade, view.canvas
    if finding.kind == "nodule":
        x, y = x + rng.uniform(-0.06, 0.04), y + rng.uniform(-0.04, 0.04)
        radius = (0.024, 0.034, 0.05)[grade]
        return canvas.fill(view.fit(ellipse(x, y, radius, radius)), blur=0.003), 0.68, 0.4
    if finding.kind == "consolidation":
        radius = 0.085 + 0.022 * grade
        shape = blob(rng, x, y, 1.15 * radius, radius)
        return canvas.fill(view.fit(shape), blur=0.010) * (0.7 + 0.12 * grade), 0.70, 0.3
    shapes = []
    for _ in range(5):
        dx, dy = rng.uniform(-0.07, 0.05), rng.uniform(-0.05, 0.05)
        shapes.append(view.fit(blob(rng, x + dx, y + dy, 0.035 + 0.005 * grade, 0.03)))
    strength = 0.5 + 0.17 * grade
    return canvas.fill(*shapes, blur=0.016) * strength, 0.60, 0.3 * strength


def _device(finding: Finding) -> list[Stroke]:
    if finding.kind == "pacemaker":
        lead = spline([(0.26, 0.24), (0.40, 0.17), (0.46, 0.33), (0.44, 0.55), (0.30, 0.68)])
        return [(lead, 0.008, 0.95), (np.array([(0.225, 0.21), (0.235, 0.275)]), 0.022, 0.95)]
    if finding.kind == "sternotomy_wires":
        heights = np.linspace(0.25, 0.62, 6)
        x = np.interp(heights, _STERNUM[:, 1], _STERNUM[:, 0])
        return [
            (np.array([(a - 0.017, b), (a + 0.017, b + 0.006)]), 0.009, 1.0)
            for a, b in zip(x, heights, strict=True)
        ]
    if finding.kind == "endotracheal_tube":
        return [(np.array([(0.492, -0.02), (0.53, 0.18), (0.54, 0.26)]), 0.011, 0.85)]
    if finding.kind == "nasogastric_tube":
        path = [(0.53, -0.02), (0.60, 0.3), (0.62, 0.55), (0.56, 0.76), (0.45, 0.84)]
        return [(spline(path), 0.009, 0.9)]
    return [(spline([(0.42, 0.12), (0.45, 0.28), (0.46, 0.42)]), 0.009, 0.9)]
