"""The stem trained on labels alone, of two hospitals; what it sees of studies that it never saw.

    python experiments/eyes.py outside ANNOTATION REPORTS OUT.csv
    python experiments/eyes.py train MIX STEM.safetensors --held-out nih [--sides 192 192 …] …
    python experiments/eyes.py score MIX STEM.safetensors --held-out nih

`outside` writes the rows of indiana_reports.csv that R2Gen's split does not have. `train` learns
from the training studies of a mix (`kia data mix`): the 14 observations, of which unknown ones do
not count, and, half as much, which words a report has and which labels a film has at NIH. It writes
the average of the stem's last weights, for `model.image_encoder.pretrained`, and the linear head
beside them. After each epoch: mean AUROC on the mix's validation split (IU X-Ray; seven
observations), and on the test split of the source `--held-out` alone (seven findings). They choose
nothing: the last epoch counts. Present or uncertain is present; answers for the views of a
study are averaged. IU X-Ray's test split is never read.
"""

import argparse
import csv
import json
import math
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import (
    affine_grid,
    binary_cross_entropy_with_logits,
    grid_sample,
    interpolate,
    layer_norm,
    one_hot,
)

from kia.data.store.dataset import PreparedDataset
from kia.data.store.mix import source_shares
from kia.evaluation.clinical.probabilities import auroc
from kia.knowledge.chexpert import OBSERVATIONS
from kia.knowledge.labels.rules import label_reports
from kia.models.efficientnet import EfficientNetStem
from kia.models.pretrained import load_stem, stem_weights
from kia.studies import VIEWS, Study
from kia.training.freed_memory import keep_freed_memory

SEEN = (
    *("Cardiomegaly", "Lung Opacity", "Lung Lesion", "Atelectasis", "Pleural Effusion"),
    *("Support Devices", "No Finding"),
)
"""Those with at least ten test studies of IU X-Ray."""
HELD = (
    *("Cardiomegaly", "Pleural Effusion", "Atelectasis", "Edema", "Lung Lesion"),
    *("Pneumothorax", "No Finding"),
)
FEATURES = 1280
TARGETS = {1: 1.0, -1: 0.8, 0: 0.0}
OWN_LABELS = 0.7  # share of the target report's labels; the rest is of findings and impression
COMMON, RARE = 0.6, 40  # words are asked for between this share and this number of images
SMOOTHING, AUXILIARY, AVERAGE, WARM_UP = 0.03, 0.5, 0.998, 60
NEAR = 5  # blocks that stay as they are: they see edges, and cost most


@dataclass(frozen=True)
class Films:
    """Images one by one, in memory.

    Attributes:
        pixels: (n, S, S) uint8.
        views: (n,) numbers of views.
        studies: (n,) number of the study of each.
        target: (n, 14), 0 to 1.
        known: (n, 14), 1 where the observation is annotated.
        words: Of each image's study.
        labels_only: (n,) True where the study has no report.
    """

    pixels: NDArray[np.uint8]
    views: NDArray[np.int64]
    studies: NDArray[np.int64]
    target: Tensor
    known: Tensor
    words: list[set[str]]
    labels_only: NDArray[np.bool_]

    @classmethod
    def of(cls, dataset: PreparedDataset, studies: Sequence[int]) -> "Films":
        """The films of some studies."""
        read = [dataset.study(int(number)) for number in studies]
        times = [len(study.images) for study in read]
        texts = [
            " ".join(study.sections.get(k, "") for k in ("findings", "impression"))
            for study in read
        ]
        wider = label_reports(texts)
        rows = [targets(*pair) for pair in zip(read, wider, strict=True)]
        every = np.repeat(np.arange(len(read)), times)
        return cls(
            np.concatenate([dataset.pixels(int(number)) for number in studies]),
            np.array([VIEWS.index(image.view) for study in read for image in study.images]),
            np.asarray(studies)[every],
            torch.tensor([rows[n][0] for n in every]),
            torch.tensor([rows[n][1] for n in every]),
            [words_of(read[n], texts[n]) for n in every],
            np.array([not read[n].has_report for n in every]),
        )


def targets(study: Study, wider: dict[str, int | None]) -> tuple[list[float], list[float]]:
    """What is to be answered for the 14, and 1 where an answer counts."""
    own = study.labels or {}
    if not study.has_report:
        values = [own.get(name) for name in OBSERVATIONS]
        return [TARGETS[v or 0] for v in values], [float(v is not None) for v in values]
    both = [(TARGETS[own.get(n) or 0], TARGETS[wider.get(n) or 0]) for n in OBSERVATIONS]
    return [OWN_LABELS * a + (1 - OWN_LABELS) * b for a, b in both], [1.0] * len(OBSERVATIONS)


