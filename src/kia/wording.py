"""Reports of whole sentences, worded as training reports word them.

A decoder writes sentences that are no English ("the heart is … are normal"). Each sentence of a
report is kept if it is sound; else the best other candidate's sound sentence that says the same of
the same organs takes its place, or it is left out. So is one that compares with an earlier film,
which nobody gave the model.
"""

from collections.abc import Sequence

from kia.evaluation.priors import compares_with_prior
from kia.knowledge.labels.rules import label_reports
from kia.knowledge.sentences import sentences
from kia.knowledge.structure import organs_of
from kia.processing import Seen
from kia.readable import GAP, readable


def is_sound(sentence: str, seen: Seen) -> bool:
    """Whether a sentence may stand in a report.

    Args:
        sentence: As the decoder wrote it.
        seen: What the model was trained on.
    """
    text = readable(sentence)
    whole = bool(text) and GAP not in text
    return whole and not compares_with_prior(sentence) and seen.words(sentence)


def mended(reports: Sequence[str], seen: Seen) -> str:
    """The first of some reports with its unsound sentences replaced or left out.

    Args:
        reports: Of one study, as the decoder wrote them, the chosen one first.
        seen: What the model was trained on.

    Returns:
        The report as it is if it has no sound sentence, or nothing else.
    """
    chosen = sentences(reports[0])
    sound = [is_sound(sentence, seen) for sentence in chosen]
    if all(sound) or not any(sound):
        return reports[0]
    others = _sound_sentences(reports[1:], seen)
    kept: list[str] = []
    for sentence, good in zip(chosen, sound, strict=True):
        found = sentence if good else _instead(sentence, others)
        if found and found not in kept:
            kept.append(found)
    return " ".join(kept)


def has_sound(report: str, seen: Seen) -> bool:
    """Whether a report has a sound sentence."""
    return any(is_sound(sentence, seen) for sentence in sentences(report))


def _sound_sentences(reports: Sequence[str], seen: Seen) -> list[str]:
    """Each once: candidates mostly repeat each other."""
    every = dict.fromkeys(one for report in reports for one in sentences(report))
    return [sentence for sentence in every if is_sound(sentence, seen)]


def _instead(sentence: str, others: Sequence[str]) -> str | None:
    """The first other sentence with the same organs, states and labels; None of one without any."""
    said = organs_of(sentence) if others else {}
    same = [one for one in others if organs_of(one) == said] if said else []
    if not same:
        return None
    own, *labels = label_reports([sentence, *same])
    return next((one for one, found in zip(same, labels, strict=True) if found == own), None)
