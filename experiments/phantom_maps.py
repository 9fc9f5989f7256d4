"""Which map of a model points best at what it answers for: candidates, measured on phantoms.

    python experiments/phantom_maps.py MODEL --data DATA [--split val] [--json OUT]

MODEL is a run or model folder trained with label MLM, DATA phantoms of its image size. Choose on
validation. The rows, for the [MASK] of each drawn finding in the label report:

attention, mean | first layer | last layer | layer l head h
                  cross-attention to the image tokens (l, h from 1)
rollout           mean attention, carried back through the self-attention of the image tower
                  (each layer half residual; Abnar and Zuidema 2020)
gradient × attention
                  gradient of log(present / absent) by each weight, times the weight, positive
                  part, over layers and heads (after Chefer et al. 2021)
features          gradient × feature where the text tower reads the image, summed over channels,
                  positive part (HiResCAM, Draelos and Carin 2020)
stem              the same at the last convolution, before the image tower mixes places; stem −1
                  and −2 at earlier ones, whose grids are 2 and 4 times as fine
…, Grad-CAM       channels weighed by the mean of their gradient (Selvaraju et al. 2017)
integrated, k steps from grey | the mean image
                  gradient by the pixels at k images on the way from plain grey or from the mean
                  training image, times the difference; positive part, cells of an eighth of a
                  patch, 3 × 3 mean (Sundararajan et al. 2017), as `kia.explain.attention.gradient`
…, centred        minus the mean map of the same observation over all studies
…, × atlas        times the key patches that the finding's own sentence names: no map of the model,
                  but it says how many misses are in another part of the body
…, another's      the map of the next observation that phantoms can have and this study has not
difference        between image and mean training image, without a model: what the last rows of
                  integrated gradients would show if the model told nothing apart
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kia.agreement import masked_label_report
from kia.cli import console
from kia.data.store.dataset import PreparedDataset
from kia.errors import KIAError
from kia.explain.attention import gradient
from kia.explain.localisation import measure as localisation
from kia.explain.localisation import pointing
from kia.generation import dataset_inputs, load_model
from kia.knowledge.chexpert import OBSERVATIONS
from kia.models.outputs import ImageFeatures
from kia.phantoms.scores import OBSERVATIONS as DRAWN
from kia.studies import SPLITS

INTEGRATED = (("grey", False, 4), ("the mean image", True, 1), ("the mean image", True, 4))
Maps = dict[str, Tensor]  # name → (B, 14, N), of the frontal view


class Reader:
    """A model that answers the 14 [MASK] for one batch, with a hand on what it computes.

    Shape letters: B studies, W views, N cells of a map, T tokens, D width, L layers, H heads.
    """

    def __init__(self, source: str) -> None:
        self.model, self.processor = load_model(source)
        self.masker, self.row, self.places = masked_label_report(self.model, self.processor)
        self.tower = self.model.text_cross_encoder

    def odds(self, images: ImageFeatures) -> Tensor:
        """log(present / absent) at the 14 [MASK], (B, 14)."""
        context = self.tower.stack.context(images.sequence, images.mask)
        features = self.tower(self.row.expand(len(images.sequence), -1), context=context)
        logits = self.model.word_logits(features[:, self.places], self.tower)
        present, absent = logits[..., self.masker.states].unbind(-1)
        return present - absent


class Watch:
    """What passes through a model while it answers; use it as a context."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.cells: Maps = {}  # (B·W, C, s, s), or (B, N, D) of "features"
        self.own: list[Tensor] = []  # self-attention of the image tower, (B·W, 1 + N, 1 + N)
        self.weights: list[Tensor] = []  # cross-attention, (B, H, 14, W·(1 + N)) a layer
        self.values: list[Tensor] = []  # that it mixes, (B, H, W·(1 + N), d)
        self.mixed: list[Tensor] = []  # its mix, (B, T, D)
        self.hooks = ExitStack()

    def __enter__(self) -> "Watch":
        encoder: Any = self.reader.model.image_encoder
        tower: Any = self.reader.tower
        layers = list(encoder.stem.layers)
        named = {"stem −2": layers[-4], "stem −1": layers[-3], "stem": layers[-1]}
        for name, module in named.items():
            self.hooks.enter_context(module.register_forward_hook(partial(self._keep, name)))
        for block in encoder.stack.blocks:
            hook = block.self_attention.register_forward_pre_hook(self._keep_own)
            self.hooks.enter_context(hook)
        for block in tower.stack.blocks:
            cross = block.cross_attention
            self.hooks.enter_context(cross.register_forward_pre_hook(self._keep_weights))
            self.hooks.enter_context(cross.output.register_forward_pre_hook(self._keep_mixed))
        return self

    def __exit__(self, *_: Any) -> None:
        self.hooks.close()

    def _keep(self, name: str, _: Any, __: Any, output: Tensor) -> Tensor:
        first = not self.cells  # nothing before it needs a gradient
        self.cells[name] = output.detach().requires_grad_() if first else output
        return self.cells[name]

    def _keep_own(self, module: Any, given: Any) -> None:
        split = module.query_key_value(given[0]).unflatten(-1, (3, module.heads, -1))
        query, key, _ = split.permute(2, 0, 3, 1, 4).detach()
        self.own.append((query @ key.mT / query.shape[-1] ** 0.5).softmax(-1).mean(1))

    def _keep_weights(self, module: Any, given: Any) -> None:
        x, context, layer = given
        self.weights.append(module.weights(x[:, self.reader.places], context, layer).detach())
        self.values.append(context.layers[layer].values.detach())

    def _keep_mixed(self, _: Any, given: Any) -> None:
        self.mixed.append(given[0])