def words_of(study: Study, text: str) -> set[str]:
    """The words of a report, or the labels of a film."""
    if not study.has_report:
        return {f"nih:{label}" for label in study.sections.get("nih", "").split("|")}
    return set(re.findall("[a-z]{3,}", f"{text} {study.report}".lower()))


class Eyes(nn.Module):
    """The stem, and linear layers on the mean and the maximum of its features."""

    def __init__(self, source: str, words: int, dropout: float) -> None:
        super().__init__()
        self.stem = EfficientNetStem(1)
        load_stem(self.stem, source)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * FEATURES + len(VIEWS), len(OBSERVATIONS) + words)
        nn.init.zeros_(self.head.weight)
        for part in (self.stem.first, self.stem.blocks[:NEAR], self.stem.to_width):
            part.requires_grad_(False)

    def forward(self, images: Tensor, views: Tensor) -> Tensor:
        """(R, 1, S, S) and (R,) → (R, 14 + words), logits."""
        with torch.autocast("cpu", torch.bfloat16):
            maps = self.stem.features(images)
        both = torch.stack([maps.float().mean((2, 3)), maps.float().amax((2, 3))], 1)
        pooled = self.dropout(layer_norm(both, (FEATURES,)).flatten(1))
        return self.head(torch.cat([pooled, one_hot(views, len(VIEWS)).float()], 1))


class Optimizer:
    """Adam whose steps are relative to the size of what they move (docs/decisions/0036).

    By output of a convolution, as the batch norm that was folded into it had a gain for each; a
    bias moves a tenth of what all weights of its output can move it by.
    """

    def __init__(self, eyes: Eyes, rate: float) -> None:
        named = dict(eyes.stem.named_parameters())
        self.moved = {name: p for name, p in named.items() if p.requires_grad}
        self.sizes: list[Tensor] = []
        for name, parameter in self.moved.items():
            rows = named[name.replace("bias", "weight")].detach().flatten(1)
            size = rows.square().mean(1).sqrt()
            by_bias = parameter.ndim == 1
            shape = [-1] + [1] * (parameter.ndim - 1)
            self.sizes.append((size * (0.1 * rows.shape[1] ** 0.5 if by_bias else 1)).view(shape))
        groups = [
            {"params": [*self.moved.values()], "lr": rate, "weight_decay": 0.0},
            {"params": [*eyes.head.parameters()], "lr": 1e-3, "weight_decay": 0.05},
        ]
        self.adam = torch.optim.AdamW(groups, betas=(0.9, 0.99))

    @torch.no_grad()
    def step(self) -> None:
        """Moves the weights by their gradients."""
        before = [parameter.clone() for parameter in self.moved.values()]
        self.adam.step()
        for now, old, size in zip(self.moved.values(), before, self.sizes, strict=True):
            now.copy_(old + size * (now - old))


def batch(films: Films, chosen: NDArray[np.int64], side: int, strength: float = 0.0) -> Tensor:
    """Images (R, 1, side, side), −1 to 1; turned, moved, zoomed, darkened …, never flipped."""
    images = torch.from_numpy(films.pixels[chosen])[:, None].float() / 255
    if side != images.shape[-1]:
        images = interpolate(images, (side, side), mode="bilinear", antialias=True)
    if not strength:
        return images * 2 - 1
    rows = len(images)
    draw = (torch.rand(8, rows) * 2 - 1) * strength
    turn, zoom = draw[0] * math.radians(10), (0.18 * draw[1]).exp()
    wide = zoom * (0.07 * draw[7]).exp()
    moves = torch.stack(
        [
            torch.stack([wide * turn.cos(), -zoom * turn.sin(), 0.12 * draw[2]], 1),
            torch.stack([wide * turn.sin(), zoom * turn.cos(), 0.12 * draw[3]], 1),
        ],
        1,
    )
    grid = affine_grid(moves, [*images.shape], align_corners=False)
    images = grid_sample(images, grid, align_corners=False).clamp(0, 1)
    gamma, contrast, light = (d[:, None, None, None] for d in draw[4:7])
    images = images ** (0.35 * gamma).exp()
    images = ((images - 0.5) * (1 + 0.25 * contrast) + 0.5 + 0.12 * light).clamp(0, 1)
    for image in images:
        if torch.rand(()) < 0.5 * strength:
            size = (side * (0.1 + 0.2 * torch.rand(2))).long()
            top, left = ((side - size) * torch.rand(2)).long()
            image[:, top : top + size[0], left : left + size[1]] = torch.rand(())
    return images * 2 - 1


