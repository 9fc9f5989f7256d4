"""Hidden parts of an image, rebuilt under different reports (Paper: App. C, Fig. 9a).

What a report says about a landmark is exchanged for what another study's report says about it. If
the model reads the report, the landmark's patches are rebuilt better with the right words.
Shape letters: R images, C channels, S side, N patches, Q exchanges.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kia.data.counted import uniforms
from kia.data.store.dataset import PreparedDataset
from kia.errors import ModelError
from kia.evaluation.statistics.intervals import Measure
from kia.evaluation.statistics.paired import Difference, paired_differences
from kia.explain.reconstruction.exchanges import Exchange, said_about
from kia.explain.reconstruction.picture import Rebuilt, draw_rebuilt
from kia.explain.retrieval.report_features import report_features
from kia.knowledge.atlas.landmarks import key_patches
from kia.knowledge.masks.image import anatomy_image_mask
from kia.models.image_encoder import patches_to_pixels, pixels_to_images
from kia.models.kia import KIAModel
from kia.processing import KIAProcessor
from kia.tasks.masked_image import hidden_pixels

HEART = "cardiac silhouette"
"""The landmark of pictures, as in the paper's Fig. 9a."""

GREY = 127.5
"""Grey levels of 0 to 255 in one unit of normalised pixels."""

CONDITIONS = {
    "own": "its own report",
    "edited": "the sentences on the landmark from another study",
    "other": "another study's report",
    "empty": "no words",
    "mean_image": "mean training image, no model",
}
"""What the hidden patches are rebuilt from, by name in the result."""

_MEAN_IMAGES = 1000  # of the training split, evenly spaced
_P_TOTAL = 0.6


def check_pixels(model: KIAModel) -> None:
    """Refuses a model that never learnt to rebuild an image.

    Raises:
        ModelError: It was trained without masked image modelling.
    """
    if not model.trained_on("mim"):
        raise ModelError("this model was trained without masked image modelling (tasks.mim.weight)")


def landmark_mask(study: int, landmark: str, grid: int) -> NDArray[np.bool_]:
    """(N,) patches to hide: all of the landmark's key patches, and others up to 60 % in the mean.

    The others are drawn as in training (Paper: Eq. 2-3 with p_key 1).
    """
    key = np.zeros(grid * grid, np.bool_)
    key[key_patches(landmark, grid)] = True
    draws = uniforms(0, 0, np.array([study], np.int64), f"rebuild {landmark}", grid * grid)[0]
    return anatomy_image_mask(draws, key, p_key=1.0, p_total=_P_TOTAL)


@torch.no_grad()
def rebuilt(
    model: KIAModel,
    processor: KIAProcessor,
    pixels: Tensor,
    image_mask: NDArray[np.bool_],
    reports: Sequence[str],
) -> NDArray[np.uint8]:
    """One frontal image with its hidden patches as the model sees them under each report.

    Args:
        model: In evaluation mode, trained with MIM.
        processor: Of the same model.
        pixels: (C, S, S), normalised.
        image_mask: (N,), True where a patch is hidden.
        reports: R texts.

    Returns:
        (R, S, S) grey values.
    """
    images = pixels.expand(len(reports), -1, -1, -1).to(model.device)
    mask = torch.from_numpy(image_mask).to(model.device).expand(len(reports), -1)
    hidden = mask.flatten().nonzero()[:, 0]
    text = report_features(model, processor, reports)
    predicted, _ = hidden_pixels(model, images, mask, hidden, *text)
    size = model.image_cross_encoder.patch_size
    patches = patches_to_pixels(images, size).clone()
    patches.flatten(0, 1)[hidden] = predicted.to(patches.dtype)
    grey = processor.grey(pixels_to_images(patches, size).clamp(-1, 1))
    return grey.cpu().numpy()


