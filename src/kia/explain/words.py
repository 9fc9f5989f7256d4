"""Masked words guessed with and without the image (Paper: App. C, Fig. 9b).

What the image is worth is the difference to the same row read with another study's image: both
rows show the model what training showed it. Without any image the text tower runs without its
cross-attention, as no task of training has it for masked words, so that a loss may come from there.
Shape letters: B studies, T tokens.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kia.config import MaskedLanguageConfig
from kia.data.batches.batch import report_numbers
from kia.data.batches.masked_text import TextMasker, token_rows
from kia.data.counted import uniforms
from kia.data.store.dataset import PreparedDataset
from kia.errors import DataError
from kia.evaluation.guesses import CONDITIONS, KINDS, Guesses
from kia.generation import dataset_inputs, image_features
from kia.knowledge.masks.text import ANATOMY, OBSERVATION, piece_sides
from kia.knowledge.radgraph import ReportGraph
from kia.models.kia import KIAModel
from kia.models.outputs import ImageFeatures
from kia.processing import EncodedReport, KIAProcessor
from kia.studies import Study
from kia.tasks.text_rows import TextRows, encode_rows


@dataclass(frozen=True)
class _Rows:
    """Rows [CLS] … [SEP] and what they hide: (B, T) each; kind is −1 where nothing is hidden."""

    ids: NDArray[np.int64]
    real: NDArray[np.bool_]
    originals: NDArray[np.int64]
    kind: NDArray[np.int64]


def guess_words(
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    studies: NDArray[np.int64],
    on_progress: Callable[[int], None] = lambda count: None,
    batch_size: int = 32,
) -> Guesses:
    """Hides words of studies and guesses them under each of CONDITIONS.

    Of every report all words of observations are hidden, then instead all of anatomy; and of the
    label report, if the study has labels and the model can hold it, every present and absent.
    Uncertain observations are left out. Another study is the next one, by a draw, of another
    report.

    Args:
        model: In evaluation mode, trained with MLM.
        processor: Of the same model.
        dataset: Prepared for the model's image size, with graphs.
        studies: (n,) numbers in the data set.
        on_progress: Told the number of studies finished with each batch.
        batch_size: Studies at a time.

    Raises:
        DataError: Every study has the same report, or no word is to be guessed.
    """
    others = other_studies(dataset, studies)
    masker = TextMasker(
        processor, MaskedLanguageConfig(masking="label", uncertain_as="skip"), seed=0
    )
    tokens = processor.spell(range(processor.vocab_size))
    continues = np.array([token.startswith("##") for token in tokens])
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]] = []
    words: dict[int, Counter[tuple[int, ...]]] = {kind: Counter() for kind in range(len(KINDS))}
    for start in range(0, len(studies), batch_size):
        chosen = studies[start : start + batch_size]
        own, other = (
            image_features(model, dataset_inputs(dataset, processor, each))
            for each in (chosen, others[start : start + batch_size])
        )
        read = [dataset.study(int(study)) for study in chosen]
        for rows in _masked_rows(processor, masker, read, chosen, model.config.max_tokens):
            right = _right_pieces(model, rows, own, other)
            row, kind, whole = _whole_words(rows, right, continues, words)
            parts.append((chosen[row], kind, whole))
        on_progress(len(chosen))
    if not sum(len(kind) for _, kind, _ in parts):
        raise DataError(f"{dataset.path}: these studies have neither entities nor labels to hide")
    study, kind, right = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Guesses(study, kind, right, _most_frequent(words))


def _most_frequent(words: Mapping[int, Counter[tuple[int, ...]]]) -> dict[str, float]:
    """Kind → share that one word for all would get right; the label report has two kinds."""
    groups = {0: words[0], 1: words[1], 2: words[2] + words[3], 3: words[2] + words[3]}
    found = {}
    for number, counts in words.items():
        if counts:
            word = groups[number].most_common(1)[0][0]
            found[KINDS[number]] = counts[word] / counts.total()
    return found


def other_studies(dataset: PreparedDataset, studies: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) for each study the next one whose report differs, in an order drawn once.

    Raises:
        DataError: All have the same report.
    """
    reports = report_numbers([dataset.study(int(study)).report for study in studies])
    if len(set(reports.tolist())) < 2:
        raise DataError(f"{dataset.path}: these studies all have the same report")
    order = np.argsort(uniforms(0, 0, studies, "another image", 1)[:, 0], kind="stable")
    found = np.empty_like(studies)
    for place, row in enumerate(order):
        step = next(
            step
            for step in range(1, len(order))
            if reports[order[(place + step) % len(order)]] != reports[row]
        )
        found[row] = studies[order[(place + step) % len(order)]]
    return found


