"""Anatomy of a phantom patient: what varies between patients, and where the organs lie."""

from dataclasses import dataclass

import numpy as np

from kia.phantoms.canvas import Points, ellipse, spline

SIDES = ("right", "left")

# Lung outline: u = distance from the midline (1 = half the inner thoracic width),
# t = depth (0 = apex, 1 = top of the hemidiaphragm).
_WALL = [(0.40, 0.0), (0.57, 0.035), (0.72, 0.13), (0.85, 0.3), (0.93, 0.5), (0.98, 0.7)]
_LATERAL = spline([*_WALL, (1.0, 0.9), (0.985, 1.12)])
_BASE = spline([(0.985, 1.12), (0.93, 1.06), (0.8, 1.01), (0.55, 0.99), (0.3, 1.01), (0.1, 1.06)])
_MEDIAL = spline([(0.1, 1.06), (0.1, 0.6), (0.11, 0.3), (0.15, 0.12), (0.24, 0.03), (0.40, 0.0)])
_LUNG = np.concatenate([_LATERAL, _BASE[1:], _MEDIAL[1:-1]])

# Heart outline: x from the midline in heart widths (image right positive), y in heart heights.
_ATRIUM = [(-0.14, -0.06), (-0.25, 0.12), (-0.325, 0.38), (-0.335, 0.6), (-0.28, 0.86)]
_APEX = [(-0.16, 1.02), (0.12, 1.07), (0.40, 1.07), (0.585, 1.02), (0.665, 0.87), (0.635, 0.68)]
_VENTRICLE = [(0.53, 0.42), (0.41, 0.2), (0.30, 0.04), (0.20, -0.12)]
_HEART = spline([*_ATRIUM, *_APEX, *_VENTRICLE], closed=True)
# Mediastinum in (x in half-widths, t): superior vena cava on image left, aortic knob and
# pulmonary trunk on image right.
_CAVA = [(-0.13, -0.25), (-0.15, 0.0), (-0.21, 0.2), (-0.215, 0.45), (-0.16, 0.7), (-0.13, 1.2)]
_TRUNK = [(0.13, 1.2), (0.17, 0.7), (0.28, 0.50), (0.245, 0.42)]
_KNOB = [(0.29, 0.33), (0.27, 0.25), (0.16, 0.17), (0.14, 0.0), (0.13, -0.25)]
_MEDIASTINUM = spline([*_CAVA, *_TRUNK, *_KNOB], closed=True)
_RIB_U = np.array([0.09, 0.25, 0.45, 0.65, 0.82, 0.94, 1.0])
_RIB_DT = np.array([0.0, -0.012, -0.006, 0.025, 0.075, 0.135, 0.19])
_FRONT_U = np.array([1.0, 0.97, 0.88, 0.74, 0.60, 0.48])
_FRONT_DT = np.array([0.19, 0.235, 0.28, 0.325, 0.355, 0.37])


@dataclass(frozen=True, slots=True)
class Patient:
    """What varies between patients; lengths are image fractions, brightness is 0 to 1."""

    midline: float
    half_width: float
    """Half the inner width of the thorax."""
    apex: float
    dome: tuple[float, float]
    """Height of the right and left hemidiaphragm."""
    heart_ratio: float
    """Heart width over thoracic width (cardiothoracic ratio)."""
    heart_top: float
    """As a fraction of lung depth."""
    angle: float
    shift: tuple[float, float]
    lateral_angle: float
    depth: float
    """Scale of the antero-posterior diameter in the lateral view."""
    bone: float
    """Brightness that a rib adds."""
    soft: float
    """Brightness of the chest wall."""
    breast: float
    """Brightness that breast shadows add; 0 for none."""
    bubble: float
    """Half-width of the gastric air bubble; 0 for none."""
    contrast: float
    brightness: float
    noise: float
    marker: bool
    texture_seed: int

    def lung_point(self, side: str, u: float, t: float) -> tuple[float, float]:
        """Patient coordinates of the place (u, t) in the right or left lung."""
        x, y = self.lung_points(side, np.array([[u, t]]))[0]
        return float(x), float(y)

    def lung_points(self, side: str, points: Points) -> Points:
        """Patient coordinates of places (u, t), (N, 2)."""
        right = side == "right"
        direction = -1.0 if right else 1.0
        depth = self.dome[0 if right else 1] - self.apex
        scale = np.array([direction * self.half_width, depth])
        return np.asarray(points) * scale + np.array([self.midline, self.apex])


