"""What scores can reach at most: the references themselves, as a model can write them.

A tokenizer that does not give back what it was given lowers every score of every model that uses
it, however right the model is.
"""

from collections.abc import Sequence
from typing import Any

from kia.evaluation.language.protocols import DatasetStyle
from kia.evaluation.language.scores import METRICS, PROTOCOLS, LanguageScorer
from kia.processing import KIAProcessor

MOST_WORDS = 10_000
"""Of a reference; more than any has."""


def ceilings(
    processor: KIAProcessor,
    references: Sequence[str],
    train_reports: Sequence[str] | None = None,
    *,
    dataset: DatasetStyle = "iu",
    **options: Any,
) -> dict[str, dict[str, dict[str, float | None]]]:
    """Scores of the references against themselves, changed as little as a model must change them.

    Args:
        processor: Of the model; its tokenizer is what is measured.
        references: Raw reports.
        train_reports: For the protocol `r2gen`; None if they are not known.
        dataset: "iu" or "mimic".
        options: Of `LanguageScorer`.

    Returns:
        "lower_case" (the references, lower-cased), "tokenizer" (as word pieces and back) and
        "without_last_full_stop" (lower-cased, less their last full stop) → protocol → metric →
        score, None where it cannot be computed.
    """
    lower = [" ".join(text.lower().split()) for text in references]
    variants = {
        "lower_case": lower,
        "tokenizer": written_back(processor, references),
        "without_last_full_stop": [text.removesuffix(".") for text in lower],
    }
    with LanguageScorer(references, train_reports, dataset=dataset, **options) as scorer:
        known = [name for name in PROTOCOLS if train_reports or name != "r2gen"]
        return {
            name: {protocol: dict.fromkeys(METRICS) for protocol in PROTOCOLS}
            | {protocol: dict(scorer.score(texts, protocol).values) for protocol in known}
            for name, texts in variants.items()
        }


def written_back(processor: KIAProcessor, reports: Sequence[str]) -> list[str]:
    """Reports as their word pieces give them back, the best that a model could write."""
    rows = processor.encode(reports, max_words=MOST_WORDS, max_tokens=10 * MOST_WORDS)
    return processor.batch_decode(rows)