def order(films: Films, repeat: int, random: np.random.Generator) -> NDArray[np.int64]:
    """An epoch: frontal films with a report once, half of the lateral ones, the others repeated."""
    frontal = films.views == VIEWS.index("frontal")
    once = np.flatnonzero(~films.labels_only & (frontal | (random.random(len(frontal)) < 0.5)))
    found = np.concatenate([once, *[np.flatnonzero(films.labels_only)] * repeat])
    random.shuffle(found)
    return found


@torch.no_grad()
def answers(eyes: Eyes, films: Films, side: int) -> dict[int, NDArray[np.float64]]:
    """Study → (14,) logits, averaged over its views."""
    eyes.eval()
    found: dict[int, list[NDArray[np.float64]]] = {}
    for chosen in np.split(np.arange(len(films.views)), range(8, len(films.views), 8)):
        logits = eyes(batch(films, chosen, side), torch.from_numpy(films.views[chosen]))
        for study, row in zip(films.studies[chosen], logits[:, : len(OBSERVATIONS)], strict=True):
            found.setdefault(int(study), []).append(row.double().numpy())
    eyes.train()
    return {study: np.mean(rows, 0) for study, rows in found.items()}


def scores(
    eyes: Eyes, dataset: PreparedDataset, films: Films, names: Sequence[str], side: int
) -> dict[str, float]:
    """AUROC by observation, and their mean."""
    said = answers(eyes, films, side)
    true = [dataset.study(study).labels or {} for study in said]
    rows = np.stack([*said.values()])
    each = {
        name: auroc(
            rows[:, OBSERVATIONS.index(name)], np.array([t.get(name) in (1, -1) for t in true])
        )
        for name in names
    }
    return {"mean": float(np.mean([*each.values()]))} | {k: float(v) for k, v in each.items()}


def losses(
    logits: Tensor, films: Films, chosen: NDArray[np.int64], words: Tensor, of_films: Tensor
) -> Tensor:
    """Cross-entropy of what is known: observations, and words of reports or labels of films."""
    count, known = len(OBSERVATIONS), films.known[chosen]
    soft = films.target[chosen] * (1 - 2 * SMOOTHING) + SMOOTHING
    seen = binary_cross_entropy_with_logits(logits[:, :count], soft, reduction="none") * known
    asked = (torch.from_numpy(films.labels_only[chosen])[:, None] == of_films).float()
    said = binary_cross_entropy_with_logits(logits[:, count:], words[chosen], reduction="none")
    return seen.sum() / known.sum() + AUXILIARY * (said * asked).sum() / asked.sum().clamp(min=1)


def vocabulary(films: Films) -> tuple[list[str], Tensor]:
    """Words that are asked for, and (n, words) 1 where an image's study has them."""
    counted = Counter(word for words in films.words for word in words)
    most = COMMON * len(films.words)
    asked = sorted(word for word, count in counted.items() if RARE <= count <= most)
    return asked, torch.tensor([[float(word in words) for word in asked] for words in films.words])


def held_out(dataset: PreparedDataset, name: str) -> NDArray[np.int64]:
    """The test studies of one source of a mix."""
    names = [source["name"] for source in dataset.info["settings"]["mix"]]
    return source_shares(dataset, dataset.indices("test"))[names.index(name)][0]


def shown(
    dataset: PreparedDataset, eyes: Eyes, sets: dict[str, tuple[Films, Sequence[str]]], side: int
) -> str:
    """A line of JSON: AUROC by set."""
    found = {k: scores(eyes, dataset, films, names, side) for k, (films, names) in sets.items()}
    return json.dumps({k: {n: round(v, 3) for n, v in one.items()} for k, one in found.items()})


def sets_of(dataset: PreparedDataset, name: str) -> dict[str, tuple[Films, Sequence[str]]]:
    """What is scored: the validation split, and what is held out of a source."""
    held = held_out(dataset, name)
    return {
        "val": (Films.of(dataset, dataset.indices("val").tolist()), SEEN),
        name: (Films.of(dataset, held.tolist()), HELD),
    }


def steps(
    films: Films, given: argparse.Namespace
) -> Iterator[tuple[int, int, NDArray[np.int64], bool]]:
    """Epoch, side, images, and whether the epoch ends, of each step."""
    random = np.random.default_rng(given.seed)
    for epoch, side in enumerate(given.sides):
        whole = order(films, given.repeat, random)
        parts = np.split(whole, range(given.batch, len(whole), given.batch))
        for number, part in enumerate(parts, start=1):
            yield epoch, side, part, number == len(parts)


