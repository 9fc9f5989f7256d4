"""What a cue of certainty governs: the rules and words that labels and graphs share.

A cue that stands behind ("is not seen", "has resolved", "cannot be excluded") governs its subject:
the last mention, and the list that ends with it. A comma alone joins no list: "Small effusion,
pneumothorax is not seen" leaves the effusion. A comma before the last "and" or "or" does:
"effusion, consolidation and pneumothorax are not seen" denies all three.
"""

from collections.abc import Sequence
from functools import cache
from typing import Literal

from kia.knowledge.phrases import load_yaml, readings

Joint = Literal["", "phrase", "comma", "and", "comma and"]
"""What stands between a mention and the one before it: a verb or the like that parts them, words of
the same phrase ("pneumonia on top of fibrosis"), a comma alone, a conjunction, or both."""

RESOLUTION = frozenset({"resolution", "clearing", "clearance", "disappearance"})
"""Nouns that say that something goes."""


@cache
def scope_phrases() -> dict[str, list[list[str]]]:
    """Role of a cue → rows of words, plural s taken off."""
    content = load_yaml("kia.knowledge", "scope.yaml")
    classes = content.pop("classes")
    return {
        role: [words for phrase in phrases for words in readings(str(phrase), classes)]
        for role, phrases in content.items()
    }


def single_words(role: str) -> frozenset[str]:
    """The cues of a role that are one word."""
    return frozenset(words[0] for words in scope_phrases()[role] if len(words) == 1)


def wants_plural(verb: str, noun: str) -> bool:
    """Whether a verb ("are") does not go with a noun in the singular."""
    singular = not noun.endswith(("s", "ae", "i")) or noun.endswith(("is", "us", "ss"))
    return verb in ("are", "were", "have") and singular


def joint(comma: bool, conjunction: bool) -> Joint:
    """How two mentions are joined that no verb parts."""
    if conjunction:
        return "comma and" if comma else "and"
    return "comma" if comma else "phrase"


def reach_back(joints: Sequence[Joint], plural: bool = False) -> int:
    """How many of the last mentions a cue behind them governs.

    Args:
        joints: Of the mentions of the clause, in order.
        plural: Whether the cue's verb wants more than the last one, which is singular: then commas
            alone make a list ("effusion, edema, pneumonia are not seen").
    """
    if not joints:
        return 0
    last = joints[-1]
    before = joints[-2] if len(joints) > 1 else ""
    if last == "comma and" and not plural and before not in ("comma", "comma and"):
        return 1  # "A small effusion, and pneumothorax is not seen"
    count, listed = 1, plural
    for place in range(len(joints) - 1, 0, -1):
        listed = listed or joints[place] in ("and", "comma and")
        if not joints[place] or (joints[place] == "comma" and not listed):
            break
        count += 1
    return count
