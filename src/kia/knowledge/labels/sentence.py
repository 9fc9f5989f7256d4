"""What a sentence says of each observation: its phrases, read once from left to right.

Anatomy says nothing by itself: it waits for a predicate ("heart" + "enlarged"), which may also
stand before it ("normal heart size").
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kia.knowledge.labels.clause import NEAR, Mention
from kia.knowledge.labels.cues import CueReader
from kia.knowledge.phrases import Found

_BETWEEN = frozenset({"opening", "article", "neutral", "nothing"})  # a predicate and its anatomy
_CALM = ("normal", "clear")  # predicates that also negate a finding
_FLIPPED = {1: 0, -1: 0, 0: -1}


@dataclass(slots=True)
class _Anatomy:
    """A body part, and the mentions that its predicates made."""

    name: str
    start: int
    end: int
    said: list[Mention]


class SentenceReader(CueReader):
    """Reads the phrases of one sentence.

    Args:
        found: Phrases in order.
        tokens: Of the sentence, as written.
        subjects: Anatomy → predicate → {observation: value} or "other".
    """

    def __init__(
        self, found: list[Found], tokens: list[str], subjects: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._subjects = subjects
        super().__init__(found, tokens)

    def read(self) -> None:
        """Fills `mentions` and `understood`."""
        for index, here in enumerate(self._found):
            self._index = index
            _HANDLERS[here.term.role](self, here)
        self._drop_heading()

    def _drop_heading(self) -> None:
        """ "Pneumothorax: no pneumothorax": the first only names what the second says."""
        first = self.mentions[0] if len(self.mentions) > 1 else None
        if first is None or self._tokens[first.end : first.end + 1] != [":"]:
            return
        if any(first.values.keys() == mention.values.keys() for mention in self.mentions[1:]):
            del self.mentions[0]

    def _end_clause(self) -> None:
        super()._end_clause()
        self._waiting: list[_Anatomy] = []  # for a predicate
        self._done: list[_Anatomy] = []  # they have one
        self._ahead: tuple[Found, bool] | None = None  # a predicate before its anatomy; negated?

    def _comma(self, here: Found) -> None:
        super()._comma(here)
        self._done = []

    def _article(self, here: Found) -> None:
        super()._article(here)
        if self._separated(here):
            self._ahead = None

    def _finding(self, here: Found) -> None:
        self._mention(here, dict(here.term.value))
        # "heart size and pulmonary markings are normal": the heart still waits
        last = self._waiting[-1].end if self._waiting else 0
        if self._verb or self._separator is None or self._separator.start < last:
            self._waiting = []
        self._done, self._ahead = [], None

    def _subject(self, here: Found) -> None:
        self.understood = True
        part = _Anatomy(here.term.value, here.start, here.end, [])
        if self._ahead is None:
            self._done = []
        else:
            self._say(part, *self._ahead)
        self._waiting.append(part)
        self._linked = False

    def _predicate(self, here: Found) -> None:
        name = here.term.value
        negated = self._negated_at(here)
        parts = self._waiting or self._done
        ahead = name != "unseen" and self._anatomy_ahead(here)
        if ahead and not (parts and self._binds_back(here, parts)):
            self._ahead, self._waiting = (here, negated), []
        elif name == "unseen" and not any(name in self._subjects[part.name] for part in parts):
            self._settle_back(here, -1)
        elif name == "borderline" and not parts:
            self._uncertainty_before(here)
        else:
            if self._calms(here):
                self._settle_back(here, 0)
            if parts:
                self._describe(parts, here, negated)

    def _describe(self, parts: list[_Anatomy], here: Found, negated: bool) -> None:
        for part in parts:
            if part.said:  # its own predicate is nearer than one that came before
                self.mentions = [m for m in self.mentions if m not in part.said]
                part.said = []
            self._say(part, here, negated)
        self._done, self._waiting, self._ahead = parts, [], None
        if negated:
            self._cue = None
        self._linked = False

    def _negated_at(self, here: Found) -> bool:
        if self._cue is None or not self._under("negation") or not self._cue_fresh:
            return False
        return here.start - self._cue[1].end < NEAR

    def _calms(self, here: Found) -> bool:
        """ "The interstitial markings are normal": the predicate of a mention."""
        if here.term.value not in _CALM or self._index < 2:
            return False
        roles = [found.term.role for found in self._found[self._index - 2 : self._index]]
        device = bool(self.mentions) and "Support Devices" in self.mentions[-1].values
        return roles == ["finding", "verb"] and not device

    def _binds_back(self, here: Found, parts: list[_Anatomy]) -> bool:
        """Whether a predicate belongs to the anatomy before it: "the heart is normal"."""
        if self._index and self._found[self._index - 1].term.role == "verb":
            return True
        return bool(self._waiting) and here.start - parts[-1].end <= 1

    def _anatomy_ahead(self, here: Found) -> bool:
        for later in self._found[self._index + 1 :]:
            if later.term.role == "subject":
                return later.start - here.end <= NEAR
            if later.term.role not in _BETWEEN:
                return False
        return False

    def _say(self, part: _Anatomy, predicate: Found, negated: bool) -> None:
        """Makes a mention of anatomy and predicate, if the two mean something."""
        outcome = self._subjects[part.name].get(predicate.term.value)
        if outcome is None:
            return
        values = {} if outcome == "other" else dict(outcome)
        state = min(values.values(), default=1)
        start, end = min(part.start, predicate.start), max(part.end, predicate.end)
        mention = Mention(values, state, start, end, f"predicate: {self._words(predicate)}")
        if negated:
            mention.settle(_FLIPPED[state], f"negated predicate: {self._words(predicate)}")
        elif state == 1 and self._cue is not None and self._under("uncertainty"):
            mention.settle(-1, f"uncertainty: {self._words(self._cue[1])}")
        part.said.append(mention)
        self.mentions.append(mention)


_HANDLERS: dict[str, Callable[[SentenceReader, Found], None]] = {
    "finding": SentenceReader._finding,
    "other": SentenceReader._other,
    "bone_trouble": SentenceReader._bone_trouble,
    "neutral": SentenceReader._neutral,
    "nothing": SentenceReader._neutral,
    "subject": SentenceReader._subject,
    "predicate": SentenceReader._predicate,
    "negation_before": SentenceReader._negation_before,
    "negation_after": SentenceReader._negation_after,
    "negation_either": SentenceReader._negation_either,
    "no_longer": SentenceReader._no_longer,
    "affirmed": SentenceReader._affirmed,
    "persists": SentenceReader._persists,
    "unfinished": SentenceReader._unfinished,
    "uncertainty_before": SentenceReader._uncertainty_before,
    "uncertainty_after": SentenceReader._uncertainty_after,
    "uncertainty_either": SentenceReader._uncertainty_either,
    "unmention_after": SentenceReader._unmention_after,
    "versus": SentenceReader._joins,
    "or": SentenceReader._joins,
    "question": SentenceReader._question,
    "not_a_cue": SentenceReader._not_a_cue,
    "stop": SentenceReader._stop,
    "relative": SentenceReader._relative,
    "and": SentenceReader._comma,
    "comma": SentenceReader._comma,
    "article": SentenceReader._article,
    "verb": SentenceReader._verb_seen,
    "opening": SentenceReader._opening,
}
