"""How each finding looks in the frontal view."""

import numpy as np

from kia.phantoms import anatomy
from kia.phantoms.canvas import Canvas, Layer, Points, blob, ellipse, spline
from kia.phantoms.findings import Finding

Stroke = tuple[Points, float, float]

HEART_RATIO = (0.555, 0.625, 0.70)
"""Cardiothoracic ratio of mild, moderate and severe cardiomegaly."""

_FLUID_LEVEL = (0.93, 0.74, 0.46)
_FLUID_RISE = (0.10, 0.13, 0.16)
_COLLAPSE = (0.86, 0.72, 0.52)
_ZONE_DEPTH = {"upper": 0.22, "mid": 0.52, "lower": 0.82}


def lung_shadow(
    canvas: Canvas, patient: anatomy.Patient, lungs: dict[str, Points], finding: Finding
) -> tuple[Layer, float, np.ndarray]:
    """Something that fills lung or pleural space: effusion, consolidation, opacity and so on.

    Returns:
        How far it replaces what lies behind (S, S), its brightness, and its mask (S, S).
    """
    draw = {
        "effusion": _effusion,
        "consolidation": _consolidation,
        "opacity": _opacity,
        "nodule": _nodule,
        "atelectasis": _atelectasis,
    }[finding.kind]
    rng = np.random.default_rng(finding.seed)
    alpha = np.zeros((canvas.size, canvas.size), dtype=np.float32)
    mask = np.zeros((canvas.size, canvas.size), dtype=bool)
    brightness = 0.0
    for side in finding.sides:
        inside = np.clip(2 * canvas.fill(lungs[side], blur=0.0055), 0, 1)
        one, brightness, threshold = draw(canvas, patient, side, finding, rng)
        mask |= one * inside > threshold
        if finding.kind == "effusion":
            # Fluid joins the abdomen without a rim: it also covers the edge of the diaphragm.
            below = patient.lung_points(side, np.array([(0.12, 0.9), (0.99, 0.9), (0.98, 1.2)]))
            inside = np.clip(2 * canvas.fill(lungs[side], below, blur=0.0055), 0, 1)
        one = one * inside
        alpha = np.maximum(alpha, one)
    return alpha, brightness, mask


def _place(canvas: Canvas, patient: anatomy.Patient, side: str) -> tuple[Layer, Layer]:
    """Grid of lung coordinates (u, t), each (S, S)."""
    right = side == "right"
    u = (canvas.x - patient.midline) * np.float32((-1 if right else 1) / patient.half_width)
    depth = patient.dome[0 if right else 1] - patient.apex
    return u, (canvas.y - patient.apex) * np.float32(1 / depth)


def _effusion(
    canvas: Canvas,
    patient: anatomy.Patient,
    side: str,
    finding: Finding,
    rng: np.random.Generator,
) -> tuple[Layer, float, float]:
    u, t = _place(canvas, patient, side)
    level = _FLUID_LEVEL[finding.grade] + rng.uniform(-0.03, 0.03)
    rise = np.float32(_FLUID_RISE[finding.grade])
    lateral = np.clip((u - np.float32(0.35)) * np.float32(1.6), 0, 1.2)
    surface = np.float32(level) - rise * lateral * lateral
    return np.clip((t - surface) * np.float32(18), 0, 1) * 0.95, patient.soft + 0.23, 0.4


def _consolidation(
    canvas: Canvas,
    patient: anatomy.Patient,
    side: str,
    finding: Finding,
    rng: np.random.Generator,
) -> tuple[Layer, float, float]:
    u, t = _place(canvas, patient, side)
    fissure = np.float32(0.44 + rng.uniform(-0.03, 0.03))
    tilt = np.float32(rng.uniform(-0.04, 0.06))
    sharp = np.float32(28)
    if finding.location == "upper lobe":
        lobe = np.clip((fissure + tilt * u - t) * sharp, 0, 1)
        cut = 0.17 - 0.12 * finding.grade
        lobe = lobe * np.clip((t - np.float32(cut)) * np.float32(7), 0, 1)
    elif finding.location == "middle lobe":
        reach = np.float32(0.62 + 0.11 * finding.grade)
        lobe = np.clip((t - fissure - np.float32(0.05)) * sharp, 0, 1)
        edge = reach - np.float32(0.45) * (t - fissure)
        lobe = lobe * np.clip((edge - u) * np.float32(10), 0, 1)
    else:
        start = np.float32(0.74 - 0.10 * finding.grade)
        lobe = np.clip((t - start - np.float32(0.12) * (u - 0.5)) * np.float32(8), 0, 1)
    lobe = canvas.soften(lobe, 0.008)
    return lobe * np.float32(0.72 + 0.1 * finding.grade), 0.70, 0.25