def train(given: argparse.Namespace) -> None:
    """Trains, prints AUROC by epoch, and writes the average of the weights."""
    torch.manual_seed(given.seed)
    dataset = PreparedDataset.open(given.data)
    films = Films.of(dataset, dataset.indices("train").tolist())
    asked, words = vocabulary(films)
    of_films = torch.tensor([word.startswith("nih:") for word in asked])
    eyes = Eyes(given.start, len(asked), given.dropout).train()
    with torch.no_grad():
        present = (films.target * films.known).sum(0) / films.known.sum(0).clamp(min=1)
        eyes.head.bias.copy_(torch.cat([present, words.mean(0)]).clamp(0.002, 0.99).logit())
    average = Eyes(given.start, len(asked), 0.0)
    average.load_state_dict(eyes.state_dict())
    optimizer = Optimizer(eyes, given.rate)
    planned = [*steps(films, given)]
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer.adam,
        lambda n: min(1.0, (n + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * n / len(planned))),
    )
    scored, began = sets_of(dataset, given.held_out), time.monotonic()
    for step, (epoch, side, chosen, last) in enumerate(planned):
        views = torch.from_numpy(films.views[chosen])
        logits = eyes(batch(films, chosen, side, given.strength), views)
        loss = losses(logits, films, chosen, words, of_films)
        eyes.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(eyes.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        kept = min(AVERAGE, (1 + step) / (10 + step))
        with torch.no_grad():
            for mine, theirs in zip(average.parameters(), eyes.parameters(), strict=True):
                mine.lerp_(theirs, 1 - kept)
        if last:
            minutes = (time.monotonic() - began) / 60
            print(f"epoch {epoch + 1}, {side} pixels, {minutes:.0f} min:", end=" ")
            print(shown(dataset, average, scored, side), flush=True)
            write(average, Path(given.out), given.keep, given.start)


def write(eyes: Eyes, out: Path, keep: float, start: str) -> None:
    """The stem for `model.image_encoder.pretrained`; the head of the 14 beside it.

    Args:
        eyes: Trained.
        out: Of the stem.
        keep: Share of the weights that it started from.
        start: What it started from.
    """
    before = EfficientNetStem(1)
    load_stem(before, start)
    old, new = stem_weights(before), stem_weights(eyes.stem)
    save_file({name: torch.lerp(new[name], old[name], keep).contiguous() for name in new}, out)
    count = len(OBSERVATIONS)
    head = {"weight": eyes.head.weight[:count], "bias": eyes.head.bias[:count]}
    tensors = {n: w.detach().contiguous() for n, w in head.items()}
    save_file(tensors, out.with_suffix(".head.safetensors"))


def score(given: argparse.Namespace) -> None:
    """Prints what written weights see, at each of the sides."""
    dataset = PreparedDataset.open(given.data)
    eyes = Eyes(given.out, 0, 0.0)
    eyes.head.load_state_dict(load_file(Path(given.out).with_suffix(".head.safetensors")))
    scored = sets_of(dataset, given.held_out)
    for side in given.sides:
        print(f"{side} pixels:", shown(dataset, eyes, scored, side), flush=True)


def outside(given: argparse.Namespace) -> None:
    """Writes the reports that R2Gen's split does not have."""
    annotation = json.loads(Path(given.annotation).read_text())
    known = {
        e["id"].split("_")[0].removeprefix("CXR") for part in annotation.values() for e in part
    }
    with (
        Path(given.reports).open(newline="") as source,
        Path(given.out).open("w", newline="") as sink,
    ):
        rows = csv.DictReader(source)
        writer = csv.DictWriter(sink, rows.fieldnames or [])
        writer.writeheader()
        writer.writerows(row for row in rows if row["uid"] not in known)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, run in (("train", train), ("score", score)):
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        command.add_argument("data")
        command.add_argument("out")
        command.add_argument("--held-out", required=True, help="a source of the mix")
        command.add_argument("--sides", type=int, nargs="+", default=[192, 192, 192, 192, 224, 256])
    learner = commands.choices["train"]
    learner.add_argument("--start", default="efficientnet-lite0", help="or a file of a stem")
    learner.add_argument("--rate", type=float, default=1e-3, help="a step, relative to weights")
    learner.add_argument("--keep", type=float, default=0.0, help="share of the first weights")
    learner.add_argument("--strength", type=float, default=0.6, help="of augmentation")
    learner.add_argument("--dropout", type=float, default=0.25)
    learner.add_argument("--repeat", type=int, default=2, help="films without report, an epoch")
    learner.add_argument("--batch", type=int, default=16)
    learner.add_argument("--seed", type=int, default=0)
    command = commands.add_parser("outside")
    command.set_defaults(run=outside)
    for name in ("annotation", "reports", "out"):
        command.add_argument(name)
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    given.run(given)


if __name__ == "__main__":
    main()
