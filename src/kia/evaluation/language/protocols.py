"""Text conventions of the protocol that the field's tables use, copied with their quirks.

Source: the tokenizer of R2Gen (Chen et al., EMNLP 2020), ``modules/tokenizers.py``. These
functions are a protocol, not an opinion on how to clean a report.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

DatasetStyle = Literal["iu", "mimic"]

MIN_WORD_COUNT: dict[str, int] = {"iu": 3, "mimic": 10}
"""Words rarer than this in the training reports become ``<unk>``."""

MAX_REFERENCE_WORDS: dict[str, int] = {"iu": 59, "mimic": 99}
"""Words kept of a reference: 60 (IU) or 100 (MIMIC) ids less the start id."""

UNKNOWN = "<unk>"


def dataset_style(source: str | None) -> DatasetStyle:
    """By which variant the reports of a data set are cleaned, counted and cut.

    Args:
        source: What a prepared data set records of where it comes from ("MIMIC-CXR-JPG", "IU
            X-Ray", a manifest …); None where nobody knows.

    Returns:
        "mimic" for MIMIC-CXR; "iu", the field's default, for all others.
    """
    return "mimic" if (source or "").startswith("MIMIC-CXR") else "iu"


_QUOTES_AND_SLASHES = str.maketrans("", "", "\"/\\'")
# `:-\[` is a range (0x3A–0x5B): it also deletes `; < = > ? @` and A–Z. Kept as published.
_DELETED = re.compile(r"[.,?;*!%^&_+():-\[\]{}]")


def clean_report(text: str, dataset: DatasetStyle = "iu") -> str:
    """Clean a report the way R2Gen does before it scores.

    Source: R2Gen ``clean_report_iu_xray`` and ``clean_report_mimic_cxr``.

    Args:
        text: The raw report.
        dataset: The variant: "iu" (IU X-Ray) or "mimic" (MIMIC-CXR).

    Returns:
        Lower-case sentences, each closed by `` .``. "T11. Fracture" becomes "t1fracture .",
        "1.5 cm" becomes "15 cm .", and an empty report " .".
    """
    if dataset == "mimic":
        text = _collapse(text.replace("\n", " "), "__", "_", rounds=7)
        text = _collapse(_collapse(text, "  ", " ", rounds=6), "..", ".", rounds=8)
    else:
        text = _collapse(text, "..", ".", rounds=3)
    text = text.replace("1. ", "")
    for opening in (". ", " "):
        for number in "2345":
            text = text.replace(f"{opening}{number}. ", ". ")
    sentences = text.strip().lower().split(". ")
    return " . ".join(_clean_sentence(sentence) for sentence in sentences) + " ."


def _collapse(text: str, doubled: str, single: str, rounds: int) -> str:
    for _ in range(rounds):
        text = text.replace(doubled, single)
    return text


def _clean_sentence(sentence: str) -> str:
    return _DELETED.sub("", sentence.translate(_QUOTES_AND_SLASHES).strip().lower())


def build_vocabulary(train_reports: Sequence[str], dataset: DatasetStyle = "iu") -> frozenset[str]:
    """Words that R2Gen knows: those frequent enough in the training reports, and ``<unk>``.

    Args:
        train_reports: Raw reports of the training split, and of no other.
        dataset: Decides the cleaning and the least count (3 for IU, 10 for MIMIC).

    Returns:
        The words. The IU X-Ray training split of R2Gen gives 760.
    """
    counts = Counter(
        word for report in train_reports for word in clean_report(report, dataset).split()
    )
    least = MIN_WORD_COUNT[dataset]
    return frozenset({word for word, count in counts.items() if count >= least} | {UNKNOWN})


def map_reference(text: str, vocabulary: frozenset[str], dataset: DatasetStyle = "iu") -> str:
    """A reference as R2Gen scores against it: cleaned, rare words replaced, cut.

    Args:
        text: The raw reference report.
        vocabulary: From `build_vocabulary`.
        dataset: Decides the cleaning and the cut (59 words for IU, 99 for MIMIC).

    Returns:
        The words joined by single spaces.
    """
    words = clean_report(text, dataset).split()[: MAX_REFERENCE_WORDS[dataset]]
    return " ".join(word if word in vocabulary else UNKNOWN for word in words)
