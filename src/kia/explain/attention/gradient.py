"""What in an image speaks for an answer: integrated gradients, beside attention of `attention.py`.

Attention says where a layer reads, not what it does with it. The gradient of an answer by the
pixels, averaged on the way from the mean training image to this one, times how the two differ, says
what each pixel adds to the answer (integrated gradients: Sundararajan et al. 2017). Its positive
part, by cells, is the map. What else was tried on phantoms is in docs/figures.md.

Shape letters: B studies, W views, C channels, S side in pixels, N cells of a view, P answers,
T tokens.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from kia.agreement import masked_label_report
from kia.data.store.dataset import PreparedDataset
from kia.explain.attention.weights import LabelMaps, ReportMaps, report_maps, started_reports
from kia.generation import on_device
from kia.models.kia import KIAModel
from kia.models.outputs import ImageFeatures
from kia.processing import KIAProcessor
from kia.studies import VIEWS

STEPS = 4
"""Images on the way at which the gradient is taken."""
MEAN_STUDIES = 1000
"""Training studies that `mean_images` averages."""

_CELLS = 8  # along the side of a patch


def label_gradient(
    model: KIAModel,
    processor: KIAProcessor,
    inputs: Mapping[str, Tensor | None],
    reference: Tensor | None = None,
    asked: Tensor | None = None,
) -> LabelMaps:
    """What speaks for "present" against "absent" at each [MASK] of the label report.

    The answer is the difference of the two words' scores, log(present / absent), whatever the
    model prefers.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        inputs: `pixel_values` (B, W, C, S, S), `view_ids` (B, W), `view_mask` (B, W) or None.
        reference: From `mean_images`; None compares with plain grey, which points worse.
        asked: (B, K) numbers of the observations that each study is asked about, in place of all
            14; the second axis of what comes back has them. It takes `STEPS` · K backward passes.

    Raises:
        ModelError: As `attention.label_attention`.
    """
    masker, row, places = masked_label_report(model, processor)
    tower = model.text_cross_encoder

    def odds(images: ImageFeatures) -> Tensor:
        context = tower.stack.context(images.sequence, images.mask)
        features = tower(row.expand(len(images.sequence), -1), context=context)[:, places]
        present, absent = model.word_logits(features, tower)[..., masker.states].unbind(-1)
        return present - absent if asked is None else (present - absent).gather(1, asked)

    found, maps = _maps(model, inputs, odds, reference)
    return LabelMaps(found.float().sigmoid(), maps)


def report_gradient(
    model: KIAModel,
    processor: KIAProcessor,
    inputs: Mapping[str, Tensor | None],
    reports: Sequence[str],
    reference: Tensor | None = None,
) -> list[ReportMaps]:
    """What speaks for each word piece of generated or of given reports, after those before it.

    The answer is the logarithm of the piece's probability; `STEPS` backward passes a piece.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        inputs: As for `label_gradient`, B studies.
        reports: B texts; what the model cannot hold is cut off.
        reference: As for `label_gradient`.
    """
    encoded, ids = started_reports(model, processor, reports)
    tower = model.text_decoder

    def chances(images: ImageFeatures) -> Tensor:
        context = tower.stack.context(images.sequence, images.mask)
        features = tower(ids[:, :-1], causal=True, context=context)
        logs = model.word_logits(features, tower).float().log_softmax(-1)
        return logs.gather(-1, ids[:, 1:, None])[..., 0]

    found, maps = _maps(model, inputs, chances, reference)
    return report_maps(encoded, found.exp(), maps)


def mean_images(processor: KIAProcessor, dataset: PreparedDataset) -> Tensor:
    """The mean training image of each view, as the model reads it.

    Args:
        processor: Of the model.
        dataset: Prepared for its image size; its first `MEAN_STUDIES` training studies are read.

    Returns:
        Of frontal and lateral, (2, C, S, S); plain grey for a view that does not occur.
    """
    total = np.zeros((len(VIEWS), dataset.image_size, dataset.image_size))
    count = np.zeros((len(VIEWS), 1, 1))
    for study in dataset.indices("train")[:MEAN_STUDIES]:
        for view, pixels in zip(dataset.views(int(study)), dataset.pixels(int(study)), strict=True):
            total[VIEWS.index(view)] += pixels
            count[VIEWS.index(view)] += 1
    mean = np.where(count > 0, total / np.maximum(count, 1), 127.5)
    return processor.normalise(torch.from_numpy(mean))


def _maps(
    model: KIAModel,
    inputs: Mapping[str, Tensor | None],
    answer: Callable[[ImageFeatures], Tensor],
    reference: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Answers (B, P), and for each a map (B, P, W, N)."""
    moved = on_device(model, inputs)
    with torch.no_grad():
        answers = answer(model.encode_images(**moved))
    added = attributions(model, moved, answer, reference)
    cell = max(model.config.image_tower["patch_size"] // _CELLS, 1)
    return answers, _shares(raised(added, cell), moved.get("view_mask"))


def raised(added: Tensor, cell: int) -> Tensor:
    """The mean over cells of the positive part of what pixels add, smoothed by 3 × 3 cells.

    Args:
        added: (B, P, W, S, S), from `attributions`.
        cell: Side of a cell in pixels.

    Returns:
        (B, P, W, N), row by row.
    """
    cells = avg_pool2d(added.flatten(0, 2)[:, None].clamp(min=0), cell)
    around = avg_pool2d(cells, 3, stride=1, padding=1, count_include_pad=False)
    return around.flatten(1).unflatten(0, added.shape[:3])


@torch.enable_grad()
def attributions(
    model: KIAModel,
    inputs: Mapping[str, Tensor],
    answer: Callable[[ImageFeatures], Tensor],
    reference: Tensor | None,
    steps: int = STEPS,
) -> Tensor:
    """What each pixel adds to answers (B, P), from the reference to the image: (B, P, W, S, S).

    In the limit of many steps they sum to the answer for the image minus that for the reference.

    Args:
        model: In evaluation mode.
        inputs: Of `encode_images`, on the model's device.
        answer: Of the images.
        reference: (2, C, S, S) for frontal and lateral; None is plain grey.
        steps: Images on the way at which the gradient is taken.
    """
    pixels = inputs["pixel_values"]
    start = torch.zeros_like(pixels)
    if reference is not None:
        start = start + reference.to(pixels)[inputs["view_ids"]]
    total: list[Tensor] = []
    for step in range(steps):
        at = (start + (step + 0.5) / steps * (pixels - start)).requires_grad_()
        found = answer(model.encode_images(**{**inputs, "pixel_values": at}))
        slopes = [
            torch.autograd.grad(one.sum(), at, retain_graph=True)[0] for one in found.unbind(1)
        ]
        total = [a + b for a, b in zip(total, slopes, strict=True)] if total else slopes
    if not total:
        return pixels.new_zeros(len(pixels), 0, *pixels[0, :, 0].shape)
    added = torch.stack(total, 1) / steps * (pixels - start)[:, None]
    return added.sum(-3)


def _shares(maps: Tensor, view_mask: Tensor | None) -> Tensor:
    """(B, P, W, N) scaled to sum 1; even over the views that exist where nothing is raised."""
    seen = torch.ones_like(maps)
    if view_mask is not None:
        seen = seen * view_mask.to(maps)[:, None, :, None]
    maps = torch.where((maps == 0).all(-1).all(-1)[..., None, None], seen, maps)
    return maps / maps.sum(dim=(-2, -1), keepdim=True)
