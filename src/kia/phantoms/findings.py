"""Findings of a phantom study: which there are, and how they are drawn at random."""

from dataclasses import dataclass

import numpy as np

OBSERVATIONS: dict[str, str] = {
    "cardiomegaly": "Cardiomegaly",
    "effusion": "Pleural Effusion",
    "opacity": "Lung Opacity",
    "consolidation": "Consolidation",
    "pneumothorax": "Pneumothorax",
    "nodule": "Lung Lesion",
    "atelectasis": "Atelectasis",
    "endotracheal_tube": "Support Devices",
    "central_line": "Support Devices",
    "pacemaker": "Support Devices",
    "nasogastric_tube": "Support Devices",
    "sternotomy_wires": "Support Devices",
    "rib_fracture": "Fracture",
    "clavicle_fracture": "Fracture",
}
"""Kind of finding → CheXpert observation."""

_GROUPS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("cardiomegaly",), 0.16),
    (("effusion",), 0.16),
    (("opacity",), 0.12),
    (("consolidation",), 0.12),
    (("pneumothorax",), 0.10),
    (("nodule",), 0.10),
    (("atelectasis",), 0.11),
    (
        (
            "endotracheal_tube",
            "central_line",
            "pacemaker",
            "nasogastric_tube",
            "sternotomy_wires",
        ),
        0.16,
    ),
    (("rib_fracture", "clavicle_fracture"), 0.08),
)
_WEIGHTS = np.array([weight for _, weight in _GROUPS]) / sum(weight for _, weight in _GROUPS)
NORMAL_SHARE = 0.35
_SIZES = ("small", "moderate", "large")
_GRADES = ("mild", "moderate", "severe")
_SIZED = ("effusion", "pneumothorax", "nodule")
_MIDLINE = ("cardiomegaly", "endotracheal_tube", "nasogastric_tube", "sternotomy_wires")
_BILATERAL = {"effusion": 0.25, "opacity": 0.2, "atelectasis": 0.25}
_LOBES = {
    "right": ("upper lobe", "middle lobe", "lower lobe"),
    "left": ("upper lobe", "lower lobe"),
}
_PLACES = {
    "cardiomegaly": ("heart",),
    "effusion": ("pleura",),
    "opacity": ("upper lung zone", "mid lung zone", "lower lung zone"),
    "pneumothorax": ("pleura",),
    "nodule": ("upper lung zone", "mid lung zone", "lower lung zone"),
    "atelectasis": ("lung base",),
    "endotracheal_tube": ("trachea",),
    "central_line": ("superior vena cava",),
    "pacemaker": ("chest wall",),
    "nasogastric_tube": ("stomach",),
    "sternotomy_wires": ("sternum",),
    "rib_fracture": ("fourth rib", "fifth rib", "sixth rib", "seventh rib"),
    "clavicle_fracture": ("clavicle",),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding as sampled, before it is drawn.

    Attributes:
        kind: A key of OBSERVATIONS.
        side: "right", "left", "bilateral" or None for a midline structure.
        location: Anatomical words without the side.
        grade: 0, 1 or 2 (mild/small to severe/large).
        seed: Fixes shape and exact place.
    """

    kind: str
    side: str | None
    location: str
    grade: int
    seed: int

    @property
    def observation(self) -> str:
        """CheXpert name."""
        return OBSERVATIONS[self.kind]

    @property
    def severity(self) -> str | None:
        """Graded word; None for a device."""
        if self.observation == "Support Devices":
            return None
        return (_SIZES if self.kind in _SIZED else _GRADES)[self.grade]

    @property
    def sides(self) -> tuple[str, ...]:
        """The sides it is drawn on; empty for a midline structure."""
        if self.side is None:
            return ()
        return ("right", "left") if self.side == "bilateral" else (self.side,)


def _sample_side(rng: np.random.Generator, kind: str) -> str | None:
    if kind in _MIDLINE:
        return None
    draw = rng.random()
    if draw < _BILATERAL.get(kind, 0.0):
        return "bilateral"
    if kind == "pacemaker":
        return "left" if draw < 0.8 else "right"
    return "right" if rng.random() < 0.5 else "left"


def _sample(rng: np.random.Generator, kind: str) -> Finding:
    side = _sample_side(rng, kind)
    places = _LOBES[str(side)] if kind == "consolidation" else _PLACES[kind]
    location = places[int(rng.integers(len(places)))]
    return Finding(kind, side, location, int(rng.integers(3)), int(rng.integers(2**32)))


def _hides(shown: Finding, other: Finding) -> bool:
    """Whether a finding would cover another so that it could not be seen."""
    basal = other.location in ("lower lobe", "middle lobe", "lower lung zone", "lung base")
    same_side = bool(set(shown.sides) & set(other.sides))
    if shown.kind == "effusion":
        return same_side and (basal or (shown.grade == 2 and other.kind != "central_line"))
    if shown.kind == "pneumothorax":
        return same_side and other.kind in ("opacity", "consolidation", "nodule", "atelectasis")
    lung = ("opacity", "consolidation", "nodule", "atelectasis")
    if shown.kind in lung and other.kind in lung and same_side:
        return shown.location.split()[0] == other.location.split()[0] or (
            basal and shown.kind == "consolidation"
        )
    return False


def sample_findings(rng: np.random.Generator) -> tuple[Finding, ...]:
    """Draw the findings of a study: none with the share NORMAL_SHARE, else one to three."""
    if rng.random() < NORMAL_SHARE:
        return ()
    count = int(rng.choice(3, p=(0.4, 0.37, 0.23))) + 1
    chosen: list[Finding] = []
    for group in rng.choice(len(_GROUPS), size=count, replace=False, p=_WEIGHTS):
        kinds = _GROUPS[int(group)][0]
        finding = _sample(rng, kinds[int(rng.integers(len(kinds)))])
        if not any(_hides(a, finding) or _hides(finding, a) for a in chosen):
            chosen.append(finding)
    return tuple(chosen)
