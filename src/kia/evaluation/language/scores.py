"""Language metrics of generated reports under four named protocols.

``r2gen``       what the tables of the field print: both sides cleaned, references mapped
                through the training vocabulary and cut
``r2gen-full``  both sides cleaned, references whole
``coco``        Penn Treebank tokens of the raw text, without punctuation
``rexrank``     words at spaces; BLEU-2 alone, the mean over studies (`rexrank.py`)

All have the numbers of pycocoevalcap, METEOR and the tokens those of its jars, without Java. What
cannot be computed is None and has a reason; it is never replaced by something else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from kia.errors import DataError, UsageError, require
from kia.evaluation.language.meteor.score import Meteor
from kia.evaluation.language.ngrams import CiderReferences, Grams, bleu_rows, rouge_l
from kia.evaluation.language.protocols import (
    DatasetStyle,
    build_vocabulary,
    clean_report,
    map_reference,
)
from kia.evaluation.language.ptb.tokens import PTBTokenizer
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
    """Scores any number of report sets against the same references.

    It remembers the texts and pairs that it has met, until the end of its ``with`` block.

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
        self._prepared: dict[tuple[str, str], str] = {}
        self._grams = Grams()
        self._cider: dict[str, CiderReferences] = {}
        self._meteor: Meteor | None = None

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
        """Forget what METEOR remembers."""
        self._meteor = None

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
        """Score several sets of reports, METEOR of all of them together.

        Args:
            sets: Name → raw reports in the order of the references.
            protocols: Some of `PROTOCOLS`.

        Returns:
            Name → protocol → scores.
        """
        scores: dict[str, dict[str, LanguageScores]] = {name: {} for name in sets}
        known: dict[tuple[str, ...], str] = {}
        waiting: list[tuple[LanguageScores, list[str], list[str]]] = []
        for name, hyps in sets.items():
            if len(hyps) != len(self.refs):
                raise DataError(f"{len(hyps)} reports for {len(self.refs)} references")
            if tuple(hyps) in known:  # two baselines may be the same report
                scores[name] = scores[known[tuple(hyps)]]
                continue
            known[tuple(hyps)] = name
            for protocol in protocols:
                scores[name][protocol] = self._score_set(hyps, protocol, waiting)
        if "meteor" in self.metrics:
            self._add_meteor(waiting)
        return scores

    def _score_set(
        self,
        hyps: Sequence[str],
        protocol: str,
        waiting: list[tuple[LanguageScores, list[str], list[str]]],
    ) -> LanguageScores:
        """One protocol; METEOR's part is added to what is waited for."""
        if protocol == "rexrank":
            result = LanguageScores(protocol, {"bleu_2": None}, {}, {})
            if "bleu_2" in self.metrics:
                self._add_mean(result, "bleu_2", rexrank_bleu_2(hyps, self.refs))
            return result
        try:
            hyp_tokens, ref_tokens = self._prepare(hyps, protocol)
        except DataError as error:
            return self._nothing(protocol, str(error))
        result = LanguageScores(protocol, dict.fromkeys(METRICS), {}, {})
        waiting.append((result, hyp_tokens, ref_tokens))
        self._add_ngrams(result, hyp_tokens, ref_tokens)
        return result

    def _prepare(self, hyps: Sequence[str], protocol: str) -> tuple[list[str], list[str]]:
        if protocol not in PROTOCOLS:
            raise UsageError(f"unknown protocol {protocol!r}: choose from {', '.join(PROTOCOLS)}")
        if protocol == "coco":
            return self.tokenize(hyps), self.tokenize(self.refs)
        cleaned = [self._once("cleaned", hyp) for hyp in hyps]
        if protocol == "r2gen-full":
            return cleaned, [self._once("cleaned", ref) for ref in self.refs]
        if self._vocabulary is None:
            raise UsageError(NO_TRAINING_REPORTS)
        return cleaned, [self._once("mapped", ref) for ref in self.refs]

    def _once(self, how: str, text: str) -> str:
        """A text cleaned, or mapped through the vocabulary; baselines and sets repeat texts."""
        if (known := self._prepared.get((how, text))) is None:
            if how == "mapped" and self._vocabulary is not None:
                known = map_reference(text, self._vocabulary, self.dataset)
            else:
                known = " ".join(clean_report(text, self.dataset).split())
            self._prepared[how, text] = known
        return known

    def _nothing(self, protocol: str, reason: str) -> LanguageScores:
        values: dict[str, float | None] = dict.fromkeys(METRICS)
        return LanguageScores(protocol, values, dict.fromkeys(sorted(self.metrics), reason), {})

    def _add_ngrams(self, scores: LanguageScores, hyps: list[str], refs: list[str]) -> None:
        """BLEU, ROUGE-L and CIDEr of white-space tokens."""
        if wanted := [m for m in METRICS if m.startswith("bleu") and m in self.metrics]:
            rows = scores.statistics["bleu"] = bleu_rows(hyps, refs, self._grams)
            bleu = bleu_from_sums(rows.sum(axis=0, keepdims=True))[0]
            scores.values.update({name: float(bleu[int(name[-1]) - 1]) for name in wanted})
        if "rouge_l" in self.metrics:
            self._add_mean(scores, "rouge_l", rouge_l(hyps, refs))
        if "cider" in self.metrics:
            if scores.protocol not in self._cider:
                self._cider[scores.protocol] = CiderReferences(refs, self._grams)
            self._add_mean(scores, "cider", self._cider[scores.protocol].score(hyps))

    @staticmethod
    def _add_mean(scores: LanguageScores, name: str, per_study: np.ndarray) -> None:
        scores.values[name] = float(per_study.mean())
        scores.statistics[name] = per_study[:, None]

    def _add_meteor(self, waiting: list[tuple[LanguageScores, list[str], list[str]]]) -> None:
        try:
            meteor = self._meteor = self._meteor or Meteor()
        except DataError as error:
            for result, _, _ in waiting:
                result.reasons["meteor"] = str(error)
            return
        everything = [pair for _, hyps, refs in waiting for pair in zip(hyps, refs, strict=True)]
        meteor.prepare(everything)
        for result, hyps, refs in waiting:
            found = meteor.score(hyps, refs)
            result.values["meteor"] = found.corpus
            result.statistics["meteor"] = found.statistics


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
        metrics: Some of `METRICS`.

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
    """CIDEr of the ``r2gen`` protocol: quick, for validation during training.

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
