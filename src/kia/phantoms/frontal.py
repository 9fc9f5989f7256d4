"""Frontal view of a phantom patient: soft tissue, air, vessels, bones, then findings."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from kia.phantoms import anatomy
from kia.phantoms.canvas import Canvas, Layer, Points, ellipse, spline
from kia.phantoms.findings import Finding
from kia.phantoms.frontal_findings import (
    HEART_RATIO,
    break_line,
    device_strokes,
    lung_shadow,
    pneumothorax,
)

Stroke = tuple[Points, float, float]

_RIB_NAMES = {2: "fourth rib", 3: "fifth rib", 4: "sixth rib", 5: "seventh rib"}


@dataclass(slots=True)
class _Scene:
    """Layers that findings change before the picture is put together."""

    shadows: list[tuple[Layer, float]] = field(default_factory=list)
    """(alpha, brightness) of fluid or filled lung."""
    free_air: list[Layer] = field(default_factory=list)
    pleural_lines: list[Stroke] = field(default_factory=list)
    devices: list[Stroke] = field(default_factory=list)
    masks: list[np.ndarray] = field(default_factory=list)


def render_frontal(
    patient: anatomy.Patient, findings: Sequence[Finding], size: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw the frontal view.

    Args:
        patient: Who is drawn.
        findings: What is drawn in addition to the normal anatomy.
        size: Side S in pixels.

    Returns:
        Pixels uint8 (S, S), and the boolean mask (S, S) of each finding.
    """
    canvas = Canvas(size, patient.angle, patient.shift)
    patient = enlarged(patient, findings)
    lungs = {side: anatomy.lung(patient, side) for side in anatomy.SIDES}
    scene = _Scene()
    bones, fractures = _bone_strokes(patient, findings)
    for finding in findings:
        _add(scene, canvas, patient, lungs, finding, fractures)
    density = _soft_tissue(canvas, patient, lungs, scene)
    density += patient.bone * 1.6 * canvas.strokes([*_scapulae(patient), *bones])
    if patient.marker:
        scene.devices += _marker(patient)
    if scene.devices:
        wire = canvas.strokes(scene.devices)
        density += wire * (0.97 - density)
    return expose(density, patient, 0), scene.masks


def enlarged(patient: anatomy.Patient, findings: Sequence[Finding]) -> anatomy.Patient:
    """The patient with a larger heart if the findings say so."""
    for finding in findings:
        if finding.kind == "cardiomegaly":
            ratio = HEART_RATIO[finding.grade] + 0.02 * (patient.heart_ratio - 0.435) / 0.035
            return replace(patient, heart_ratio=ratio)
    return patient


def _add(
    scene: _Scene,
    canvas: Canvas,
    patient: anatomy.Patient,
    lungs: dict[str, Points],
    finding: Finding,
    fractures: dict[Finding, Points],
) -> None:
    """Put one finding into the scene and keep its mask."""
    if finding.kind == "cardiomegaly":
        scene.masks.append(canvas.mask(anatomy.heart(patient)))
    elif finding.kind == "pneumothorax":
        air, line, mask = pneumothorax(canvas, patient, lungs, finding)
        scene.free_air.append(air)
        scene.pleural_lines.append(line)
        scene.masks.append(mask)
    elif finding in fractures:
        place = fractures[finding]
        scene.shadows.append((0.25 * canvas.fill(place, blur=0.012), 0.68))
        scene.masks.append(canvas.mask(place))
    elif finding.observation == "Support Devices":
        strokes = device_strokes(patient, finding)
        scene.devices.extend(strokes)
        outline = [(points, width + 0.008, 1.0) for points, width, _ in strokes]
        scene.masks.append(canvas.strokes(outline, fine=1) > 0)
    else:
        alpha, brightness, mask = lung_shadow(canvas, patient, lungs, finding)
        scene.shadows.append((alpha, brightness))
        scene.masks.append(mask)


