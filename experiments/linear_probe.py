"""What a linear classifier reads from the frozen image stem, beside a trained model's [MASK].

    python experiments/linear_probe.py DATA [MODEL …]

The classifier: a linear layer on the mean and the maximum of the last feature map over the image,
frontal and lateral side by side, three epochs of the training split, seed 0; uncertain counts as
present. On validation, against present or uncertain: cross-entropy and AUROC (of observations
that at least three studies have), beside those of the models' answers at [MASK]; and the macro F1
over 13 observations, uncertain as absent, of saying "present" wherever the probability is above
twice the training share, as if the answers were the report.
"""

import argparse
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits, layer_norm

from kia.data.store.dataset import PreparedDataset
from kia.evaluation.clinical.efficacy import Labels, clinical_measures
from kia.evaluation.clinical.probabilities import auroc
from kia.explain.findings import dataset_findings
from kia.generation import load_model
from kia.knowledge.chexpert import OBSERVATIONS
from kia.models.efficientnet import EfficientNetStem, load_published_weights
from kia.studies import VIEWS, Split

FEWEST, TIMES = 3, 2
EPOCHS, BATCH, RATE, DECAY, DROPOUT = 3, 32, 1e-3, 0.01, 0.3


@torch.no_grad()
def features(dataset: PreparedDataset, split: Split) -> Tensor:
    """(n, 2 views · 2 · 1280), zeros where a study has not the view."""
    stem = EfficientNetStem(1).eval()
    load_published_weights(stem)
    rows = []
    for study in dataset.indices(split).tolist():
        grey = torch.tensor(dataset.pixels(study))[:, None] / 127.5 - 1
        maps = stem.features(grey)
        pooled = torch.stack([maps.mean((2, 3)), maps.amax((2, 3))], 1)
        row = pooled.new_zeros(len(VIEWS), *pooled.shape[1:])
        row[[VIEWS.index(view) for view in dataset.views(study)]] = layer_norm(
            pooled, pooled.shape[-1:]
        )
        rows.append(row.flatten())
    return torch.stack(rows)


def states(dataset: PreparedDataset, split: Split) -> Tensor:
    """(n, 14) 1 where a study has an observation, certain or not, else 0."""
    return torch.tensor(
        [
            [float((study.labels or {}).get(name) in (1, -1)) for name in OBSERVATIONS]
            for study in dataset.studies(split)
        ]
    )


def fitted(rows: Tensor, present: Tensor, seed: int = 0) -> nn.Sequential:
    """Fourteen logistic regressions at once."""
    torch.manual_seed(seed)
    layer = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(rows.shape[1], len(OBSERVATIONS)))
    optimizer = torch.optim.AdamW(layer.parameters(), lr=RATE, weight_decay=DECAY)
    steps = EPOCHS * math.ceil(len(rows) / BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(rows)).split(BATCH):
            loss = binary_cross_entropy_with_logits(layer(rows[chosen]), present[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return layer.eval()


@torch.no_grad()
def linear_answers(known: Tensor, present: Tensor, rows: Tensor, seed: int = 0) -> Tensor:
    """(n, 14) probabilities of "present" for rows, by a classifier of the known ones."""
    with torch.enable_grad():
        layer = fitted(known, present, seed)
    return layer(rows).sigmoid()


def macro_13(said: Sequence[Labels], dataset: PreparedDataset) -> float:
    """F1 over 13 observations of what is said of the validation studies, uncertain as absent."""
    truth = [study.labels or {} for study in dataset.studies("val")]
    return clinical_measures(said, truth)["uncertain_negative"].values()["macro_13.f1"]


def as_labels(present: Tensor) -> list[Labels]:
    """(n, 14) as what the labeler would read."""
    return [
        {name: 1 for name, one in zip(OBSERVATIONS, row, strict=True) if one}
        for row in present.tolist()
    ]


def main() -> None:
    """Prints the scores of each way of answering."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("models", nargs="*")
    given = parser.parse_args()
    dataset = PreparedDataset.open(given.data)
    truth, present = states(dataset, "val"), states(dataset, "train")
    known, rows = features(dataset, "train"), features(dataset, "val")
    answers = {"linear": linear_answers(known, present, rows)}
    for name in given.models:
        found = dataset_findings(*load_model(name), dataset, dataset.indices("val"))
        answers[name] = torch.from_numpy(found)
    shown = [place for place in range(len(OBSERVATIONS)) if truth[:, place].sum() >= FEWEST]
    for name, chances in answers.items():
        scores = [auroc(chances[:, k].numpy(), truth[:, k].bool().numpy()) for k in shown]
        entropy = binary_cross_entropy(chances.clamp(1e-6, 1 - 1e-6), truth).item()
        print(f"{name}: cross-entropy {entropy:.4f}, AUROC {np.mean(scores):.3f}, ", end="")
        said = as_labels(chances > TIMES * present.mean(0))
        print(f"macro-13 F1 of the answers {macro_13(said, dataset):.3f}")
        for place, score in zip(shown, scores, strict=True):
            print(f"  {OBSERVATIONS[place]}: {score:.2f} ({int(truth[:, place].sum())} studies)")


if __name__ == "__main__":
    main()