def _opacity(
    canvas: Canvas,
    patient: anatomy.Patient,
    side: str,
    finding: Finding,
    rng: np.random.Generator,
) -> tuple[Layer, float, float]:
    depth = _ZONE_DEPTH[finding.location.split()[0]]
    centre = 0.52 if depth < 0.5 else 0.62
    shapes = []
    for _ in range(4 + finding.grade):
        u, t = centre + rng.uniform(-0.17, 0.17), depth + rng.uniform(-0.09, 0.07)
        radius = rng.uniform(0.028, 0.045) + 0.006 * finding.grade
        shapes.append(blob(rng, *patient.lung_point(side, u, t), radius, 0.8 * radius))
    cloud = canvas.fill(*shapes, blur=0.018)
    strength = 0.52 + 0.17 * finding.grade
    return cloud * np.float32(strength), 0.60, 0.3 * strength


def _nodule(
    canvas: Canvas,
    patient: anatomy.Patient,
    side: str,
    finding: Finding,
    rng: np.random.Generator,
) -> tuple[Layer, float, float]:
    depth = _ZONE_DEPTH[finding.location.split()[0]] - 0.02
    low = 0.62 if depth > 0.5 else 0.45
    u, t = rng.uniform(low, 0.78), depth + rng.uniform(-0.06, 0.06)
    radius = (0.022, 0.034, 0.05)[finding.grade] * rng.uniform(0.93, 1.07)
    x, y = patient.lung_point(side, u, t)
    shape = ellipse(x, y, radius, radius * rng.uniform(0.88, 1.0), rng.uniform(0, 3))
    return canvas.fill(shape, blur=0.003) * np.float32(0.9), 0.68, 0.35


def _atelectasis(
    canvas: Canvas,
    patient: anatomy.Patient,
    side: str,
    finding: Finding,
    rng: np.random.Generator,
) -> tuple[Layer, float, float]:
    lines: list[Stroke] = []
    for number in range(1 + finding.grade):
        t = 0.90 - 0.075 * number + rng.uniform(-0.015, 0.015)
        u = 0.66 if side == "left" else 0.55
        u += rng.uniform(-0.06, 0.06)
        half, slope = rng.uniform(0.2, 0.28), rng.uniform(-0.05, 0.02)
        curve = np.array([(u - half, t + slope), (u, t - 0.008), (u + half, t - slope)])
        lines.append((patient.lung_points(side, curve), 0.013 + 0.004 * finding.grade, 0.95))
    return canvas.strokes(lines, 0.006), 0.64, 0.3


def pneumothorax(
    canvas: Canvas, patient: anatomy.Patient, lungs: dict[str, Points], finding: Finding
) -> tuple[Layer, Stroke, np.ndarray]:
    """Air between chest wall and the lung that has shrunk away from it.

    Returns:
        Free air (S, S), the visible pleural line, and the mask (S, S).
    """
    side = str(finding.side)
    outline = anatomy.collapsed_lung(patient, side, _COLLAPSE[finding.grade])
    free = canvas.fill(lungs[side]) * (1 - canvas.fill(outline))
    line = np.concatenate([outline[-10:], outline[:40]])
    return canvas.soften(free, 0.003), (line, 0.007, 1.0), free > 0.5


