"""The rows that MLM reads: masked reports, or masked label reports (Paper: Sec. 3.2, Fig. 4).

Shape letters: B studies, T tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kia.config import MaskedLanguageConfig
from kia.data.counted import uniforms
from kia.knowledge.chexpert import OBSERVATIONS, label_report
from kia.knowledge.masks.text import general_text_mask, graph_text_mask, piece_sides
from kia.knowledge.radgraph import ReportGraph
from kia.processing import SPECIAL_TOKENS, EncodedReport, KIAProcessor
from kia.spacing import JOINED, SPACED
from kia.studies import Study


@dataclass(frozen=True)
class MaskedRows:
    """Rows [CLS] … [SEP] with hidden words.

    Attributes:
        input_ids: (B, T) what the model reads.
        real: (B, T) True on tokens, False on padding.
        chosen: (B, T) True where the original is to be predicted.
        originals: (B, T) the row before anything was hidden.
    """

    input_ids: NDArray[np.int64]
    real: NDArray[np.bool_]
    chosen: NDArray[np.bool_]
    originals: NDArray[np.int64]


class TextMasker:
    """Hides words of studies' reports as the configuration says."""

    def __init__(self, processor: KIAProcessor, config: MaskedLanguageConfig, seed: int) -> None:
        self.processor, self.config, self.seed = processor, config, seed
        self.special = np.array(
            [processor.token_id(t) for t in (*SPECIAL_TOKENS, JOINED, SPACED)], np.int64
        )
        every = np.arange(processor.vocab_size, dtype=np.int64)
        self.ordinary = every[~np.isin(every, self.special)]
        self.mask_id = processor.token_id("[MASK]")
        self.states = np.array([processor.token_id("present"), processor.token_id("absent")])

    def rows(
        self,
        studies: Sequence[Study],
        numbers: NDArray[np.int64],
        encoded: Sequence[EncodedReport],
        epoch: int,
    ) -> MaskedRows:
        """The masked rows of a batch.

        Args:
            studies: B studies.
            numbers: (B,) their numbers in the data set.
            encoded: Their reports as word pieces.
            epoch: Counted over both stages.
        """
        labelled = self._reads_labels(studies, numbers, epoch)
        label_texts = [
            label_report(study.labels or {}, self.config.uncertain_as)
            for study, yes in zip(studies, labelled, strict=True)
            if yes
        ]
        pieces = iter(self.processor.encode(label_texts, max_words=10**6, max_tokens=10**6))
        ids, real = token_rows(
            self.processor,
            [
                next(pieces) if yes else report.ids
                for report, yes in zip(encoded, labelled, strict=True)
            ],
        )
        maskable = real & ~np.isin(ids, self.special)
        report = maskable & ~labelled[:, None]
        masked, chosen = self._mask_reports(ids, report, studies, numbers, encoded, epoch)
        states = maskable & labelled[:, None] & np.isin(ids, self.states)
        masked = np.where(states, self.mask_id, masked)
        skipped = self._skipped(studies)
        if skipped.any():
            order = np.cumsum(states, axis=1) - 1  # the k-th state is that of observation k
            states &= ~np.take_along_axis(skipped, order.clip(0, len(OBSERVATIONS) - 1), axis=1)
        return MaskedRows(masked, real, chosen | states, ids)

    def _skipped(self, studies: Sequence[Study]) -> NDArray[np.bool_]:
        """(B, 14) True where the label report's word is not asked for, though it is hidden.

        What a report does not mention is absent; what nobody annotated is not.
        """
        unsure = -1 if self.config.uncertain_as == "skip" else None
        return np.array(
            [
                [
                    state == unsure if state is not None else not study.has_report
                    for state in map((study.labels or {}).get, OBSERVATIONS)
                ]
                for study in studies
            ]
        )

    def _reads_labels(
        self, studies: Sequence[Study], numbers: NDArray[np.int64], epoch: int
    ) -> NDArray[np.bool_]:
        """(B,) True where the row is the label report; a study without labels has none."""
        known = np.array([study.labels is not None for study in studies])
        if self.config.masking == "label":
            return known
        if self.config.masking == "graph+label":
            coin = uniforms(self.seed, epoch, numbers, "graph or label", 1)[:, 0]
            bare = np.array([not study.has_report for study in studies])
            return known & ((coin < 0.5) | bare)
        return np.zeros(len(studies), bool)

    def _mask_reports(
        self,
        ids: NDArray[np.int64],
        maskable: NDArray[np.bool_],
        studies: Sequence[Study],
        numbers: NDArray[np.int64],
        encoded: Sequence[EncodedReport],
        epoch: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        draws = uniforms(self.seed, epoch, numbers, "mlm", 3 * ids.shape[1])
        # token by token, so that the padding of a batch does not shift them
        draws = draws.reshape(len(ids), -1, 3).transpose(2, 0, 1)
        if "graph" not in self.config.masking:
            return general_text_mask(
                ids,
                maskable,
                draws,
                p_mask=self.config.p_mask,
                mask_id=self.mask_id,
                ordinary_ids=self.ordinary,
            )
        sides, sentences = np.zeros(ids.shape, np.int8), np.zeros(ids.shape, np.int64)
        for row, (study, report) in enumerate(zip(studies, encoded, strict=True)):
            if study.graph is None or not maskable[row].any():
                continue
            graph = ReportGraph.from_record(dict(study.graph), study.id)
            after = slice(1, 1 + len(report.ids))  # [CLS] comes first
            sides[row, after], sentences[row, after] = piece_sides(graph, report.text, report.spans)
        return graph_text_mask(
            ids,
            maskable,
            sides,
            sentences,
            uniforms(self.seed, epoch, numbers, "mlm side", int(sentences.max(initial=0)) + 1),
            draws,
            p_mask=self.config.p_mask,
            mask_id=self.mask_id,
            ordinary_ids=self.ordinary,
        )


def token_rows(
    processor: KIAProcessor, encoded: Sequence[Sequence[int]]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Rows [CLS] … [SEP] padded to the longest: ids (B, T), and True on tokens (B, T)."""
    first, last = processor.token_id("[CLS]"), processor.token_id("[SEP]")
    rows = [[first, *ids, last] for ids in encoded]
    longest = max(len(row) for row in rows)
    ids = np.full((len(rows), longest), processor.token_id("[PAD]"), np.int64)
    real = np.arange(longest) < np.array([len(row) for row in rows])[:, None]
    ids[real] = np.concatenate(rows)
    return ids, real