def _soft_tissue(
    canvas: Canvas, patient: anatomy.Patient, lungs: dict[str, Points], scene: _Scene
) -> Layer:
    body = canvas.fill(_body(patient), blur=0.012)
    air = canvas.fill(*lungs.values(), blur=0.0055)
    heart = canvas.fill(anatomy.heart(patient), blur=0.006)
    centre = canvas.fill(anatomy.mediastinum(patient), blur=0.008)
    solid = np.maximum(heart, 0.92 * centre)
    aerated = air * (1 - 0.93 * solid)
    below = np.clip((canvas.y - (patient.dome[0] - 0.03)) * np.float32(14), 0, 1)
    density = body * (patient.soft + 0.20 * below + 0.05 * canvas.y)
    density += solid * (0.12 + 0.06 * heart) * (1 - 0.6 * below)
    vessels = canvas.strokes(_vessels(patient))
    for layer in scene.free_air:
        vessels *= 1 - layer
    depth = 0.36 + 0.05 * canvas.y
    density -= aerated * (depth + 0.14 * (patient.soft - 0.44))
    density += vessels * aerated * 0.27
    for layer in scene.free_air:
        density -= 0.11 * layer * aerated
    if scene.pleural_lines:
        density += 0.24 * canvas.strokes(scene.pleural_lines) * aerated
    if patient.breast:
        shapes = [
            ellipse(*patient.lung_point(side, 0.62, 0.80), 0.16, 0.13) for side in anatomy.SIDES
        ]
        density += patient.breast * canvas.fill(*shapes, blur=0.012)
    for alpha, brightness in scene.shadows:
        # Air bronchograms: vessels' branching pattern shows dark where the lung is filled.
        density += alpha * np.maximum(brightness - 0.10 * vessels - density, 0)
    spine, gas = _midline(canvas, patient)
    density += 0.055 * spine
    density -= 0.18 * gas
    return density


def _marker(patient: anatomy.Patient) -> list[Stroke]:
    """The letter R beside the patient's right shoulder."""
    x, y = 0.05, 0.06 + 0.3 * (patient.apex - 0.085)
    glyph = [(0, 0.05), (0, 0), (0.024, 0.003), (0.026, 0.022), (0, 0.026), (0.028, 0.05)]
    return [(np.array(glyph) + np.array([x, y]), 0.009, 0.95)]


def _body(patient: anatomy.Patient) -> Points:
    mid, width, apex = patient.midline, patient.half_width, patient.apex
    half = [(0.17, -0.3), (0.19, -0.06), (0.4, 0.0), (0.85, 0.04), (1.2, 0.10), (1.5, 0.3)]
    half += [(1.9, 0.9), (1.75, 1.0), (1.36, 0.5), (1.17, 0.62), (1.13, 0.9), (1.16, 1.6)]
    outer = spline(half, per=4)
    right = np.stack([mid - width * outer[:, 0], apex - 0.02 + 0.65 * outer[:, 1]], axis=1)
    left = np.stack([2 * mid - right[:, 0], right[:, 1]], axis=1)
    return np.concatenate([right, left[::-1]])


def _midline(canvas: Canvas, patient: anatomy.Patient) -> tuple[Layer, Layer]:
    """Vertebrae, and the air of trachea, main bronchi and stomach."""
    half = 0.10 * patient.half_width / 0.35
    vertebrae: list[Stroke] = []
    for y in np.arange(0.03, 1.05, 0.058):
        ends = np.array([(patient.midline - half * 0.33, y), (patient.midline + half * 0.33, y)])
        vertebrae.append((ends, 0.045, 1.0))
    x, y = anatomy.carina(patient)
    airways: list[Stroke] = [
        (np.array([(x, -0.02), (x, y)]), 0.04, 0.72),
        (np.array([(x, y), (x - 0.065, y + 0.075)]), 0.026, 0.5),
        (np.array([(x, y), (x + 0.085, y + 0.075)]), 0.022, 0.5),
    ]
    if patient.bubble:
        left, top = patient.lung_point("left", 0.42, 1.0)
        airways.append((ellipse(left, top + 0.055, patient.bubble, 0.032, 0.1), 0, 1.0))
    return canvas.strokes(vertebrae, 0.004, fine=1), canvas.strokes(airways, 0.006, fine=1)


