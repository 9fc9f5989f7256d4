"""The 14 observations without a classifier: Label-MLM's answers at [MASK] (Paper: Fig. 4b, 7)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kia.data.store import PreparedDataset
from kia.errors import ModelError, require
from kia.explain.attention import label_attention
from kia.generation import dataset_inputs
from kia.models.kia import KIAForReportGeneration
from kia.processing import KIAProcessor


def check_answers(model: KIAForReportGeneration) -> None:
    """Refuses a model that never learnt to fill in a [MASK].

    Raises:
        ModelError: It was trained without masked language modelling.
    """
    if "mlm" not in (model.config.tasks or ()):
        raise ModelError(
            "this model was trained without masked language modelling, so its [MASK] says "
            "nothing; train with tasks.mlm.masking=label (preset kia-label)"
        )


def dataset_findings(
    model: KIAForReportGeneration,
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
        rows.append(label_attention(model, processor, inputs).present.cpu().numpy())
        on_progress(len(rows[-1]))
    return np.concatenate(rows)


def draw_reliability(bins: Mapping[str, Sequence[float]], path: Path, *, dpi: int = 150) -> None:
    """Writes a PNG: how often what was given a probability is present.

    Args:
        bins: "reliability" of `kia.evaluation.probabilities.score_findings`.
        path: Of the PNG.
        dpi: Pixels an inch of the picture.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    require("matplotlib.figure", "plots", "drawing figures")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 5.5), layout="constrained")
    curve, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    curve.plot([0, 1], [0, 1], color="0.6", linestyle="--", label="calibrated")
    curve.plot(bins["predicted"], bins["observed"], marker="o", color="#0072b2", label="model")
    curve.set_ylabel("share of them present")
    curve.legend(frameon=False)
    middle = (np.arange(len(bins["studies"])) + 0.5) / len(bins["studies"])
    counts.bar(middle, bins["studies"], width=0.8 / len(middle), color="#0072b2")
    counts.set_yscale("symlog")
    counts.set_ylabel("answers")
    counts.set_xlabel("probability of present, 14 observations")
    figure.savefig(path, dpi=dpi, format="png")
