"""What a linear classifier reads from the frozen image stem, beside a trained model's [MASK].

    python experiments/linear_probe.py DATA [MODEL …]

Logistic regressions (L2) on the first 200 principal components, of variance 1, of the mean of the
last feature map over the image, frontal and lateral side by side, fitted to the training split:
present or uncertain against the rest. AUROC on validation, of observations that at least three
studies have, beside that of the models' answers at [MASK].
"""

import argparse

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits

from kia.data.store import PreparedDataset
from kia.evaluation.probabilities import auroc
from kia.explain.findings import dataset_findings
from kia.generation import load_model
from kia.knowledge.chexpert import OBSERVATIONS
from kia.models.efficientnet import EfficientNetStem, load_published_weights
from kia.studies import VIEWS, Split

FEWEST = 3
COMPONENTS = 200
PENALTY = 0.024  # scikit-learn's C = 0.01 with 2,069 studies


@torch.no_grad()
def features(stem: EfficientNetStem, dataset: PreparedDataset, split: Split) -> torch.Tensor:
    """(n, 2 · 1280); NaN where a study has not the view."""
    rows = []
    for study in dataset.indices(split).tolist():
        grey = torch.tensor(dataset.pixels(study))[:, None] / 127.5 - 1
        means = stem.features(grey).mean((2, 3))
        row = means.new_full((len(VIEWS), means.shape[1]), torch.nan)
        for view, mean in zip(dataset.views(study), means, strict=True):
            row[VIEWS.index(view)] = mean
        rows.append(row.flatten())
    return torch.stack(rows)


def states(dataset: PreparedDataset, split: Split, wanted: tuple[int, ...]) -> NDArray[np.bool_]:
    """(n, 14) True where a study has an observation in one of the wanted states."""
    return np.array(
        [
            [(study.labels or {}).get(name) in wanted for name in OBSERVATIONS]
            for study in dataset.studies(split)
        ]
    )


def fitted(rows: torch.Tensor, present: NDArray[np.bool_]) -> torch.nn.Linear:
    """Fourteen logistic regressions at once: they share nothing but the optimiser."""
    layer = torch.nn.Linear(rows.shape[1], len(OBSERVATIONS))
    targets = torch.tensor(present, dtype=torch.float32)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        found = binary_cross_entropy_with_logits(layer(rows), targets, reduction="none")
        total = found.mean(0).sum() + PENALTY * layer.weight.square().sum()
        total.backward()
        return total

    optimizer.step(loss)
    return layer


def main() -> None:
    """Prints a list of scores for each way of answering."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("models", nargs="*")
    given = parser.parse_args()
    torch.manual_seed(0)
    dataset = PreparedDataset.open(given.data)
    stem = EfficientNetStem(1).eval()
    load_published_weights(stem)
    train, val = features(stem, dataset, "train"), features(stem, dataset, "val")
    mean = train.nanmean(0)
    deviation = (train - mean).square().nanmean(0).sqrt().clamp_min(1e-6)
    train, val = (((rows - mean) / deviation).nan_to_num() for rows in (train, val))
    directions = torch.linalg.svd(train, full_matrices=False).Vh[:COMPONENTS].mT
    scale = (train @ directions).std(0)
    train, val = train @ directions / scale, val @ directions / scale
    layer = fitted(train, states(dataset, "train", (1, -1)))
    answers = {"linear": layer(val).detach().numpy()}
    for name in given.models:
        model = load_model(name)
        answers[name] = dataset_findings(*model, dataset, dataset.indices("val"))
    truth = states(dataset, "val", (1,))
    shown = [place for place in range(len(OBSERVATIONS)) if truth[:, place].sum() >= FEWEST]
    for name, found in answers.items():
        scores = [auroc(found[:, place], truth[:, place]) for place in shown]
        print(f"{name}: mean {np.mean(scores):.3f}")
        for place, score in zip(shown, scores, strict=True):
            print(f"  {OBSERVATIONS[place]}: {score:.2f} ({truth[:, place].sum()} studies)")


if __name__ == "__main__":
    main()