def _masked_rows(
    processor: KIAProcessor,
    masker: TextMasker,
    studies: Sequence[Study],
    numbers: NDArray[np.int64],
    longest: int,
) -> Iterator[_Rows]:
    """Reports without their observations, without their anatomy, and label reports."""
    encoded = processor.encode_spans(
        [study.report for study in studies], max_words=longest, max_tokens=longest - 2
    )
    ids, real = token_rows(processor, [report.ids for report in encoded])
    sides = np.zeros(ids.shape, np.int8)
    for row, (study, report) in enumerate(zip(studies, encoded, strict=True)):
        if study.graph is not None and report.ids:
            graph = ReportGraph.from_record(dict(study.graph), study.id)
            sides[row, 1 : 1 + len(report.ids)], _ = piece_sides(graph, report.text, report.spans)
    for kind, side in enumerate((OBSERVATION, ANATOMY)):
        hidden = sides == side
        yield _Rows(np.where(hidden, masker.mask_id, ids), real, ids, np.where(hidden, kind, -1))
    empty = [EncodedReport("", [], []) for _ in studies]
    label = masker.rows(studies, numbers, empty, epoch=0)
    if label.input_ids.shape[1] <= longest:
        kind_of = np.where(label.originals == masker.states[0], 2, 3)
        known = np.array([study.labels is not None for study in studies])[:, None]
        kinds = np.where(label.chosen & known, kind_of, -1)
        yield _Rows(label.input_ids, label.real, label.originals, kinds)


def _right_pieces(
    model: KIAModel, rows: _Rows, own: ImageFeatures, other: ImageFeatures
) -> NDArray[np.bool_]:
    """(B, T, 3), whether each hidden piece is the likeliest, by CONDITIONS."""
    return _guessed_pieces(model, rows, own, other) == rows.originals[..., None]


@torch.no_grad()
def _guessed_pieces(
    model: KIAModel, rows: _Rows, own: ImageFeatures, other: ImageFeatures
) -> NDArray[np.int64]:
    """(B, T, 3), the likeliest word piece by CONDITIONS; −1 where nothing is hidden."""
    ids, real = (torch.from_numpy(part).to(model.device) for part in (rows.ids, rows.real))
    tower = model.text_cross_encoder
    text = {"mlm": TextRows(ids, real)}
    found: list[Tensor] = [encode_rows(model, image, text)["mlm"] for image in (own, other)]
    found.append(tower(ids, real[:, None, None, :]))
    hidden = torch.from_numpy(rows.kind >= 0).to(model.device)
    guessed = torch.full((*ids.shape, len(CONDITIONS)), -1, device=ids.device)
    for place, features in enumerate(found):
        guessed[..., place][hidden] = model.word_logits(features[hidden], tower).argmax(-1)
    return guessed.cpu().numpy()


def _whole_words(
    rows: _Rows,
    right: NDArray[np.bool_],
    continues: NDArray[np.bool_],
    words: Mapping[int, Counter[tuple[int, ...]]],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Row and kind (M,) of each hidden word, and whether all of its pieces are right (M, 3)."""
    row, column = np.nonzero(rows.kind >= 0)
    pieces = rows.originals[row, column]
    first = np.flatnonzero(~continues[pieces] | (np.diff(row, prepend=-1) != 0))
    whole = np.logical_and.reduceat(right[row, column], first) if len(first) else right[row, column]
    kind = rows.kind[row, column][first]
    for number, word in zip(kind.tolist(), np.split(pieces, first[1:]), strict=False):
        words[number][tuple(word.tolist())] += 1
    return row[first], kind, whole


@dataclass(frozen=True)
class GuessedText:
    """A text of a study with what was guessed for its hidden words.

    Attributes:
        hides: What is hidden: "observation words", "anatomy words" or "present, absent".
        words: Each word in lower case, and its guesses by CONDITIONS; None if it was not hidden.
    """

    hides: str
    words: list[tuple[str, tuple[str, ...] | None]]


def guessed_texts(
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    study: int,
    other: int,
) -> list[GuessedText]:
    """The texts that `guess_words` hides words of, for one study, to be shown.

    Args:
        model: In evaluation mode, trained with MLM.
        processor: Of the same model.
        dataset: Prepared for the model's image size, with graphs.
        study: Number in the data set.
        other: Number of the other study.
    """
    numbers = np.array([study, other])
    own, foreign = (
        image_features(model, dataset_inputs(dataset, processor, numbers[[row]])) for row in (0, 1)
    )
    config = MaskedLanguageConfig(masking="label", uncertain_as="skip")
    masker = TextMasker(processor, config, seed=0)
    read = [dataset.study(study)]
    names = (*KINDS[:2], ", ".join(KINDS[2:]))
    longest = model.config.max_tokens
    texts = []
    for hides, rows in zip(
        names, _masked_rows(processor, masker, read, numbers[:1], longest), strict=False
    ):
        guessed = _guessed_pieces(model, rows, own, foreign)[0]
        texts.append(GuessedText(hides, _shown_words(processor, rows, guessed)))
    return texts


def _shown_words(
    processor: KIAProcessor, rows: _Rows, guessed: NDArray[np.int64]
) -> list[tuple[str, tuple[str, ...] | None]]:
    """The words of one row without [CLS] and [SEP]; pieces of a word are joined."""
    last = int(rows.real[0].sum()) - 1
    words: list[tuple[str, tuple[str, ...] | None]] = []
    for place in range(1, last):
        hidden = bool(rows.kind[0, place] >= 0)
        piece = processor.spell([int(rows.originals[0, place])])[0]
        guesses = tuple(processor.spell(guessed[place].tolist())) if hidden else None
        if piece.startswith("##") and words and (words[-1][1] is None) != hidden:
            word, before = words.pop()
            piece = word + piece.removeprefix("##")
            if guesses and before:
                guesses = tuple(
                    a + b.removeprefix("##") for a, b in zip(before, guesses, strict=True)
                )
        words.append((piece, guesses))
    return words