def draw_reports(
    model: KIAModel,
    processor: KIAProcessor,
    pixels: Tensor,
    landmark: str,
    reports: Mapping[str, str],
    path: Path,
    *,
    title: str,
    seed: int = 0,
    dpi: int = 150,
) -> None:
    """Writes a PNG: an image with a landmark hidden, rebuilt under each report.

    Args:
        model, processor, pixels: As for `rebuilt`.
        landmark: One of the 34.
        reports: By what they are called, the image's own first.
        path: Of the PNG.
        title: Above everything.
        seed: Of what else is hidden.
        dpi: Pixels an inch of the picture.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    grid = model.config.grid
    mask = landmark_mask(seed, landmark, grid)
    images = rebuilt(model, processor, pixels, mask, list(reports.values()))
    panels = [
        Rebuilt(name, said_about(text, landmark) or text, image)
        for (name, text), image in zip(reports.items(), images, strict=True)
    ]
    grey, key = processor.grey(pixels).numpy(), key_patches(landmark, grid)
    draw_rebuilt(grey, mask, key, panels, path, title=title, dpi=dpi)


@torch.no_grad()
def landmark_errors(
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    chosen: Sequence[Exchange],
    on_progress: Callable[[int], None] = lambda count: None,
    batch_size: int = 32,
) -> NDArray[np.float64]:
    """How far the landmark's patches are from the truth, under each of `CONDITIONS`.

    The mask of an exchange is the same for all conditions.

    Args:
        model: In evaluation mode, trained with MIM.
        processor: Of the same model.
        dataset: Prepared for the model's image size.
        chosen: Q of `kia.explain.reconstruction.exchanges.exchanges`.
        on_progress: Told the number of exchanges finished with each batch.
        batch_size: Exchanges at a time.

    Returns:
        (Q, 5) mean absolute differences of the key patches' pixels, grey levels of 0 to 255.
    """
    mean = _normalised(processor, mean_frontal_image(dataset)[None]).to(model.device)
    errors = []
    for start in range(0, len(chosen), batch_size):
        chunk = chosen[start : start + batch_size]
        errors.append(_batch_errors(model, processor, dataset, chunk, mean))
        on_progress(len(chunk))
    return np.concatenate(errors) if errors else np.zeros((0, len(CONDITIONS)))


def _batch_errors(
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    chunk: Sequence[Exchange],
    mean: Tensor,
) -> NDArray[np.float64]:
    grid, size = model.config.grid, model.image_cross_encoder.patch_size
    grey = np.stack([dataset.pixels(one.study)[0] for one in chunk])
    images = _normalised(processor, grey).to(model.device)
    mask = np.stack([landmark_mask(one.study, one.landmark, grid) for one in chunk])
    places = [row * grid**2 + key_patches(one.landmark, grid) for row, one in enumerate(chunk)]
    keys = torch.from_numpy(np.concatenate(places)).to(model.device)
    hidden = torch.from_numpy(mask).to(model.device)
    columns = []
    for name in CONDITIONS:
        if name == "mean_image":
            true = patches_to_pixels(images, size).flatten(0, 1)[keys]
            whole = patches_to_pixels(mean, size).expand(len(chunk), -1, -1)
            predicted = whole.flatten(0, 1)[keys]
        else:
            texts = ["" if name == "empty" else getattr(one, name) for one in chunk]
            text = report_features(model, processor, texts)
            predicted, true = hidden_pixels(model, images, hidden, keys, *text)
        each = (predicted.float() - true).abs().mean(1).unflatten(0, (len(chunk), -1)).mean(1)
        columns.append(each.double().cpu().numpy() * GREY)
    return np.stack(columns, axis=1)


def mean_frontal_image(dataset: PreparedDataset) -> NDArray[np.float64]:
    """(S, S) mean grey values of the frontal training images, of at most 1,000 of them."""
    studies = dataset.indices("train")
    spread = np.linspace(0, len(studies) - 1, min(_MEAN_IMAGES, len(studies))).astype(int)
    total, count = np.zeros((dataset.image_size,) * 2), 0
    for study in studies[spread].tolist():
        if dataset.views(study)[0] == "frontal":
            total, count = total + dataset.pixels(study)[0], count + 1
    return total / max(count, 1)


def _normalised(processor: KIAProcessor, grey: NDArray[np.generic]) -> Tensor:
    return processor.normalise(torch.from_numpy(grey))


def compare_reports(
    chosen: Sequence[Exchange], errors: NDArray[np.float64]
) -> dict[str, dict[str, Any]]:
    """The errors of a split with what a wrong report costs, in all and by landmark.

    Args:
        chosen: Q exchanges.
        errors: (Q, 5) of `landmark_errors`.

    Returns:
        "all" and each landmark → {"exchanges", "studies", "error": {condition: grey levels},
        "difference": {condition: its error minus that of "own", see `paired_differences`}}.
        Intervals come from a bootstrap over pairs of studies.
    """
    pairs = [(one.landmark, *sorted((one.study, one.donor))) for one in chosen]
    _, units = np.unique(np.array(pairs), axis=0, return_inverse=True)
    names = np.array([one.landmark for one in chosen])
    found = {}
    for name in ("all", *sorted(set(names.tolist()))):
        rows = (names == name) | (name == "all")
        studies = len({one.study for one, row in zip(chosen, rows, strict=True) if row})
        found[name] = {"studies": studies, **_compare(units[rows], errors[rows])}
    return found


def _compare(units: NDArray[np.int64], errors: NDArray[np.float64]) -> dict[str, Any]:
    _, rows = np.unique(units, return_inverse=True)
    count = np.bincount(rows).astype(float)

    def measure(column: int) -> Measure:
        total = np.bincount(rows, errors[:, column])
        return Measure(np.stack([total, count], 1), lambda s: {"error": s[:, 0] / s[:, 1]})

    difference: dict[str, Difference] = {
        name: paired_differences(measure(column), measure(0))["error"]
        for column, name in enumerate(CONDITIONS)
        if column
    }
    means = dict(zip(CONDITIONS, errors.mean(0).tolist(), strict=True))
    return {"exchanges": len(errors), "error": means, "difference": difference}
