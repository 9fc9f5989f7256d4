"""Batch: what the five tasks read, and how studies become one.

Shape letters: B studies, W views, N patches of a view, S side, T tokens.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample
from torch.utils.data import Dataset

from kia.config import DataConfig, TasksConfig
from kia.data.batches.masked_text import TextMasker, token_rows
from kia.data.counted import uniforms
from kia.data.store.dataset import PreparedDataset
from kia.data.store.mix import source_shares
from kia.errors import ConfigError
from kia.knowledge.masks.image import (
    anatomy_image_mask,
    general_image_mask,
    study_key_patches,
)
from kia.processing import KIAProcessor
from kia.studies import VIEWS, Study


@dataclass(frozen=True)
class Batch:
    """B studies as the tasks read them.

    Attributes:
        studies: (B,) numbers in the data set.
        pixel_values: (B, W, C, S, S), normalised; zero where a view is absent.
        view_ids: (B, W), 0 frontal, 1 lateral.
        view_mask: (B, W), False where a view is absent; None if all exist.
        input_ids: (B, T): [CLS], word pieces, [SEP], padding.
        attention_mask: (B, T), True on tokens.
        next_positions: (M,) flat positions in (B, T) from which RG predicts the next token, [SEP]
            too unless the report is cut at the length limit.
        next_targets: (M,) the next tokens.
        report_ids: (B,) numbers that are equal for word-for-word equal reports; −1 for studies
            without one, which IRC, [MATCH] and RG skip.
        image_mask: (B, W, N), True where MIM hides a patch; None without MIM.
        hidden_patches: (M,) flat positions of those patches in (B, W, N).
        masked_input_ids: (B, T') for MLM, the report or the label report; None without MLM.
        masked_attention_mask: (B, T'), True on its tokens.
        masked_positions: (M,) flat positions in (B, T') that MLM predicts.
        masked_targets: (M,) their original ids.
    """

    studies: Tensor
    pixel_values: Tensor
    view_ids: Tensor
    view_mask: Tensor | None
    input_ids: Tensor
    attention_mask: Tensor
    next_positions: Tensor
    next_targets: Tensor
    report_ids: Tensor
    image_mask: Tensor | None = None
    hidden_patches: Tensor | None = None
    masked_input_ids: Tensor | None = None
    masked_attention_mask: Tensor | None = None
    masked_positions: Tensor | None = None
    masked_targets: Tensor | None = None

    def to(self, device: torch.device | str) -> Self:
        """The same batch on a device."""
        moved: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            moved[field.name] = None if value is None else value.to(device, non_blocking=True)
        return type(self)(**moved)

    def without_studies(self) -> Self:
        """A batch of no studies, in the same types."""
        none: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            none[field.name] = None if value is None else value[:0]
        return type(self)(**none)


class BatchBuilder:
    """Builds batches of a prepared data set for given studies and epoch."""

    def __init__(
        self,
        dataset: PreparedDataset,
        processor: KIAProcessor,
        data: DataConfig,
        tasks: TasksConfig,
        *,
        patch_size: int,
        max_tokens: int,
        seed: int,
    ) -> None:
        self.dataset = dataset
        self.processor = processor
        self.data = data
        self.tasks = tasks
        self.grid = processor.image_size // patch_size
        self.max_tokens = max_tokens
        self.seed = seed
        self._lengths: NDArray[np.int64] | None = None
        self.masker = TextMasker(processor, tasks.mlm, seed)

    def build(
        self,
        studies: NDArray[np.int64],
        epoch: int,
        *,
        augment: bool,
        joint: bool = True,
        views: int | None = None,
    ) -> Batch:
        """The batch of these studies in this epoch; the same arguments give the same batch.

        Args:
            studies: (B,) numbers in the data set.
            epoch: Counted over both stages; only masks and augmentation depend on it.
            augment: Shift, zoom and change brightness (never flip: sides matter).
            joint: False leaves out the masks of MIM and MLM.
            views: W; as many as these studies have if absent.
        """
        pixels, view_ids, view_mask = load_images(self.dataset, studies, views)
        if augment:
            pixels = self._augment(pixels, studies, epoch)
        pixel_values = self.processor.normalise(pixels)
        if view_mask is not None:
            pixel_values = pixel_values * view_mask[:, :, None, None, None]
        read = [self.dataset.study(int(study)) for study in studies]
        hidden = (
            self._hidden_patches(read, studies, epoch, view_ids, view_mask)
            if joint and self.tasks.mim.weight
            else {}
        )
        return Batch(
            studies=torch.from_numpy(studies),
            pixel_values=pixel_values,
            view_ids=view_ids,
            view_mask=view_mask,
            **hidden,
            **self._text(read, studies, epoch, joint),
        )

    def _augment(self, pixels: Tensor, studies: NDArray[np.int64], epoch: int) -> Tensor:
        """Random shift, zoom, brightness and contrast, drawn for each image."""
        count, width, size, _ = pixels.shape
        draws = uniforms(self.seed, epoch, studies, "augment", 5 * width)
        signed = torch.from_numpy(2 * draws - 1).float().reshape(count * width, 5)
        zoom = 1 + self.data.scale * signed[:, :1]
        centre = 2 * self.data.shift * signed[:, 1:3]
        # -1 and 1 are the image's borders; torch's affine_grid takes a product for each pixel
        middles = (2 * torch.arange(size) + 1) / size - 1
        grid = torch.empty(count * width, size, size, 2)
        grid[..., 0] = (middles * zoom + centre[:, :1])[:, None, :]
        grid[..., 1] = (middles * zoom + centre[:, 1:])[:, :, None]
        images = pixels.reshape(count * width, 1, size, size).float()
        images = grid_sample(images, grid, padding_mode="border", align_corners=False)
        contrast = 1 + self.data.contrast * signed[:, 3, None, None, None]
        brightness = 255 * self.data.brightness * signed[:, 4, None, None, None]
        images.sub_(128).mul_(contrast).add_(128 + brightness)
        return images.clamp_(0, 255).reshape(count, width, size, size)

    def _hidden_patches(
        self,
        studies: Sequence[Study],
        numbers: NDArray[np.int64],
        epoch: int,
        view_ids: Tensor,
        view_mask: Tensor | None,
    ) -> dict[str, Any]:
        mim = self.tasks.mim
        shape = (*view_ids.shape, self.grid**2)
        draws = uniforms(self.seed, epoch, numbers, "mim", shape[1] * shape[2]).reshape(shape)
        if mim.masking == "anatomy":
            key = [
                study_key_patches(study.landmarks or (), [VIEWS[view] for view in views], self.grid)
                for study, views in zip(studies, view_ids.tolist(), strict=True)
            ]
            hidden = anatomy_image_mask(draws, np.stack(key), p_key=mim.p_key, p_total=mim.p_total)
        else:
            hidden = general_image_mask(draws, mim.p_total)
        if view_mask is not None:
            hidden &= view_mask.numpy()[:, :, None]
        return {
            "image_mask": torch.from_numpy(hidden),
            "hidden_patches": torch.from_numpy(np.flatnonzero(hidden)),
        }

    def _text(
        self, studies: Sequence[Study], numbers: NDArray[np.int64], epoch: int, joint: bool
    ) -> dict[str, Any]:
        reports = [study.report for study in studies]
        encoded = self.processor.encode_spans(
            reports, max_words=self.data.max_words, max_tokens=self.max_tokens - 2
        )
        ids, real = token_rows(self.processor, [report.ids for report in encoded])
        follows = real[:, 1:].copy()
        cut = np.array([not report.whole for report in encoded])
        follows[cut, real[cut].sum(1) - 2] = False  # no [SEP] where a report does not end
        follows[[not study.has_report for study in studies]] = False
        ahead = np.pad(follows, ((0, 0), (0, 1)))
        text: dict[str, Any] = {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(real),
            "next_positions": torch.from_numpy(np.flatnonzero(ahead)),
            "next_targets": torch.from_numpy(ids[:, 1:][follows]),
            "report_ids": torch.from_numpy(report_numbers(reports)),
        }
        if not joint or not self.tasks.mlm.weight:
            return text
        masked = self.masker.rows(studies, numbers, encoded, epoch)
        return text | {
            "masked_input_ids": torch.from_numpy(masked.input_ids),
            "masked_attention_mask": torch.from_numpy(masked.real),
            "masked_positions": torch.from_numpy(np.flatnonzero(masked.chosen)),
            "masked_targets": torch.from_numpy(masked.originals[masked.chosen]),
        }

    def lengths(self, studies: NDArray[np.int64]) -> NDArray[np.int64]:
        """Words of the studies' reports, as far as the model reads them."""
        if self._lengths is None:
            words = [len(report.split()) for report in self.dataset.reports()]
            self._lengths = np.minimum(np.array(words, np.int64), self.data.max_words)
        return self._lengths[studies]


class EpochBatches(Dataset[Batch]):
    """The batches of one epoch in its own order, for a torch DataLoader."""

    def __init__(
        self,
        builder: BatchBuilder,
        studies: NDArray[np.int64],
        *,
        batch_size: int,
        epoch: int,
        first: int = 0,
        train: bool = True,
        joint: bool = True,
        rehearse_every: int | None = None,
    ) -> None:
        """Cuts `studies` into batches.

        Args:
            builder: Of the data set.
            studies: (n,) numbers in the data set, ascending.
            batch_size: Studies a batch; the last may be smaller.
            epoch: Decides order, masks and augmentation.
            first: Batches to leave out at the start (already trained on before a restart).
            train: Shuffle and augment.
            joint: Whether the batches are for all tasks, so that MIM and MLM have their masks.
            rehearse_every: If not `joint`: every so many batches, from the first of the epoch on,
                one is.
        """
        self.builder, self.epoch, self.train = builder, epoch, train
        self.joint, self.first, self.rehearse_every = joint, first, rehearse_every
        shares = source_shares(builder.dataset, studies) if train else []
        if train and shares:
            batches = mixed_batches(shares, builder.lengths, batch_size, (builder.seed, epoch))
        elif train:
            batches = shuffled_batches(
                studies, builder.lengths(studies), batch_size, (builder.seed, epoch)
            )
        else:
            batches = [studies[i : i + batch_size] for i in range(0, len(studies), batch_size)]
        self.batches = batches[first:]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> Batch:
        """The batch with this number, counted from `first`."""
        return self.build(number, self.batches[number])

    def is_joint(self, number: int) -> bool:
        """Whether the batch with this number, counted from `first`, is for all tasks."""
        rehearsed = self.rehearse_every and (self.first + number) % self.rehearse_every == 0
        return self.joint or bool(rehearsed)

    def build(self, number: int, studies: NDArray[np.int64], views: int | None = None) -> Batch:
        """Studies of the batch with this number; see `BatchBuilder.build`."""
        return self.builder.build(
            studies, self.epoch, augment=self.train, joint=self.is_joint(number), views=views
        )


def shuffled_batches(
    studies: NDArray[np.int64], lengths: NDArray[np.int64], size: int, seed: tuple[int, int]
) -> list[NDArray[np.int64]]:
    """Batches in random order of studies with reports of similar length, so that padding is cheap.

    Studies are shuffled, sorted by length within windows of 8 batches, cut, and the batches
    shuffled; every study comes once.

    Args:
        studies: (n,) numbers in the data set.
        lengths: (n,) words of their reports.
        size: Studies a batch; one batch is smaller if n does not divide.
        seed: Of this order.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(studies))
    window = np.arange(len(order)) // (8 * size)
    order = order[np.lexsort((lengths[order], window))]
    batches = [studies[order[i : i + size]] for i in range(0, len(order), size)]
    return [batches[i] for i in random.permutation(len(batches))]


def mixed_batches(
    sources: Sequence[tuple[NDArray[np.int64], int]],
    lengths: Callable[[NDArray[np.int64]], NDArray[np.int64]],
    size: int,
    seed: tuple[int, int],
) -> list[NDArray[np.int64]]:
    """Batches that hold studies of several sources in the ratio of their shares.

    An epoch goes once through the first source that has studies. Of the others it takes as many
    as the ratio says, in an order of their own: a source with fewer begins again, and one with
    more goes on in the next epoch, where it stopped.

    Args:
        sources: Studies of each, and its share.
        lengths: Words of the reports of studies.
        size: Studies a batch; the last may have fewer, in the same ratio.
        seed: Of the run, and the epoch.

    Returns:
        Studies of the first source come first in each batch, then those of the others.
    """
    present = [(studies, share) for studies, share in sources if len(studies)]
    quotas = _quotas([share for _, share in present], size)
    if 0 in quotas:
        raise ConfigError(
            f"a batch of {size} studies has no place for each of {len(quotas)} sources in their "
            "ratio: make train.batch_size larger, or mix them anew with --ratio"
        )
    first = shuffled_batches(present[0][0], lengths(present[0][0]), quotas[0], seed)
    batches = [[batch] for batch in first]
    for place, ((studies, _), quota) in enumerate(
        zip(present[1:], quotas[1:], strict=True), start=1
    ):
        need = [round(quota * len(batch) / quotas[0]) for batch in first]
        taken = _endless(studies, sum(need), (*seed, place))
        for batch, part in zip(batches, np.split(taken, np.cumsum(need)[:-1]), strict=True):
            batch.append(part)
    return [np.concatenate(batch) for batch in batches]


def _quotas(shares: Sequence[int], size: int) -> list[int]:
    """Whole numbers in the ratio of shares that sum to size, by largest remainders."""
    exact = [size * share / sum(shares) for share in shares]
    quotas = [int(one) for one in exact]
    by_rest = sorted(range(len(shares)), key=lambda n: (quotas[n] - exact[n], n))
    for number in by_rest[: size - sum(quotas)]:
        quotas[number] += 1
    return quotas


def _endless(
    studies: NDArray[np.int64], count: int, seed: tuple[int, int, int]
) -> NDArray[np.int64]:
    """The studies that a source gives in an epoch, of its rounds one after another."""
    run, epoch, place = seed
    start = epoch * count
    rounds = range(start // len(studies), (start + count - 1) // len(studies) + 1)
    order = [
        studies[np.random.default_rng((run, place, number)).permutation(len(studies))]
        for number in rounds
    ]
    begin = start - rounds.start * len(studies)
    return np.concatenate([*order, studies[:0]])[begin : begin + count]


def load_images(
    dataset: PreparedDataset, studies: NDArray[np.int64], width: int | None = None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Images of studies as they lie in the data set; W is `width`, or as small as they allow.

    Returns:
        Grey values (B, W, S, S) as uint8, view numbers (B, W), and (B, W) True where a view
        exists, or None if all do.
    """
    views = [dataset.views(int(study)) for study in studies]
    width = width or max(len(names) for names in views)
    size = dataset.image_size
    pixels = np.zeros((len(studies), width, size, size), np.uint8)
    view_ids = np.zeros((len(studies), width), np.int64)
    exists = np.zeros((len(studies), width), bool)
    for row, (study, names) in enumerate(zip(studies, views, strict=True)):
        dataset.read_pixels(int(study), pixels[row])
        view_ids[row, : len(names)] = [VIEWS.index(name) for name in names]
        exists[row, : len(names)] = True
    mask = None if exists.all() else torch.from_numpy(exists)
    return torch.from_numpy(pixels), torch.from_numpy(view_ids), mask


def report_numbers(reports: Sequence[str]) -> NDArray[np.int64]:
    """A 63-bit number for each report, equal for equal words whatever the spacing and case.

    −1 for an empty one: no report is not equal to no report.
    """
    texts = [" ".join(report.lower().split()) for report in reports]
    digests = (hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    numbers = [int.from_bytes(d, "little") >> 1 for d in digests]
    return np.array([n if text else -1 for n, text in zip(numbers, texts, strict=True)], np.int64)