def candidate_maps(reader: Reader, inputs: dict[str, Tensor]) -> Maps:
    """All rows but occlusion, by one forward and 14 backward passes."""
    with Watch(reader) as seen:
        images = reader.model.encode_images(**inputs)
        seen.cells["features"] = images.sequence
        odds = reader.odds(images)
    forms: dict[str, list[Tensor]] = {}
    cells = list(seen.cells.values())
    for k in range(14):
        found = torch.autograd.grad(odds[:, k].sum(), [*cells, *seen.mixed], retain_graph=True)
        for name, cell, slope in zip(seen.cells, cells, found, strict=False):
            channels, places = (-1, -2) if name == "features" else (-3, (-2, -1))
            value = cell.detach()
            forms.setdefault(name, []).append((slope * value).sum(channels))
            even = slope.mean(places, keepdim=True)
            forms.setdefault(f"{name}, Grad-CAM", []).append((even * value).sum(channels))
        slopes = [slope[:, reader.places[k]] for slope in found[len(cells) :]]
        forms.setdefault("gradient × attention", []).append(_by_weight(seen, slopes, k))
    views = inputs["view_ids"].shape[1]
    maps: Maps = {}
    for name, parts in forms.items():
        if name.startswith("stem"):
            maps[name] = torch.stack(
                [one.flatten(1).unflatten(0, (-1, views))[:, 0] for one in parts], 1
            )
        else:
            maps[name] = _frontal(torch.stack(parts, 1), views)
    return _attention(seen, views) | maps


def _by_weight(seen: Watch, slopes: list[Tensor], k: int) -> Tensor:
    """(B, W·(1 + N)): gradient by each weight of [MASK] k, times it, positive, summed.

    A weight's gradient is that of the mix (B, D), a layer, times the value that it weighs.
    """
    total = torch.zeros_like(seen.weights[0][:, 0, 0])
    for slope, value, weight in zip(slopes, seen.values, seen.weights, strict=True):
        heads = slope.unflatten(-1, (value.shape[1], -1))
        by_weight = torch.einsum("bhd,bhnd->bhn", heads, value)
        total += (by_weight * weight[:, :, k]).clamp(min=0).mean(1)
    return total


def _attention(seen: Watch, views: int) -> Maps:
    every = torch.stack(seen.weights, 1)  # (B, L, H, 14, W·(1 + N))
    found = {"attention, mean": every.mean((1, 2))}
    found["attention, first layer"] = every[:, 0].mean(1)
    found["attention, last layer"] = every[:, -1].mean(1)
    for layer in range(every.shape[1]):
        for head in range(every.shape[2]):
            found[f"attention, layer {layer + 1} head {head + 1}"] = every[:, layer, head]
    itself = torch.eye(seen.own[0].shape[-1])
    carried = itself
    for own in seen.own:
        carried = (own + itself) / 2 @ carried
    mean = found["attention, mean"].unflatten(-1, (views, -1))
    rolled = torch.einsum("bkwn,bwnm->bkwm", mean, carried.unflatten(0, (-1, views)))
    found["rollout"] = rolled.flatten(2)
    return {name: _frontal(value, views) for name, value in found.items()}


def _frontal(values: Tensor, views: int) -> Tensor:
    """(…, W·(1 + N)) → (…, N) of the first view."""
    return values.unflatten(-1, (views, -1))[..., 0, 1:]


