"""Does the model prefer the reference to what it wrote? (Paper: App. E, Fig. 12)

There the error case: [MATCH] gives the reference a much higher matching degree than the model's
own report, so it understands more than it writes. Here the rate of that over a split. Beside it
stands the same comparison of the same two texts for another study's image: what [MATCH] makes of
the texts alone.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kia.data.store.dataset import PreparedDataset
from kia.errors import require
from kia.evaluation.statistics.intervals import Measure
from kia.generation import dataset_inputs, image_features
from kia.matching import matching_degree
from kia.models.kia import KIAModel
from kia.processing import KIAProcessor

PAIRS = ("reference", "generated", "another", "reference_elsewhere", "generated_elsewhere")
"""The study's image with its reference, the generated report and another study's reference; that
other study's image with the first two texts."""

SHARES = {
    "prefers_reference": "reference above generated",
    "prefers_reference_elsewhere": "the same with another study's image",
    "reference_matches_alone": "reference above 0.5, generated below",
    "reference_beats_another": "reference above another study's",
    "generated_beats_another": "generated above another study's reference",
}
"""What `match_scores` counts."""

Degrees = NDArray[np.float64]


@torch.no_grad()
def match_degrees(
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    studies: NDArray[np.int64],
    others: NDArray[np.int64],
    written: Sequence[str],
    on_progress: Callable[[int], None] = lambda count: None,
    batch_size: int = 32,
) -> Degrees:
    """Matching degrees of `PAIRS` for studies of a prepared data set.

    Args:
        model: In evaluation mode, trained with IRM.
        processor: Of the same model.
        dataset: Prepared for the model's image size.
        studies: (n,) numbers in the data set.
        others: (n,) for each another study of another report (`masked_words.other_studies`).
        written: n generated reports, raw.
        on_progress: Told the number of studies finished with each batch.
        batch_size: Studies at a time.

    Returns:
        (n, 5) from 0 to 1. Two texts of the same word pieces have equal degrees.

    Raises:
        ModelError: The model has no [MATCH] head.
    """
    rows = []
    for start in range(0, len(studies), batch_size):
        part = slice(start, start + batch_size)
        own, other = (
            [dataset.study(int(study)).report for study in each[part]] for each in (studies, others)
        )
        here, there = (
            image_features(model, dataset_inputs(dataset, processor, each[part]))
            for each in (studies, others)
        )
        said = _spelt_alike(processor, own, list(written[part]))
        pairs = [(here, own), (here, said), (here, other), (there, own), (there, said)]
        degrees = [matching_degree(model, processor, image, texts) for image, texts in pairs]
        rows.append(torch.stack(degrees, 1).double().cpu().numpy())
        on_progress(len(own))
    return np.concatenate(rows)


def _spelt_alike(processor: KIAProcessor, own: list[str], written: list[str]) -> list[str]:
    """The written reports, but the reference itself where the model reads the same in both."""
    longest = max(map(len, [*own, *written]), default=0)
    pieces = [processor.encode(e, max_words=longest, max_tokens=longest) for e in (own, written)]
    each = zip(own, written, *pieces, strict=True)
    return [text if ours == theirs else said for text, said, ours, theirs in each]


def match_scores(degrees: Degrees) -> dict[str, Any]:
    """The rates over a split.

    Args:
        degrees: (n, 5) of `match_degrees`.

    Returns:
        {"studies", "mean": degree by `PAIRS`, "share": {name of `SHARES`: {"share", "interval"}}}.
        A tie is no preference; intervals are 95 %, a bootstrap over studies.
    """
    reference, generated, another, elsewhere, written_elsewhere = degrees.T
    counted = [
        reference > generated,
        elsewhere > written_elsewhere,
        (reference > 0.5) & (generated < 0.5),
        reference > another,
        generated > another,
    ]
    table = np.stack([*counted, np.ones(len(degrees))], axis=1).astype(float)
    measure = Measure(
        table, lambda sums: dict(zip(SHARES, (sums[:, :-1] / sums[:, -1:]).T, strict=True))
    )
    intervals = measure.intervals()
    return {
        "studies": len(degrees),
        "mean": dict(zip(PAIRS, degrees.mean(0).tolist(), strict=True)),
        "share": {
            name: {"share": value, "interval": intervals[name]}
            for name, value in measure.values().items()
        },
    }


def draw_degrees(degrees: Degrees, path: str | Path, *, dpi: int = 150) -> None:
    """Writes a PNG: each study by the degrees of its reference and of what was generated.

    Args:
        degrees: (n, 5) of `match_degrees`.
        path: Of the PNG.
        dpi: Pixels an inch of the picture.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    require("matplotlib.figure", "plots", "drawing figures")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 5.0), layout="constrained")
    panel = figure.subplots()
    preferred = degrees[:, 0] > degrees[:, 1]
    for rows, marker, colour, name in (
        (preferred, "o", "#d55e00", "reference preferred"),
        (~preferred, "s", "#0072b2", "generated preferred, or a tie"),
    ):
        panel.scatter(
            degrees[rows, 0],
            degrees[rows, 1],
            s=14,
            marker=marker,
            color=colour,
            alpha=0.6,
            linewidths=0,
            label=f"{name}: {rows.sum()} of {len(rows)}",
        )
    panel.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
    panel.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    panel.set_xlabel("matching degree of the reference")
    panel.set_ylabel("matching degree of the generated report")
    figure.legend(*panel.get_legend_handles_labels(), loc="outside upper left", frameon=False)
    figure.savefig(path, dpi=dpi, format="png")
