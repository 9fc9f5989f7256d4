"""The 14 observations without a classifier: Label-MLM's answers at [MASK] (Paper: Fig. 4b, 7)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kia.agreement import label_probabilities
from kia.data.store.dataset import PreparedDataset
from kia.errors import ModelError, require
from kia.generation import dataset_inputs
from kia.models.kia import KIAModel
from kia.processing import KIAProcessor

_COLUMNS = 4  # of panels of the reliability plot


def check_answers(model: KIAModel) -> None:
    """Refuses a model that never learnt to fill in a [MASK].

    Raises:
        ModelError: It was trained without masked language modelling.
    """
    if not model.trained_on("mlm"):
        raise ModelError(
            "this model was trained without masked language modelling, so its [MASK] says "
            "nothing; train with tasks.mlm.masking=label (preset kia-label)"
        )


def dataset_findings(
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    studies: NDArray[np.int64],
    on_progress: Callable[[int], None] = lambda count: None,
    batch_size: int = 32,
) -> NDArray[np.float32]:
    """Probabilities of "present" for studies of a prepared data set.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        dataset: Prepared for the model's image size.
        studies: (n,) numbers in the data set.
        on_progress: Told the number of studies finished with each batch.
        batch_size: Studies at a time.

    Returns:
        (n, 14), in the order of OBSERVATIONS.
    """
    rows = []
    for start in range(0, len(studies), batch_size):
        inputs = dataset_inputs(dataset, processor, studies[start : start + batch_size])
        rows.append(label_probabilities(model, processor, inputs).cpu().numpy())
        on_progress(len(rows[-1]))
    return np.concatenate(rows)


def draw_reliability(scores: Mapping[str, Any], path: Path, *, dpi: int = 150) -> None:
    """Writes a PNG: how often what was given a probability is present.

    The first panel is over all observations, with the number of answers in each bin below; then
    one for each observation that some studies have and some have not.

    Args:
        scores: Of `kia.evaluation.clinical.probabilities.score_findings`.
        path: Of the PNG.
        dpi: Pixels an inch of the picture.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    require("matplotlib.figure", "plots", "drawing figures")
    from matplotlib.figure import Figure

    shown = {
        f"{name}\nECE {one['calibration_error']:.3f}, {one['present']} of {one['studies']} present":
        one["reliability"]
        for name, one in scores["observations"].items()
        if one["auroc"] is not None
    }  # fmt: skip
    everything = scores["reliability"]
    title = f"14 observations\n{int(np.sum(everything['studies']))} answers"
    panels = {title: everything, **shown}
    rows = -(-len(panels) // _COLUMNS)
    columns = min(_COLUMNS, len(panels))
    figure = Figure(figsize=(2.6 * columns, 3.7 * rows), layout="constrained")
    grid = figure.subplots(
        2 * rows, columns, squeeze=False, sharex=True, height_ratios=[3, 1] * rows
    )
    for axes in grid.flat:
        axes.set_axis_off()
    for place, (name, bins) in enumerate(panels.items()):
        row, column = divmod(place, columns)
        curve, counts = grid[2 * row, column], grid[2 * row + 1, column]
        _draw_bins(curve, counts, bins)
        curve.set_title(name, fontsize=8)
        if not column:
            curve.set_ylabel("share of them present", fontsize=8)
            counts.set_ylabel("answers", fontsize=8)
    figure.supxlabel("probability of “present” by bins of 0.1; dashed: calibrated", fontsize=9)
    figure.savefig(path, dpi=dpi, format="png")


def _draw_bins(curve: Any, counts: Any, bins: Mapping[str, Sequence[float]]) -> None:
    for axes in (curve, counts):
        axes.set_axis_on()
        axes.tick_params(labelsize=7, labelbottom=True)
    curve.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1)
    curve.plot(bins["predicted"], bins["observed"], marker="o", markersize=4, color="#0072b2")
    curve.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    middle = (np.arange(len(bins["studies"])) + 0.5) / len(bins["studies"])
    counts.bar(middle, bins["studies"], width=0.8 / len(middle), color="#0072b2")
    counts.set_yscale("symlog")
    counts.set_ylim(bottom=0)
