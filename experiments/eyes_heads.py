"""What linear heads read from stems, side by side (docs/results.md, "Eyes").

    python experiments/eyes_heads.py MIX --held-out nih \
        --stems efficientnet-lite0 eyes.safetensors --sides 256 224

A stem's features are the mean and the maximum of its last map, each layer-normed; of all stems side
by side the first 128 or 256 principal components, and whether the view is lateral. Logistic
regression on the annotated labels of all training films of the mix, with L2; both numbers are
chosen by five-fold cross-validation over the training studies: the mean AUROC of both sets of
observations (`eyes.py`). Then the validation split and the films that are held out are read once.
"""

import argparse
import hashlib

import numpy as np
import torch
from eyes import FEATURES, HELD, OBSERVATIONS, SEEN, Films, batch, held_out
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, layer_norm

from kia.data.store.dataset import PreparedDataset
from kia.evaluation.clinical.probabilities import auroc
from kia.models.efficientnet import EfficientNetStem
from kia.models.pretrained import load_stem
from kia.studies import VIEWS

COMPONENTS, PENALTIES, FOLDS = (128, 256), (3e-3, 3e-2), 5


@torch.no_grad()
def features(films: Films, source: str, side: int) -> Tensor:
    """(n, 2560) of a stem."""
    stem = EfficientNetStem(1).eval()
    load_stem(stem, source)
    rows = []
    for chosen in np.split(np.arange(len(films.views)), range(8, len(films.views), 8)):
        maps = stem.features(batch(films, chosen, side))
        pooled = torch.stack([maps.mean((2, 3)), maps.amax((2, 3))], 1)
        rows.append(layer_norm(pooled, (FEATURES,)).flatten(1))
    return torch.cat(rows)


def fitted(x: Tensor, films: Films, rows: NDArray[np.int64], penalty: float) -> Tensor:
    """(14, columns + 1) weights, the bias last."""
    inside = torch.cat([x[rows], torch.ones(len(rows), 1)], 1)
    target, known = films.target[rows], films.known[rows]
    weights = torch.zeros(len(OBSERVATIONS), inside.shape[1], requires_grad=True)
    solver = torch.optim.LBFGS([weights], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        each = binary_cross_entropy_with_logits(inside @ weights.T, target, reduction="none")
        total = (each * known).sum() / len(rows) + penalty * weights[:, :-1].square().sum()
        total.backward()
        return total

    solver.step(loss)
    return weights.detach()


def said(x: Tensor, weights: Tensor) -> NDArray[np.float64]:
    """(n, 14) logits."""
    return (x @ weights[:, :-1].T + weights[:, -1]).double().numpy()


def mean_auroc(
    dataset: PreparedDataset,
    films: Films,
    rows: NDArray[np.int64],
    logits: NDArray[np.float64],
    names: tuple[str, ...],
) -> float:
    """Over observations, of studies whose views are averaged; NaN without rows."""
    numbers = np.unique(films.studies[rows])
    mean = np.stack([logits[rows[films.studies[rows] == n]].mean(0) for n in numbers])
    labels = [dataset.study(int(number)).labels or {} for number in numbers]
    found = [
        auroc(mean[:, OBSERVATIONS.index(k)], np.array([one.get(k) in (1, -1) for one in labels]))
        for k in names
    ]
    return float(np.mean(found))


def fold_of(dataset: PreparedDataset, study: int) -> int:
    """By patient, or by study where there is none."""
    one = dataset.study(study)
    digest = hashlib.sha256((one.patient or one.id).encode()).digest()
    return digest[0] % FOLDS


def main() -> None:
    """Prints what cross-validation says of each choice, and what the chosen one sees."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--held-out", required=True)
    parser.add_argument("--stems", nargs="+", default=["efficientnet-lite0"])
    parser.add_argument("--sides", type=int, nargs="+", default=[256])
    given = parser.parse_args()
    torch.set_num_threads(1)
    dataset = PreparedDataset.open(given.data)
    parts = {
        "train": dataset.indices("train"),
        "val": dataset.indices("val"),
        "held": held_out(dataset, given.held_out),
    }
    films = Films.of(dataset, np.concatenate([*parts.values()]).tolist())
    places = {k: np.flatnonzero(np.isin(films.studies, v)) for k, v in parts.items()}
    train = places["train"]
    raw = torch.cat(
        [features(films, *each) for each in zip(given.stems, given.sides, strict=True)], 1
    )
    raw = raw - raw[train].mean(0)
    directions = torch.linalg.eigh(raw[train].T @ raw[train])[1].flip(1)
    folds = np.array([fold_of(dataset, int(study)) for study in films.studies])
    sets = {
        "reports": (train[~films.labels_only[train]], SEEN),
        "labels": (train[films.labels_only[train]], HELD),
    }
    choices: dict[tuple[int, float], float] = {}
    inputs: dict[int, Tensor] = {}
    for count in COMPONENTS:
        x = raw @ directions[:, :count]
        lateral = torch.tensor(films.views == VIEWS.index("lateral"))[:, None].float()
        inputs[count] = torch.cat([x / x[train].std(0).mean(), lateral], 1)
        for penalty in PENALTIES:
            logits = np.zeros((len(films.views), len(OBSERVATIONS)))
            for fold in range(FOLDS):
                out = folds == fold
                logits[out] = said(
                    inputs[count], fitted(inputs[count], films, train[~out[train]], penalty)
                )[out]
            means = {
                k: mean_auroc(dataset, films, rows, logits, n) for k, (rows, n) in sets.items()
            }
            choices[count, penalty] = sum(means.values())
            print(
                f"{count} components, L2 {penalty:g}:", {k: round(v, 3) for k, v in means.items()}
            )
    count, penalty = max(choices, key=lambda choice: choices[choice])
    logits = said(inputs[count], fitted(inputs[count], films, train, penalty))
    val = mean_auroc(dataset, films, places["val"], logits, SEEN)
    held = mean_auroc(dataset, films, places["held"], logits, HELD)
    print(f"chosen {count}, {penalty:g}: validation {val:.3f}, {given.held_out} {held:.3f}")


if __name__ == "__main__":
    main()
