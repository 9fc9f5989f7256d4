"""The sentences of a report, as a decoder writes them and as people do."""

import re

_SENTENCE_END = re.compile(
    # not inside "1. 5 cm", as a decoder spaces it
    r"(?<=[.;!?])(?!(?:(?<=\d\.)|(?<=\d\s\.))\s+\d+\s*(?:x|by|cm|mm|-)(?![a-z]))\s+|\n+"
)


def sentences(report: str) -> list[str]:
    """The sentences of a report, without those that hold no letter.

    A full stop ends one only before white space, so that "1.5 cm" stays whole.
    """
    return [report[start:stop] for start, stop in sentence_spans(report)]


def sentence_spans(report: str) -> list[tuple[int, int]]:
    """Where `sentences` lie: first character of each, and the one after its last."""
    ends = list(_SENTENCE_END.finditer(report))
    starts = [0, *(end.end() for end in ends)]
    stops = [*(end.start() for end in ends), len(report)]
    spans = []
    for start, stop in zip(starts, stops, strict=True):
        text = report[start:stop]
        if re.search(r"[^\W\d_]", text):
            first = start + len(text) - len(text.lstrip())
            spans.append((first, first + len(text.strip())))
    return spans
