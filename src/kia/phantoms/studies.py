"""Phantom studies: synthetic chest X-rays whose findings and reports are known exactly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kia.knowledge.atlas.landmarks import mentioned_landmarks
from kia.phantoms.anatomy import Patient, landmark_outlines, sample_patient
from kia.phantoms.canvas import Canvas
from kia.phantoms.findings import Finding, sample_findings
from kia.phantoms.frontal import enlarged, render_frontal
from kia.phantoms.lateral import render_lateral
from kia.phantoms.parser import parse_findings, parse_statements
from kia.phantoms.reports import write_report
from kia.studies import VIEWS, Split, Study, StudyImage, View

__all__ = [
    "PhantomFinding",
    "PhantomStudy",
    "contact_sheet",
    "parse_findings",
    "parse_statements",
    "phantom_study",
    "split_of",
]


@dataclass(frozen=True, eq=False, slots=True)
class PhantomFinding:
    """One finding of a phantom study and where it was drawn.

    Attributes:
        observation: CheXpert name.
        kind: What exactly, e.g. "pacemaker".
        side: The patient's side: "right", "left" or "bilateral"; None for the midline.
        location: Anatomical words without the side.
        severity: Graded word; None for a device.
        masks: Boolean (S, S) for each view in which it shows.
    """

    observation: str
    kind: str
    side: str | None
    location: str
    severity: str | None
    masks: Mapping[View, np.ndarray]


@dataclass(frozen=True, eq=False, slots=True)
class PhantomStudy:
    """A study with its pictures and everything that is true of them.

    Attributes:
        study: Report, labels and graph; image paths are names only.
        pixels: uint8 (2, S, S), frontal and lateral.
        findings: What was drawn in addition to normal anatomy.
        landmarks: Named places of the frontal view → box (x1, y1, x2, y2), image fractions.
    """

    study: Study
    pixels: np.ndarray
    findings: tuple[PhantomFinding, ...]
    landmarks: Mapping[str, tuple[float, float, float, float]]


def phantom_study(
    seed: int, index: int, *, size: int = 192, split: Split = "train"
) -> PhantomStudy:
    """Make one study; it depends on nothing but seed, index and size.

    Args:
        seed: Of the data set.
        index: Of the study within the data set.
        size: Side S of both pictures in pixels.
        split: What the study says it belongs to.

    Returns:
        The study.
    """
    patient, findings = _sample(seed, index)
    report = write_report(findings, np.random.default_rng((seed, index, 1)))
    pixels, drawn = _draw(patient, findings, size)
    name = f"phantom-{seed}-{index:06d}"
    study = Study(
        id=name,
        split=split,
        images=tuple(StudyImage(f"{name}/{view}.png", view) for view in VIEWS),
        report=report.text,
        sections={"findings": report.text},
        labels=report.labels,
        graph=report.graph,
        landmarks=mentioned_landmarks(report.text),
    )
    return PhantomStudy(study, pixels, drawn, _landmarks(patient, findings, size))


def split_of(index: int, n: int) -> Split:
    """Split of study `index` of `n`: the first 80 % train, then 10 % val, 10 % test."""
    if 10 * index < 8 * n:
        return "train"
    return "val" if 10 * index < 9 * n else "test"


def contact_sheet(studies: Sequence[PhantomStudy], columns: int = 6) -> Image.Image:
    """Both views of studies side by side, captioned with id and findings.

    Args:
        studies: In reading order.
        columns: Studies in a row.

    Returns:
        A grey-scale picture.
    """
    size = studies[0].pixels.shape[-1] if studies else 1
    width, height = 2 * size + 4, size + 40
    rows = -(-len(studies) // columns)
    sheet = Image.new("L", (columns * width, max(rows, 1) * height), 0)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(10)
    for number, phantom in enumerate(studies):
        x, y = (number % columns) * width, (number // columns) * height
        for view, picture in enumerate(phantom.pixels):
            sheet.paste(Image.fromarray(picture), (x + view * size, y))
        lines = [phantom.study.id, *(_caption(f) for f in phantom.findings)]
        text = lines[0] + ": " + (lines[1] if len(lines) > 1 else "normal")
        draw.text((x + 2, y + size), "\n".join([text, *lines[2:]]), fill=255, font=font, spacing=1)
    return sheet


def _caption(finding: PhantomFinding) -> str:
    place = finding.location if finding.location.split()[0] in ("upper", "mid", "lower") else ""
    words = (finding.severity, finding.side, place, finding.kind.replace("_", " "))
    return " ".join(word for word in words if word)


def _sample(seed: int, index: int) -> tuple[Patient, tuple[Finding, ...]]:
    rng = np.random.default_rng((seed, index))
    return sample_patient(rng), sample_findings(rng)


def _draw(
    patient: Patient, findings: Sequence[Finding], size: int
) -> tuple[np.ndarray, tuple[PhantomFinding, ...]]:
    """Pixels (2, S, S) of a patient with any findings, also with none."""
    frontal, frontal_masks = render_frontal(patient, findings, size)
    lateral, lateral_masks = render_lateral(patient, findings, size)
    drawn = []
    for finding, front, side in zip(findings, frontal_masks, lateral_masks, strict=True):
        masks: dict[View, np.ndarray] = {"frontal": front}
        if side is not None:
            masks["lateral"] = side
        drawn.append(
            PhantomFinding(
                finding.observation,
                finding.kind,
                finding.side,
                finding.location,
                finding.severity,
                masks,
            )
        )
    return np.stack([frontal, lateral]), tuple(drawn)


def _landmarks(
    patient: Patient, findings: Sequence[Finding], size: int
) -> dict[str, tuple[float, float, float, float]]:
    canvas = Canvas(size, patient.angle, patient.shift)
    outlines = landmark_outlines(enlarged(patient, findings))
    return {name: canvas.box(outline) for name, outline in outlines.items()}
