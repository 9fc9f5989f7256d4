"""What the [MASK] tokens of a trained model answer and look at, and what it writes, on phantoms."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kia.config import RunConfig
from kia.data.batches.batch import BatchBuilder
from kia.data.store.dataset import PreparedDataset
from kia.errors import DataError
from kia.evaluation.clinical.probabilities import auroc, sensitivity_specificity
from kia.explain.attention.weights import label_attention
from kia.explain.localisation.measure import drawn_findings, pointing, stated_landmarks
from kia.generation import dataset_inputs, load_model
from kia.knowledge.chexpert import OBSERVATIONS
from kia.models.kia import KIAModel
from kia.phantoms.scores import OBSERVATIONS as DRAWN
from kia.phantoms.scores import finding_scores
from kia.processing import KIAProcessor
from kia.studies import Split
from kia.training.validation import validate

PRIORS = ("uniform attention", "atlas prior", "best possible")
VIEW = 0  # the frontal one, which comes first; the atlas knows no other


def measure(
    run: Path, config: RunConfig, data: PreparedDataset, measured: PreparedDataset, split: Split
) -> dict[str, Any]:
    """All numbers of a trained run, as they go into a line of the results.

    Args:
        run: Its folder.
        config: It was trained with.
        data: It was trained on; its training reports are the vocabulary of CIDEr.
        measured: Phantoms to measure on.
        split: Of `measured`.
    """
    model, processor = load_model(run)
    if torch.cuda.is_available():
        model.cuda()
    studies = measured.indices(split)
    builder = BatchBuilder(
        measured,
        processor,
        config.data,
        config.tasks,
        patch_size=config.model.image_encoder.patch_size,
        max_tokens=model.config.max_tokens,
        seed=config.train.seed,
    )
    reports = data.reports("train")
    written = validate(model, builder, studies, reports, config.generation, lambda count: None)
    labels = [measured.study(int(study)).labels or {} for study in studies]
    size = config.generation.batch_size
    present, attention = _at_masks(model, processor, measured, studies, size)
    return {
        "studies": len(studies),
        "cider": written.cider,
        "image_gain": written.image_gain,
        "unique_reports": written.unique_reports,
        "finding_f1": finding_scores(written.reports, labels)["f1"],
        **label_numbers(present, labels),
        **attention_numbers(attention, measured, studies, builder.grid),
    }


def _at_masks(
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    studies: NDArray[np.int64],
    batch_size: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Probabilities of "present" (n, 14), and attention on the frontal view (n, 14, N)."""
    present, attention = [], []
    for start in range(0, len(studies), batch_size):
        inputs = dataset_inputs(dataset, processor, studies[start : start + batch_size])
        found = label_attention(model, processor, inputs)
        present.append(found.present.cpu().numpy())
        attention.append(found.maps[:, :, VIEW].cpu().numpy())
    return np.concatenate(present), np.concatenate(attention)


def label_numbers(
    present: NDArray[np.floating], labels: Sequence[Mapping[str, int | None]]
) -> dict[str, Any]:
    """How right the answers at [MASK] are, over the observations that phantoms can have.

    What was not drawn is absent, whether or not the report denies it: so the label report of
    training says, and so it is.

    Args:
        present: (n, 14) probabilities.
        labels: Of the n studies.
    """
    chosen = present[:, [OBSERVATIONS.index(name) for name in DRAWN]]
    truth = np.array([[row.get(name) == 1 for name in DRAWN] for row in labels])
    columns = list(zip(chosen.T, truth.T, strict=True))
    rates = np.array([sensitivity_specificity(p > 0.5, t) for p, t in columns])
    areas = [auroc(p, t) for p, t in columns]
    each = {
        name: {"sensitivity": _or_none(r[0]), "specificity": _or_none(r[1]), "auroc": _or_none(a)}
        for name, r, a in zip(DRAWN, rates, areas, strict=True)
    }
    return {
        "label_accuracy": _or_none(float(np.nanmean(rates.mean(1)))),
        "label_auroc": _or_none(float(np.nanmean(areas))),
        "labels": each,
    }


def attention_numbers(
    attention: NDArray[np.floating],
    dataset: PreparedDataset,
    studies: NDArray[np.int64],
    grid: int,
) -> dict[str, Any]:
    """Where the [MASK] of each drawn finding looks on the frontal view, and what priors reach.

    Args:
        attention: (n, 14, N) on the frontal view.
        dataset: Of phantoms.
        studies: (n,) their numbers in it.
        grid: Patches a side, grid² = N.
    """
    found = [
        (row, name, stated_landmarks(dataset.study(int(studies[row])).report, name), mask)
        for row, name, mask in drawn_findings(dataset, studies)
    ]
    if not found:
        raise DataError(f"{dataset.path}: no finding in the {len(studies)} studies to measure on")
    names = np.array([name for _, name, _, _ in found])
    own = np.stack([attention[row, OBSERVATIONS.index(name)] for row, name, _, _ in found])
    masks = np.stack([mask for _, _, _, mask in found])
    priors = [pointing.atlas_prior(landmarks, grid) for _, _, landmarks, _ in found]
    merged, points = (np.stack(maps) for maps in zip(*priors, strict=True))
    coverage, centres = pointing.patch_coverage(masks, grid), pointing.patch_centres(masks, grid)

    def numbers(maps: NDArray[Any], point_maps: NDArray[Any], these: Any = ...) -> dict[str, float]:
        inside = pointing.attention_inside(maps, coverage)
        lift, hit = inside / coverage.mean(1), pointing.points_inside(point_maps, centres)
        values = {"inside": inside, "lift": lift, "hit": hit}
        return {name: float(value[these].mean()) for name, value in values.items()}

    most = (coverage == coverage.max(1, keepdims=True)).astype(float)
    baselines = [(np.ones_like(own),) * 2, (merged, points), (most, centres.astype(float))]
    return {
        "findings": len(found),
        "findings_without_landmark": sum(not landmarks for _, _, landmarks, _ in found),
        **numbers(own, own),
        "priors": {p: numbers(*maps) for p, maps in zip(PRIORS, baselines, strict=True)},
        "attention": {name: numbers(own, own, names == name) for name in DRAWN if name in names},
    }


def _or_none(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else float(value)