def integrated_maps(reader: Reader, inputs: dict[str, Tensor], mean: Tensor) -> Maps:
    """The rows of integrated gradients."""
    cell = reader.model.config.image_tower["patch_size"] // 8
    maps: Maps = {}
    for name, reference, steps in INTEGRATED:
        start = mean if reference else None
        added = gradient.attributions(reader.model, inputs, reader.odds, start, steps)
        row = f"integrated, {steps} step{'s' * (steps > 1)} from {name}"
        maps[row] = gradient.raised(added, cell)[:, :, 0]
    unlike = (inputs["pixel_values"] - mean[inputs["view_ids"]]).abs().mean(2)[:, None]
    maps["difference, without a model"] = gradient.raised(unlike, cell)[:, :, 0].expand(-1, 14, -1)
    return maps


def batches(
    reader: Reader, dataset: PreparedDataset, studies: Any, size: int
) -> Iterator[tuple[Any, dict[str, Tensor]]]:
    """Studies and their inputs."""
    for start in range(0, len(studies), size):
        chosen = studies[start : start + size]
        inputs = dataset_inputs(dataset, reader.processor, chosen)
        # the frontal view alone, as `kia evaluate --localisation` reads it
        yield chosen, {name: value[:, :1] for name, value in inputs.items() if value is not None}


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Everything that the table has."""
    reader, dataset = Reader(given.model), PreparedDataset.open(given.data)
    studies = dataset.indices(given.split)[: given.studies]
    findings = localisation.phantom_findings(dataset, studies)
    rows = [finding.image for finding in findings]
    columns = [OBSERVATIONS.index(finding.observation) for finding in findings]
    mean = gradient.mean_images(reader.processor, dataset)
    kinds: list[Any] = [candidate_maps, partial(integrated_maps, mean=mean)]
    found: dict[str, list[np.ndarray]] = {}
    with console.progress() as bar:
        task = bar.add_task("maps", total=len(studies))
        for chosen, inputs in batches(reader, dataset, studies, given.batch):
            for kind in kinds:
                for name, maps in kind(reader, inputs).items():
                    found.setdefault(name, []).append(maps.detach().numpy())
            bar.advance(task, len(chosen))
    scores: dict[str, Any] = {}
    for name, parts in found.items():
        every = np.concatenate(parts)
        own = every[rows, columns]
        forms = {name: own}
        if "," not in name and name != "rollout":
            forms[f"{name}, centred"] = own - every.mean(0)[columns]
        if "," not in name or "integrated" in name:
            forms[f"{name}, × atlas"] = own * _atlas(findings, own.shape[1])
            forms[f"{name}, another's"] = every[rows, _others(findings)]
        for form, values in forms.items():
            positive = np.maximum(values, 0)
            positive[~positive.any(1)] = 1
            scores[form] = localisation.score_localisation(findings, {"map": positive})
    return scores


def _others(findings: list[localisation.PlacedFinding]) -> list[int]:
    """For each finding the number of the next observation that its study has not."""
    there = {(one.image, one.observation) for one in findings}
    others = []
    for one in findings:
        place = DRAWN.index(one.observation)
        order = [*DRAWN[place + 1 :], *DRAWN[:place]]
        absent = next(name for name in order if (one.image, name) not in there)
        others.append(OBSERVATIONS.index(absent))
    return others


def _atlas(findings: list[localisation.PlacedFinding], cells: int) -> np.ndarray:
    grid = math.isqrt(cells)
    return np.stack([pointing.atlas_prior(one.landmarks, grid)[0] for one in findings])


def table(scores: dict[str, Any]) -> str:
    """Markdown: the candidates, then the priors on each grid."""
    lines = ["| map | grid | pointing | inside | lift | IoU |", "|---|---|---|---|---|---|"]
    priors: dict[str, None] = {}
    for name, one in scores.items():
        own, *others = (_line(n, one["grid"], s["mean"]) for n, s in one["systems"].items())
        lines.append(own.replace("| map |", f"| {name} |"))
        priors |= dict.fromkeys(others)
    return "\n".join([*lines, *priors])


def _line(name: str, grid: int, values: dict[str, float]) -> str:
    numbers = [f"{values['pointing']:.3f}", f"{values['inside']:.3f}"]
    return (
        f"| {name} | {grid} | {' | '.join(numbers)} | {values['lift']:.2f} | {values['iou']:.3f} |"
    )


def main() -> None:
    """Measures, prints the table, writes the numbers."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("model", help="run folder or model folder")
    parser.add_argument("--data", type=Path, required=True, help="phantoms")
    parser.add_argument("--split", choices=SPLITS, default="val")
    parser.add_argument("--studies", type=int, help="the first so many; all if absent")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--json", type=Path, help="write the numbers")
    given = parser.parse_args()
    console.quiet_libraries()
    try:
        scores = measure(given)
        print(table(scores))
        if given.json:
            given.json.write_text(json.dumps(scores, indent=1), encoding="utf-8")
    except KIAError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
