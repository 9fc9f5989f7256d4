"""Language metrics of generated reports under four named protocols.

``r2gen``       what the tables of the field print: both sides cleaned, references mapped
                through the training vocabulary and cut
``r2gen-full``  both sides cleaned, references whole
``coco``        Penn Treebank tokens of the raw text, without punctuation
``rexrank``     words at spaces; BLEU-2 alone, the mean over studies (`rexrank.py`)

BLEU, ROUGE-L and CIDEr have the numbers of pycocoevalcap, and METEOR is its jar. What cannot be
computed is None and has a reason; it is never replaced by something else.
"""

import contextlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from kia.errors import DataError, UsageError, require
from kia.evaluation.language.java import JavaUnavailable, MeteorScores, PTBTokenizer
from kia.evaluation.language.meteor_pool import MeteorPool
from kia.evaluation.language.ngrams import CiderReferences, bleu_rows, rouge_l
from kia.evaluation.language.protocols import (
    DatasetStyle,
    build_vocabulary,
    clean_report,
    map_reference,
)
from kia.evaluation.language.rexrank import rexrank_bleu_2
from kia.evaluation.statistics.intervals import bleu_from_sums

__all__ = [
    "METRICS",
    "PROTOCOLS",
    "LanguageScorer",
    "LanguageScores",
    "cider",
    "clean_report",
    "score",
]

PROTOCOLS = ("r2gen", "r2gen-full", "coco", "rexrank")
"""Names of the protocols, in the order in which they are printed."""

METRICS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "meteor", "rouge_l", "cider")
"""Keys of a result, in the order in which they are printed; ``rexrank`` has BLEU-2 alone."""

NO_TRAINING_REPORTS = "r2gen needs the training reports: its vocabulary is made from them"


@dataclass(frozen=True, slots=True)
class LanguageScores:
    """The metrics of one set of reports under one protocol.

    Attributes:
        protocol: One of `PROTOCOLS`.
        values: Metric → value, None where it was not computed.
        reasons: Metric → why it was not computed.
        statistics: Metric family ("bleu", "meteor", "rouge_l", "cider") → what resampling needs,
            a row a study: BLEU (n, 10) as reference length, report length, 4 match counts and
            4 n-gram counts; METEOR (n, 23); ROUGE-L, CIDEr and "bleu_2" of ``rexrank`` (n, 1).
    """

    protocol: str
    values: dict[str, float | None]
    reasons: dict[str, str]
    statistics: dict[str, np.ndarray]


