"""The built-in labeler: CheXpert labels from the words of a report.

After the CheXpert labeler (Irvin et al., AAAI 2019): find mentions, tell whether each is stated,
absent or uncertain, aggregate. The words are in `observations.yaml`, `cues.yaml` and `scope.yaml`;
`clause.py` and `sentence.py` read a sentence. Ours, not CheXpert's: anatomy is a
mention only with a predicate ("heart" + "enlarged"), so "the heart is unchanged" says nothing of
Cardiomegaly; "no new X" is absent; text without one known word has no labels, not even No Finding.
"""

from collections.abc import Sequence
from typing import NamedTuple

from kia.knowledge.chexpert import OBSERVATIONS
from kia.knowledge.labels.clause import Mention
from kia.knowledge.labels.lexicon import MAX_TOKENS, lexicon, sentences_of
from kia.knowledge.labels.sentence import SentenceReader
from kia.knowledge.language import ENGLISH, is_read
from kia.knowledge.phrases import tokens_of

OTHER = "Other abnormality"
"""What rules out No Finding without being one of the 13 others."""

_FAILURE = "Heart Failure"  # in the lexicon an observation beside the 14
_FAILS = "heart failure leaves an unmentioned Cardiomegaly uncertain"


class Reason(NamedTuple):
    """Why a report has a label.

    Attributes:
        observation: One of the 14, or `OTHER`.
        value: 1 present, 0 absent, −1 uncertain.
        sentence: As written in the report.
        phrase: The words that mention the observation.
        rule: The words that decided its value, and how.
    """

    observation: str
    value: int
    sentence: str
    phrase: str
    rule: str


def label_reports(texts: Sequence[str], language: str = ENGLISH) -> list[dict[str, int | None]]:
    """Labels reports by rules, offline.

    Args:
        texts: Reports or parts of them, in English. Sections that do not describe the image
            (indication, comparison …) are skipped where they have a header.
        language: A report that is recognised as none of English and this one has no labels; "any"
            reads all of them. The rules are those of English whatever it is.

    Returns:
        For each, the 14 observations → 1 present, 0 absent, −1 uncertain, None unmentioned.
        No Finding is 1 if something was understood and nothing abnormal but Support Devices is
        present or uncertain; else None.
    """
    return [_aggregate(*_read(text, language)) for text in texts]


def explain_report(
    text: str, language: str = ENGLISH
) -> tuple[dict[str, int | None], list[Reason]]:
    """The labels of a report, and what led to them in the order of the text."""
    pieces, understood = _read(text, language)
    labels = _aggregate(pieces, understood)
    stated = [
        Reason(name, value, sentence, " ".join(tokens[mention.start : mention.end]), mention.rule)
        for sentence, tokens, mentions in pieces
        for mention in mentions
        for name, value in (mention.values or {OTHER: mention.state}).items()
    ]
    enlarges = not any(reason.observation == "Cardiomegaly" for reason in stated)
    reasons = []
    for reason in stated:
        if reason.observation != _FAILURE:
            reasons.append(reason)
        elif enlarges and reason.value:
            reasons.append(reason._replace(observation="Cardiomegaly", value=-1, rule=_FAILS))
    if labels["No Finding"]:
        reasons.append(Reason("No Finding", 1, "", "", "nothing abnormal is stated"))
    return labels, reasons


_Piece = tuple[str, list[str], list[Mention]]


def _read(text: str, language: str) -> tuple[list[_Piece], bool]:
    """(sentence, tokens, mentions) of the sentences that have some; was anything understood?"""
    words = lexicon()
    pieces: list[_Piece] = []
    understood = False
    if not is_read(text, language):
        return pieces, understood
    for sentence in sentences_of(text):
        written, folded = tokens_of(sentence)
        for place in range(0, len(folded), MAX_TOKENS):
            if found := words.tree.find(folded[place : place + MAX_TOKENS]):
                tokens = written[place : place + MAX_TOKENS]
                reader = SentenceReader(found, tokens, words.subjects)
                reader.read()
                understood = understood or reader.understood
                if reader.mentions:
                    pieces.append((sentence, tokens, reader.mentions))
    return pieces, understood


def _aggregate(pieces: Sequence[_Piece], understood: bool) -> dict[str, int | None]:
    """One value an observation: absent and uncertain make uncertain, else any present wins."""
    seen: dict[str, set[int]] = {}
    abnormal = False
    for _, _, mentions in pieces:
        for mention in mentions:
            for name, value in mention.values.items():
                seen.setdefault(name, set()).add(value)
            abnormal = abnormal or _is_abnormal(mention)
    labels: dict[str, int | None] = dict.fromkeys(OBSERVATIONS)
    failure = seen.pop(_FAILURE, {0})
    for name, values in seen.items():
        labels[name] = -1 if values >= {0, -1} else 1 if 1 in values else min(values)
    if failure != {0} and labels["Cardiomegaly"] is None:
        labels["Cardiomegaly"] = -1
    labels["No Finding"] = 1 if understood and not abnormal else None
    return labels


def _is_abnormal(mention: Mention) -> bool:
    if not mention.values:
        return mention.state != 0
    return any(value != 0 and name != "Support Devices" for name, value in mention.values.items())