def break_line(line: Points, finding: Finding) -> tuple[list[Points], Points]:
    """Break a bone's centre line in two and push the outer part down.

    Returns:
        The two parts, and an outline of the place of the fracture.
    """
    rng = np.random.default_rng(finding.seed)
    share = rng.uniform(0.45, 0.62)
    step = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    cut, gap = share * step[-1], 0.018
    distance = np.linspace(0, step[-1], 40)
    fine = np.stack([np.interp(distance, step, line[:, axis]) for axis in (0, 1)], axis=1)
    inner, outer = fine[distance < cut - gap / 2], fine[distance > cut + gap / 2]
    offset = (0.026, 0.036, 0.048)[finding.grade]
    hinge = np.linspace(1.0, 0.15, len(outer))[:, None]
    moved = outer + hinge * np.array([0.0, offset])
    x, y = (inner[-1] + moved[0]) / 2
    return [inner, moved], ellipse(float(x), float(y), 0.055, 0.042)


def device_strokes(patient: anatomy.Patient, finding: Finding) -> list[Stroke]:
    """Lines (points, width, value) of a support device."""
    rng = np.random.default_rng(finding.seed)
    x, y = anatomy.carina(patient)
    if finding.kind == "endotracheal_tube":
        tip = y - rng.uniform(0.04, 0.09)
        tube = spline([(x + 0.006, -0.03), (x + 0.002, 0.1), (x - 0.002, tip)])
        return [(tube, 0.020, 0.55), (tube, 0.010, 0.25), (tube + np.array([0.007, 0]), 0.006, 1.0)]
    if finding.kind == "nasogastric_tube":
        stomach = patient.lung_point("left", 0.45, 1.12)
        drop = [(patient.midline + 0.012, -0.03), (patient.midline + 0.004, 0.4)]
        path = [*drop, (patient.midline + 0.02, patient.dome[1]), (stomach[0] - 0.07, stomach[1])]
        return [(spline([*path, (stomach[0], stomach[1] + rng.uniform(0, 0.03))]), 0.009, 0.9)]
    if finding.kind == "sternotomy_wires":
        wires = []
        for level in np.linspace(y - 0.06, y + 0.36, 6):
            loop = ellipse(patient.midline + rng.uniform(-0.006, 0.006), level, 0.019, 0.010)
            wires.append((np.concatenate([loop, loop[:1]]), 0.006, 1.0))
        return wires
    if finding.kind == "central_line":
        return [(_central_line(patient, str(finding.side), rng), 0.009, 0.95)]
    return _pacemaker(patient, str(finding.side), rng)


def _central_line(patient: anatomy.Patient, side: str, rng: np.random.Generator) -> Points:
    tip = patient.lung_point("right", 0.13, rng.uniform(0.44, 0.54))
    cava = patient.lung_point("right", 0.15, 0.26)
    if rng.random() < 0.5 or side == "left":
        entry = patient.lung_point(side, 0.85, 0.18)
        vein = patient.lung_point(side, 0.45, 0.09)
        crossing = [patient.lung_point("left", 0.12, 0.14)] if side == "left" else []
        return spline([entry, vein, *crossing, cava, tip])
    return spline([patient.lung_point("right", 0.30, -0.14), cava, tip])


def _pacemaker(patient: anatomy.Patient, side: str, rng: np.random.Generator) -> list[Stroke]:
    u, t = rng.uniform(0.70, 0.80), rng.uniform(0.20, 0.27)
    x, y = patient.lung_point(side, u, t)
    half = 0.036
    box = np.array([(x - half, y), (x + half, y)])
    vein = patient.lung_point(side, 0.42, 0.07)
    cava = patient.lung_point("right", 0.12, 0.28)
    atrium = patient.lung_point("right", 0.20, 0.72)
    apex = patient.lung_point("left", 0.42, 0.93)
    crossing = [patient.lung_point("left", 0.10, 0.14)] if side == "left" else []
    start = [(x, y - 0.02), vein, *crossing, cava]
    turn = patient.lung_point("right", 0.14, 0.78)
    leads = [spline([*start, turn, apex]), spline([*start, (atrium[0] + 0.02, y + 0.25), atrium])]
    return [*[(lead, 0.008, 0.95) for lead in leads], (box, 0.062, 0.95)]