class LanguageScorer:
    """Scores any number of report sets against the same references, with one METEOR process.

    Use it in a ``with`` block, so that METEOR ends with it.

    Args:
        refs: Raw reference reports.
        train_reports: Raw training reports, for the vocabulary of ``r2gen``; None if unknown.
        dataset: Cleaning, vocabulary and cut of "iu" or "mimic".
        metrics: What to compute; the rest stays None.

    Raises:
        DataError: There is no reference.
        UsageError: A metric is unknown.
        MissingDependency: pycocoevalcap is not installed.
    """

    def __init__(
        self,
        refs: Sequence[str],
        train_reports: Sequence[str] | None = None,
        *,
        dataset: DatasetStyle = "iu",
        metrics: Sequence[str] = METRICS,
    ) -> None:
        if not refs:
            raise DataError("there is no report to score")
        if unknown := sorted(set(metrics) - set(METRICS)):
            raise UsageError(f"unknown metric {unknown[0]!r}: choose from {', '.join(METRICS)}")
        require("pycocoevalcap", "evaluation", "scoring reports")
        self.refs = list(refs)
        self.dataset = dataset
        self.metrics = frozenset(metrics)
        self.tokenize = PTBTokenizer()
        self._vocabulary = build_vocabulary(train_reports, dataset) if train_reports else None
        self._cider: dict[str, CiderReferences] = {}
        self._meteor: MeteorPool | None = None
        self._no_meteor = ""
        if "meteor" in self.metrics:
            try:
                self._meteor = MeteorPool(len(refs))
            except JavaUnavailable as error:
                self._no_meteor = str(error)

    def __enter__(self) -> "LanguageScorer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End METEOR."""
        if self._meteor is not None:
            self._meteor.close()

    def score(self, hyps: Sequence[str], protocol: str) -> LanguageScores:
        """Score one set of raw reports, in the order of the references.

        Raises:
            DataError: There are not as many reports as references.
            UsageError: The protocol is unknown.
        """
        return self.score_sets({"": hyps}, (protocol,))[""][protocol]

    def score_sets(
        self, sets: Mapping[str, Sequence[str]], protocols: Sequence[str] = PROTOCOLS
    ) -> dict[str, dict[str, LanguageScores]]:
        """Score several sets of reports; everything else is done while METEOR loads.

        Args:
            sets: Name → raw reports in the order of the references.
            protocols: Some of `PROTOCOLS`.

        Returns:
            Name → protocol → scores.
        """
        scores: dict[str, dict[str, LanguageScores]] = {name: {} for name in sets}
        known: dict[tuple[str, ...], str] = {}
        if "coco" in protocols:
            self._tokenize_at_once(sets)
        waiting: list[tuple[LanguageScores, Future[MeteorScores]]] = []
        try:
            for turn, (name, hyps) in enumerate(sets.items()):
                if len(hyps) != len(self.refs):
                    raise DataError(f"{len(hyps)} reports for {len(self.refs)} references")
                if tuple(hyps) in known:  # two baselines may be the same report
                    scores[name] = scores[known[tuple(hyps)]]
                    continue
                known[tuple(hyps)] = name
                for protocol in protocols:
                    scores[name][protocol] = self._score_set(hyps, protocol, turn, waiting)
            for result, future in waiting:
                self._add_meteor(result, future)
        except BaseException:
            self.close()  # METEOR's threads would wait on
            raise
        return scores

    def _score_set(
        self,
        hyps: Sequence[str],
        protocol: str,
        turn: int,
        waiting: list[tuple[LanguageScores, Future[MeteorScores]]],
    ) -> LanguageScores:
        """One protocol; METEOR's part is added to what is waited for."""
        if protocol == "rexrank":
            result = LanguageScores(protocol, {"bleu_2": None}, {}, {})
            if "bleu_2" in self.metrics:
                self._add_mean(result, "bleu_2", rexrank_bleu_2(hyps, self.refs))
            return result
        try:
            hyp_tokens, ref_tokens = self._prepare(hyps, protocol)
        except JavaUnavailable as error:
            return self._nothing(protocol, str(error))
        result = LanguageScores(protocol, dict.fromkeys(METRICS), {}, {})
        if self._meteor is not None:
            waiting.append((result, self._meteor.submit(turn, hyp_tokens, ref_tokens)))
        elif "meteor" in self.metrics:
            result.reasons["meteor"] = self._no_meteor
        self._add_ngrams(result, hyp_tokens, ref_tokens)
        return result

    def _tokenize_at_once(self, sets: Mapping[str, Sequence[str]]) -> None:
        with contextlib.suppress(JavaUnavailable):  # each set then reports it
            self.tokenize.add([*self.refs, *(hyp for hyps in sets.values() for hyp in hyps)])

    def _prepare(self, hyps: Sequence[str], protocol: str) -> tuple[list[str], list[str]]:
        if protocol == "coco":
            tokens = self.tokenize([*hyps, *self.refs])
            return tokens[: len(hyps)], tokens[len(hyps) :]
        if protocol not in PROTOCOLS:
            raise UsageError(f"unknown protocol {protocol!r}: choose from {', '.join(PROTOCOLS)}")
        cleaned = [" ".join(clean_report(hyp, self.dataset).split()) for hyp in hyps]
        if protocol == "r2gen-full":
            return cleaned, [" ".join(clean_report(r, self.dataset).split()) for r in self.refs]
        if self._vocabulary is None:
            raise UsageError(NO_TRAINING_REPORTS)
        return cleaned, [map_reference(r, self._vocabulary, self.dataset) for r in self.refs]

    def _nothing(self, protocol: str, reason: str) -> LanguageScores:
        values: dict[str, float | None] = dict.fromkeys(METRICS)
        return LanguageScores(protocol, values, dict.fromkeys(sorted(self.metrics), reason), {})

    def _add_ngrams(self, scores: LanguageScores, hyps: list[str], refs: list[str]) -> None:
        """BLEU, ROUGE-L and CIDEr of white-space tokens."""
        if wanted := [m for m in METRICS if m.startswith("bleu") and m in self.metrics]:
            rows = scores.statistics["bleu"] = bleu_rows(hyps, refs)
            bleu = bleu_from_sums(rows.sum(axis=0, keepdims=True))[0]
            scores.values.update({name: float(bleu[int(name[-1]) - 1]) for name in wanted})
        if "rouge_l" in self.metrics:
            self._add_mean(scores, "rouge_l", rouge_l(hyps, refs))
        if "cider" in self.metrics:
            if scores.protocol not in self._cider:
                self._cider[scores.protocol] = CiderReferences(refs)
            self._add_mean(scores, "cider", self._cider[scores.protocol].score(hyps))

    @staticmethod
    def _add_mean(scores: LanguageScores, name: str, per_study: np.ndarray) -> None:
        scores.values[name] = float(per_study.mean())
        scores.statistics[name] = per_study[:, None]

    @staticmethod
    def _add_meteor(scores: LanguageScores, future: Future[MeteorScores]) -> None:
        try:
            meteor = future.result()
        except JavaUnavailable as error:
            scores.reasons["meteor"] = str(error)
            return
        scores.values["meteor"] = meteor.corpus
        scores.statistics["meteor"] = meteor.statistics


def score(
    hyps: Sequence[str],
    refs: Sequence[str],
    *,
    protocol: str,
    train_reports: Sequence[str] | None = None,
    dataset: DatasetStyle = "iu",
    metrics: Sequence[str] = METRICS,
) -> dict[str, float | None]:
    """Score one set of raw reports under one protocol.

    Args:
        hyps: Generated reports.
        refs: Reference reports, same length and order.
        protocol: One of `PROTOCOLS`.
        train_reports: Reports of the training split; only "r2gen" needs them.
        dataset: "iu" or "mimic".
        metrics: Some of `METRICS`; without "meteor" the two r2gen protocols need no Java.

    Returns:
        Every name of `METRICS` (with "rexrank" BLEU-2 alone) → its value, or None where it was not
        asked for or not computed.
    """
    train = train_reports if protocol == "r2gen" else None
    with LanguageScorer(refs, train, dataset=dataset, metrics=metrics) as scorer:
        return scorer.score(hyps, protocol).values


def cider(
    hyps: Sequence[str],
    refs: Sequence[str],
    train_reports: Sequence[str],
    dataset: DatasetStyle = "iu",
) -> float:
    """CIDEr of the ``r2gen`` protocol: quick and without Java, for validation during training.

    Args:
        hyps: Generated reports.
        refs: Reference reports, same length and order.
        train_reports: Reports of the training split.
        dataset: "iu" or "mimic".
    """
    values = score(
        hyps, refs, protocol="r2gen", train_reports=train_reports, dataset=dataset,
        metrics=("cider",),
    )  # fmt: skip
    return float(values["cider"] or 0.0)
