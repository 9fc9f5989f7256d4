"""Whether a model looks where findings are: maps against known masks, beside priors.

Shape letters: F findings, S side of an image in pixels, N cells of a map (grid² = N), T thresholds.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kia.data.readers.phantoms import MASKS, TRUTH, DrawnMasks, read_truth
from kia.data.store.dataset import PreparedDataset
from kia.errors import DataError
from kia.evaluation.priors import sentences
from kia.evaluation.statistics.intervals import Measure
from kia.explain.attention.gradient import label_gradient
from kia.explain.attention.weights import label_attention
from kia.explain.localisation import pointing
from kia.generation import dataset_inputs
from kia.knowledge.atlas.landmarks import mentioned_landmarks
from kia.knowledge.chexpert import OBSERVATIONS
from kia.knowledge.labels.rules import label_reports
from kia.models.kia import KIAModel
from kia.processing import KIAProcessor

USUAL_PLACES: dict[str, tuple[str, ...]] = {
    "Enlarged Cardiomediastinum": ("mediastinum",),
    "Cardiomegaly": ("cardiac silhouette",),
    "Atelectasis": ("right lower lung zone", "left lower lung zone"),
    "Pneumothorax": ("right apical zone", "left apical zone"),
    "Pleural Effusion": ("right costophrenic angle", "left costophrenic angle"),
    "Support Devices": ("mediastinum",),
}
"""Landmarks of an observation whose report names none, or that has no report (ours)."""

_BOTH_LUNGS = ("right lung", "left lung")

Maps = NDArray[np.floating[Any]]
Inputs = Mapping[str, Tensor | None]


@dataclass(frozen=True, eq=False)
class PlacedFinding:
    """An observation of one frontal image, and where it is.

    Attributes:
        image: Number of the image among those that were looked at.
        observation: One of the 14.
        mask: (S, S), True on its pixels; of all its places in the image.
        landmarks: What the atlas is asked for: named where the report says it, or usual.
    """

    image: int
    observation: str
    mask: NDArray[np.bool_]
    landmarks: tuple[str, ...]


def placed_finding(
    image: int, observation: str, masks: Sequence[NDArray[np.bool_]], report: str = ""
) -> PlacedFinding:
    """The finding of masks (S, S) in an image, with the landmarks of its report."""
    named = stated_landmarks(report, observation) if report else ()
    landmarks = named or USUAL_PLACES.get(observation, _BOTH_LUNGS)
    return PlacedFinding(image, observation, np.logical_or.reduce(masks), landmarks)


def stated_landmarks(report: str, observation: str) -> tuple[str, ...]:
    """The landmarks that are named in the sentences which say that an observation is present."""
    parts = sentences(report)
    stating = [
        part
        for part, labels in zip(parts, label_reports(parts), strict=True)
        if labels[observation] == 1
    ]
    return mentioned_landmarks(" ".join(stating))


def drawn_findings(
    dataset: PreparedDataset, studies: NDArray[np.int64]
) -> Iterator[tuple[int, str, NDArray[np.bool_]]]:
    """Row among `studies`, observation and mask (S, S) of what shows in the frontal view.

    Raises:
        DataError: The data set holds no phantoms.
    """
    if not (dataset.path / MASKS).is_file():
        raise DataError(f"{dataset.path} holds no phantoms: it has no {MASKS}")
    truth, masks = read_truth(dataset), DrawnMasks(dataset)
    for row, number in enumerate(studies):
        id = dataset.study(int(number)).id
        if id not in truth:
            raise DataError(f"{dataset.path}: {TRUTH} says nothing of study {id}")
        for finding in truth[id]["findings"]:
            place = finding["masks"].get("frontal")
            if place is not None and (mask := masks.mask(place)).any():
                yield row, finding["observation"], mask


def phantom_findings(dataset: PreparedDataset, studies: NDArray[np.int64]) -> list[PlacedFinding]:
    """The drawn findings of phantoms, which have at most one of an observation."""
    return [
        placed_finding(row, name, [mask], dataset.study(int(studies[row])).report)
        for row, name, mask in drawn_findings(dataset, studies)
    ]


def phantom_batches(
    dataset: PreparedDataset,
    processor: KIAProcessor,
    studies: NDArray[np.int64],
    findings: Sequence[PlacedFinding],
    batch_size: int = 32,
) -> Iterator[tuple[Inputs, list[PlacedFinding]]]:
    """Frontal views of a prepared data set, batch by batch, with their findings (`finding_maps`).

    The masks are of the frontal view. Beside a lateral one the model may read a finding there, and
    say nothing of where it is here: docs/figures.md has both.
    """
    for start in range(0, len(studies), batch_size):
        chosen = studies[start : start + batch_size]
        own = [finding for finding in findings if 0 <= finding.image - start < len(chosen)]
        both = dataset_inputs(dataset, processor, chosen)
        yield {name: value[:, :1] for name, value in both.items() if value is not None}, own


def finding_maps(
    model: KIAModel,
    processor: KIAProcessor,
    batches: Iterable[tuple[Inputs, Sequence[PlacedFinding]]],
    reference: Tensor | None = None,
) -> tuple[list[PlacedFinding], dict[str, Maps]]:
    """Where the [MASK] of each finding looks in the first view, by every kind of map.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        batches: Inputs of studies, and the findings in them; images are numbered from 0 in the
            order they come.
        reference: From `gradient.mean_images`, for gradients.

    Returns:
        The F findings, and for "attention" and "gradient" maps (F, N), on one grid: cells of a
        coarser map are repeated.
    """
    found: list[PlacedFinding] = []
    rows: dict[str, list[Maps]] = {"attention": [], "gradient": []}
    first = 0
    for inputs, findings in batches:
        images = [finding.image - first for finding in findings]
        places = [OBSERVATIONS.index(finding.observation) for finding in findings]
        found += findings
        looked = label_attention(model, processor, inputs).maps
        rows["attention"].append(looked[images, places, 0].cpu().numpy())
        order = [images[:row].count(image) for row, image in enumerate(images)]
        asked = torch.zeros(len(looked), 1 + max(order, default=0), dtype=torch.int64)
        asked[images, order] = torch.tensor(places, dtype=torch.int64)
        raised = label_gradient(model, processor, inputs, reference, asked.to(model.device)).maps
        rows["gradient"].append(raised[images, order, 0].cpu().numpy())
        first += len(looked)
    return found, _on_one_grid({name: np.concatenate(parts) for name, parts in rows.items()})


def _on_one_grid(maps: Mapping[str, Maps]) -> dict[str, Maps]:
    finest = max(isqrt(one.shape[1]) for one in maps.values())
    same = {}
    for name, one in maps.items():
        grid = isqrt(one.shape[1])
        square = one.reshape(-1, grid, grid)
        times = finest // grid
        same[name] = square.repeat(times, 1).repeat(times, 2).reshape(len(one), finest * finest)
        same[name][~same[name].any(1)] = 1  # nothing in this view speaks for it
    return same


def score_localisation(
    findings: Sequence[PlacedFinding],
    maps: Mapping[str, Maps],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Maps of findings against their masks, and what is reached without a model.

    Measures: "pointing" (`pointing.points_inside`), "inside" and "lift" (`attention_inside`, and
    its ratio to the finding's share of the image), "iou" (`pointing.overlap` at the threshold that
    is best over all findings, one for each row of the table). "random" is the mean over a choice
    of cells by chance, "average place" the mean mask of the same observation in the other images,
    "atlas" the key patches of the finding's landmarks, and "best possible" a map that knows the
    mask on this grid.

    Args:
        findings: F of them.
        maps: For each kind (F, N), not negative: where the model looks for each finding.
        resamples: Bootstrap resamples of images, for the interval of the difference.
        seed: Of the resamples.

    Returns:
        {"findings", "grid", "systems": {name: {"mean": measures over all findings, "macro": mean
        over observations, "threshold": of "iou", a share of the highest value,
        "iou_by_threshold": mean over all findings at each of `pointing.THRESHOLDS`,
        "observations": {name: measures and "findings"}}}, "above_atlas": {kind: difference of
        "pointing" to the atlas, with its 95 % interval over images}}.

    Raises:
        DataError: There are no findings.
    """
    if not findings:
        raise DataError("no finding is visible in these images: there is nothing to point at")
    grid = isqrt(next(iter(maps.values())).shape[1])
    masks = np.stack([finding.mask for finding in findings])
    coverage, centres = pointing.patch_coverage(masks, grid), pointing.patch_centres(masks, grid)
    names = np.array([finding.observation for finding in findings])
    images = np.array([finding.image for finding in findings])
    systems = {name: (own, own) for name, own in maps.items()}
    systems |= _priors(findings, coverage, centres, names, images)
    measured = {
        name: _measures(spread, points, coverage, centres)
        for name, (spread, points) in systems.items()
    }
    atlas = measured["atlas"][0]["pointing"]
    gains = {name: measured[name][0]["pointing"] - atlas for name in maps}
    return {
        "findings": len(findings),
        "grid": grid,
        "systems": {name: _summary(*one, names) for name, one in measured.items()},
        "above_atlas": {
            name: _interval(gain, images, resamples, seed) for name, gain in gains.items()
        },
    }


