"""Sentences that compare with an earlier study, which a model of one study never saw.

"Unchanged", "interval", "compared to": a report generator that copies them invents a history
(Ramesh et al., ML4H 2022, "Improving radiology report generation systems by removing
hallucinated references to non-existent priors").
"""

import re
from collections.abc import Sequence

from kia.knowledge.sentences import sentence_spans as sentence_spans
from kia.knowledge.sentences import sentences as sentences

_STUDY = (
    r"(?:chest |plain |portable |outside |ap |pa |frontal |lateral |ct )*"
    r"(?:study|studies|exam\w*|radiograph\w*|x ?-?rays?|films?|images?|imaging|ct|scans?|"
    r"comparisons?|reports?|one|date)"
)
_CUES = re.compile(
    r"\b(?:"
    r"unchanged|(?:no|without|little|any) (?:\w+ ){0,2}changes?\b(?! of)|not (?:\w+ )?changed"
    r"|interval(?:ly)?\b(?! of)|compar(?:ed|ing|ison)\b"
    rf"|(?:prior|previous|earlier|preceding|last|old) {_STUDY}"
    r"|(?:since|from|than|to|with|on) (?:the )?(?:prior|previous|last)\b"
    r"(?! (?:\w+ )?(?:disease|surger|surgical|fractur|trauma|infect|operation|\w+tomy|cabg))"
    r"|previously\b|again\b|as before|no longer"
    r"|(?:re-?demonstrat\w+|re-?identified)"
    r"|stable\b|stably|persist\w*|remain(?:s|ed)?\b(?! of)"
    r"|(?:has|have) (?:\w+ ){0,2}(?:improved|worsened|increased|decreased|resolved|progressed"
    r"|cleared|enlarged|developed|been removed)"
    r"|new(?:ly)?\b"
    r")",
    re.IGNORECASE,
)
_NEVER = re.compile(
    r"\b(?:degenerative|postoperative|postsurgical|chronic|arthritic|emphysematous|fibrotic|"
    r"(?:acute|focal)(?: (?!interval)\w+)?) changes?\b|\binterval \w+ of breath|\bnewborn",
    re.IGNORECASE,
)


def compares_with_prior(sentence: str) -> bool:
    """Whether a sentence speaks of an earlier study, by its words alone."""
    return _CUES.search(_NEVER.sub(" ", sentence)) is not None


def prior_rate(reports: Sequence[str]) -> float:
    """Share of the sentences of all reports that compare with an earlier study, 0–1."""
    every = [sentence for report in reports for sentence in sentences(report)]
    return sum(map(compares_with_prior, every)) / len(every) if every else 0.0