def _vessels(patient: anatomy.Patient) -> list[Stroke]:
    """Lung markings: arteries that branch from the hila and taper outwards."""
    rng = np.random.default_rng(patient.texture_seed)
    twigs: list[Stroke] = []
    trunks: list[Stroke] = []
    count = 14
    for side, level in (("right", 0.47), ("left", 0.43)):
        hilum = np.array([0.25, level])
        turn = np.linspace(-1.45, 1.5, count) + rng.uniform(-0.1, 0.1, count)
        bend = rng.uniform(-0.5, 0.5, (3, count, 1))
        reach = np.array([0.62, 0.46]) * rng.uniform(0.75, 1.1, (count, 1))
        tip = reach * np.array([np.cos(turn), np.sin(turn)]).T
        across = tip[:, ::-1] * np.array([-1, 1])
        root = np.broadcast_to(hilum, tip.shape)
        base = hilum + 0.25 * tip
        middle = hilum + 0.5 * tip + 0.18 * bend[0] * across
        fork = middle + 0.42 * tip + (0.4 * bend[1] + 0.25) * across
        twig = base + 0.45 * tip + (0.5 * bend[2] - 0.2) * across
        joints = np.array([root, base, middle, hilum + tip, fork, twig])
        place = patient.lung_points(side, joints.reshape(-1, 2)).reshape(joints.shape)
        for n in range(count):
            twigs.append((place[[3, 2, 4], n], 0.0045, 0.36))
            twigs.append((place[[1, 5], n], 0.004, 0.33))
            trunks.append((place[[1, 2], n], 0.009, 0.55))
            trunks.append((place[[0, 1], n], 0.017, 0.8))
        shadow = ellipse(0.24, level + 0.01, 0.075, 0.085, 0.2)
        trunks.append((patient.lung_points(side, shadow), 0, 0.6))
    return twigs + trunks[::-1]


def _bone_strokes(
    patient: anatomy.Patient, findings: Sequence[Finding]
) -> tuple[list[Stroke], dict[Finding, Points]]:
    """Ribs and clavicles with bright cortex, and the place of each fracture."""
    strokes: list[Stroke] = []
    broken_bones: list[Stroke] = []
    places: dict[Finding, Points] = {}
    for side in anatomy.SIDES:
        broken = {f.location: f for f in findings if f.side == side and "fracture" in f.kind}
        bones: list[tuple[str, Points, float, float]] = []
        for number, (back, front) in enumerate(anatomy.ribs(patient, side)):
            strokes.append((front, 0.024, 0.28))
            bones.append((_RIB_NAMES.get(number, ""), back, 0.026, 0.62))
        bones.append(("clavicle", anatomy.clavicle(patient, side), 0.036, 1.0))
        for name, line, width, value in bones:
            if name in broken:
                parts, places[broken[name]] = break_line(line, broken[name])
                # Drawn last, so that no other bone covers the gap.
                broken_bones += _bone(parts, width, 1.0)
            else:
                strokes += _bone([line], width, value)
    return strokes + broken_bones, places


def _bone(parts: Sequence[Points], width: float, value: float) -> list[Stroke]:
    outer = [(part, width, value) for part in parts]
    return outer + [(part, width - 0.012, 0.72 * value) for part in parts]


def _scapulae(patient: anatomy.Patient) -> list[Stroke]:
    shape = np.array([(0.86, 0.06), (1.2, 0.03), (1.3, 0.14), (1.08, 0.5), (0.98, 0.52)])
    return [(patient.lung_points(side, shape), 0, 0.42) for side in anatomy.SIDES]


def expose(density: Layer, patient: anatomy.Patient, view: int) -> np.ndarray:
    """Brightness to pixels: contrast, brightness and noise of the patient's picture.

    Args:
        density: Brightness, (S, S).
        patient: Who is drawn.
        view: 0 frontal, 1 lateral: each has its own noise.

    Returns:
        Pixels, uint8 (S, S).
    """
    rng = np.random.default_rng((patient.texture_seed, view))
    size = density.shape[0]
    # The difference of two uniform bytes (standard deviation 104.5) is noise enough, and cheap.
    one, two = np.frombuffer(rng.bytes(2 * size * size), np.uint8).reshape(2, size, size)
    grain = (one.astype(np.float32) - two) * np.float32(1 / 104.5)
    picture = (density - np.float32(0.45)) * np.float32(patient.contrast)
    picture += np.float32(0.45 + patient.brightness)
    picture += grain * np.float32(patient.noise)
    return (np.clip(picture, 0, 1) * np.float32(255)).astype(np.uint8)