def _priors(
    findings: Sequence[PlacedFinding],
    coverage: NDArray[np.float64],
    centres: NDArray[np.bool_],
    names: NDArray[Any],
    images: NDArray[Any],
) -> dict[str, tuple[Maps, Maps]]:
    """For each prior the maps that spread over cells, and those that point at one."""
    grid = isqrt(coverage.shape[1])
    even = np.ones_like(coverage)
    atlas = [pointing.atlas_prior(finding.landmarks, grid) for finding in findings]
    merged, points = (np.stack(maps) for maps in zip(*atlas, strict=True))
    average = np.stack(
        [
            coverage[(names == name) & (images != image)].sum(0)
            for name, image in zip(names, images, strict=True)
        ]
    )
    average[~average.any(1)] = 1  # the only image with this observation
    reachable = np.where(centres.any(1, keepdims=True), centres * coverage, coverage)
    return {
        "random": (even, even),
        "average place": (average, average),
        "atlas": (merged, points),
        "best possible": (coverage, reachable),
    }


def _measures(
    spread: Maps, points: Maps, coverage: NDArray[np.float64], centres: NDArray[np.bool_]
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Measures (F,) of each finding, and the mean overlap at each threshold (T,)."""
    inside = pointing.attention_inside(spread, coverage)
    overlaps = pointing.overlap(spread, coverage)
    by_threshold = overlaps.mean(0)
    values = {
        "pointing": pointing.points_inside(points, centres),
        "iou": overlaps[:, by_threshold.argmax()],
        "inside": inside,
        "lift": inside / coverage.mean(1),
    }
    return values, by_threshold


def _summary(
    values: dict[str, NDArray[np.float64]], overlaps: NDArray[np.float64], names: NDArray[Any]
) -> dict[str, Any]:
    def mean(chosen: Any) -> dict[str, float]:
        return {name: float(value[chosen].mean()) for name, value in values.items()}

    each = {
        str(name): {"findings": int((names == name).sum()), **mean(names == name)}
        for name in np.unique(names)
    }
    macro = {name: float(np.mean([one[name] for one in each.values()])) for name in values}
    return {
        "mean": mean(...),
        "macro": macro,
        "threshold": float(pointing.THRESHOLDS[overlaps.argmax()]),
        "iou_by_threshold": dict(
            zip(map(str, pointing.THRESHOLDS), overlaps.tolist(), strict=True)
        ),
        "observations": each,
    }


def _interval(
    gain: NDArray[np.float64], images: NDArray[Any], resamples: int, seed: int
) -> dict[str, float]:
    """Mean over findings, and its interval where images are drawn with their findings."""
    numbers = np.unique(images, return_inverse=True)[1]
    rows = np.stack([np.bincount(numbers, gain), np.bincount(numbers)], axis=1)
    measure = Measure(rows, lambda sums: {"gain": sums[:, 0] / sums[:, 1]})
    low, high = measure.intervals(resamples=resamples, seed=seed)["gain"]
    return {"pointing": float(gain.mean()), "low": low, "high": high}