def sample_patient(rng: np.random.Generator) -> Patient:
    """Draw a patient without findings."""
    right_dome = rng.uniform(0.67, 0.80)
    return Patient(
        midline=0.5 + rng.uniform(-0.015, 0.015),
        half_width=rng.uniform(0.315, 0.39),
        apex=rng.uniform(0.085, 0.13),
        dome=(right_dome, right_dome + rng.uniform(0.015, 0.035)),
        heart_ratio=rng.uniform(0.40, 0.47),
        heart_top=rng.uniform(0.46, 0.54),
        angle=rng.normal(0.0, 0.025),
        shift=(rng.uniform(-0.03, 0.03), rng.uniform(-0.02, 0.025)),
        lateral_angle=rng.normal(0.0, 0.025),
        depth=rng.uniform(0.92, 1.08),
        bone=rng.uniform(0.08, 0.125),
        soft=rng.uniform(0.44, 0.54),
        breast=rng.uniform(0.04, 0.09) if rng.random() < 0.45 else 0.0,
        bubble=rng.uniform(0.04, 0.07) if rng.random() < 0.7 else 0.0,
        contrast=rng.uniform(0.82, 1.18),
        brightness=rng.uniform(-0.05, 0.05),
        noise=rng.uniform(0.008, 0.018),
        marker=bool(rng.random() < 0.6),
        texture_seed=int(rng.integers(2**32)),
    )


def lung(patient: Patient, side: str) -> Points:
    """Outline of a lung with its sharp costophrenic angle."""
    return patient.lung_points(side, _LUNG)


def collapsed_lung(patient: Patient, side: str, keep: float) -> Points:
    """Outline of a lung shrunk to the share `keep` of its size towards hilum and base."""
    anchor = np.array([0.18, 0.95])
    return patient.lung_points(side, anchor + keep * (_LUNG - anchor))


def heart(patient: Patient) -> Points:
    """Outline of the heart, its apex to image right."""
    top = patient.apex + patient.heart_top * (patient.dome[1] - patient.apex)
    # A larger heart also reaches higher.
    top -= 0.18 * max(0.0, patient.heart_ratio - 0.47)
    width = 2 * patient.half_width * patient.heart_ratio
    return np.stack(
        [
            patient.midline + width * _HEART[:, 0],
            top + (patient.dome[1] - top) * _HEART[:, 1],
        ],
        axis=1,
    )


def mediastinum(patient: Patient) -> Points:
    """Outline of the great vessels and the rest of the mediastinum."""
    return patient.lung_points("left", _MEDIASTINUM)


def lateral_wall(t: np.ndarray) -> np.ndarray:
    """Distance u of the lateral lung border at depth t."""
    return np.interp(t, _LATERAL[:, 1], _LATERAL[:, 0])


def ribs(patient: Patient, side: str) -> list[tuple[Points, Points]]:
    """Posterior and anterior part of ribs 2 to 10 on one side."""
    pairs = []
    for level in range(9):
        start = -0.015 + 0.112 * level
        lateral = float(lateral_wall(np.array([start + 0.19]))[0]) + 0.02
        pairs.append(
            (
                patient.lung_points(
                    side, np.stack([_RIB_U * lateral, start + _RIB_DT * (0.7 + 0.05 * level)], 1)
                ),
                patient.lung_points(
                    side,
                    np.stack([_FRONT_U * lateral, start + 0.1 * level * 0.095 + _FRONT_DT], 1),
                ),
            )
        )
    return pairs


def clavicle(patient: Patient, side: str) -> Points:
    """Centre line of a clavicle, from its sternal end outwards."""
    curve = spline(
        [(0.12, 0.19), (0.30, 0.15), (0.52, 0.125), (0.78, 0.05), (1.03, 0.0), (1.15, 0.0)]
    )
    return patient.lung_points(side, curve)


def carina(patient: Patient) -> tuple[float, float]:
    """Where the trachea divides."""
    return patient.lung_point("right", 0.03, 0.36)


def trachea(patient: Patient) -> Points:
    """Outline of the trachea down to the carina."""
    x, y = carina(patient)
    return np.array(
        [(x - 0.02, -0.02), (x - 0.023, y), (x, y + 0.01), (x + 0.023, y), (x + 0.024, -0.02)]
    )


def landmark_outlines(patient: Patient) -> dict[str, Points]:
    """Outline of each named place of the frontal view, in patient coordinates."""
    x, y = carina(patient)
    outlines = {
        "cardiac silhouette": heart(patient),
        "mediastinum": mediastinum(patient),
        "trachea": trachea(patient),
        "carina": ellipse(x, y, 0.035, 0.03),
        "spine": patient.lung_points("right", np.array([(-0.1, -0.3), (0.1, 1.5)])),
    }
    for side in SIDES:
        outline = lung(patient, side)
        outlines[f"{side} lung"] = outline
        outlines[f"{side} clavicle"] = clavicle(patient, side)
        outlines[f"{side} hemidiaphragm"] = patient.lung_points(side, _BASE)
        angle = np.array([(0.82, 0.96), (1.02, 1.14)])
        outlines[f"{side} costophrenic angle"] = patient.lung_points(side, angle)
        top, bottom = outline[:, 1].min(), outline[:, 1].max()
        left, right = outline[:, 0].min(), outline[:, 0].max()
        for number, zone in enumerate(("upper", "mid", "lower")):
            y1 = top + (bottom - top) * number / 3
            y2 = top + (bottom - top) * (number + 1) / 3
            outlines[f"{side} {zone} lung zone"] = np.array([(left, y1), (right, y2)])
    return outlines
