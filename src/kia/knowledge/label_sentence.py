"""What a sentence says of each observation: its phrases, read once from left to right.

A cue ("no", "may", "history of") reaches forward to the end of its clause or list; other cues
("has resolved", "cannot be excluded") reach back. Anatomy waits for its predicate.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kia.knowledge.label_phrases import Found

_NEAR = 4  # words between an adjective and its noun, or between "or" and what it joins
_BETWEEN = frozenset({"opening", "article", "neutral", "nothing"})
_CALM = ("normal", "clear")  # predicates that also negate a finding
_STATES = ("verb", "uncertainty_after", "negation_after")
_FLIPPED = {1: 0, -1: 0, 0: -1}
_FORWARD = {"negation": 0, "uncertainty": -1}


@dataclass(slots=True)
class Mention:
    """What one phrase says.

    Attributes:
        values: Observation → 1 present, 0 absent, −1 uncertain; empty for an abnormality that is
            none of them.
        state: The same for the phrase as a whole.
        start: First token.
        end: Token after the last.
        rule: The words that decided its value, and how.
        linked: Whether a list joins it to the mention before.
    """

    values: dict[str, int]
    state: int
    start: int
    end: int
    rule: str = "stated"
    linked: bool = False

    def settle(self, state: int, rule: str) -> None:
        """Makes it absent (0) or uncertain (−1)."""
        self.state, self.rule = state, rule
        for name in self.values:
            self.values[name] = state


@dataclass(slots=True)
class _Anatomy:
    """A body part that waits for a predicate; `said` are the mentions it has got."""

    name: str
    start: int
    end: int
    said: list[Mention]


class SentenceReader:
    """Reads the phrases of one sentence.

    Args:
        found: Phrases in order.
        tokens: Of the sentence, as written.
        subjects: Anatomy → predicate → {observation: value} or "other".
    """

    def __init__(
        self, found: list[Found], tokens: list[str], subjects: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self.mentions: list[Mention] = []
        self.understood = False
        self._found, self._tokens, self._subjects = found, tokens, subjects
        self._index = 0
        self._separator: Found | None = None  # the last comma or "and"
        self._end_clause()

    def _end_clause(self) -> None:
        """Nothing reaches further than here."""
        self._clause = len(self.mentions)  # first mention of the clause
        self._cue: tuple[str, Found] | None = None
        self._cue_fresh = False  # nothing stands between the cue and here
        self._verb = False
        self._linked = False
        self._or: Found | None = None
        self._versus: Found | None = None
        self._waiting: list[_Anatomy] = []
        self._done: list[_Anatomy] = []
        self._listing = False  # "or" joins, it does not choose
        self._ahead: tuple[Found, bool] | None = None  # a predicate before its anatomy; negated?

    def read(self) -> None:
        """Fills `mentions` and `understood`."""
        for self._index, here in enumerate(self._found):
            _HANDLERS[here.term.role](self, here)

    # Mentions

    def _finding(self, here: Found) -> None:
        self._open(here)
        self._mention(here, dict(here.term.value))
        joined = self._separator is not None and self._waiting and not self._verb
        if not (joined and self._separator.start >= self._waiting[-1].end):
            self._waiting = []
        self._done, self._ahead = [], None

    def _other(self, here: Found) -> None:
        self._open(here)
        self._mention(here, {})

    def _bone_trouble(self, here: Found) -> None:
        negated = self._cue is not None and self._cue[0] == "negation"
        self._other(here)
        if negated:
            self.mentions[-1].values = {"Fracture": 0}

    def _mention(self, here: Found, values: dict[str, int]) -> None:
        if self._cue is not None and self._cue[0] == "question":
            return
        self.understood = True
        state = min(values.values(), default=1) if values else 1
        mention = Mention(values, state, here.start, here.end)
        mention.linked = self._linked and len(self.mentions) > self._clause
        if self._cue is not None:
            kind, cue = self._cue
            mention.settle(_FORWARD[kind], f"{kind}: {self._words(cue)}")
        self.mentions.append(mention)
        if self._versus is not None:
            self._join(self._versus)
        elif self._or is not None and not self._listing and here.start - self._or.end <= _NEAR:
            self._join(self._or)
        self._or = self._versus = None
        self._linked, self._cue_fresh = True, False

    def _join(self, joint: Found) -> None:
        """ "X or Y" and "X versus Y": both uncertain, unless absent or of one observation."""
        last = self.mentions[-1]
        chain = [last]
        place = len(self.mentions) - 1
        while self.mentions[place].linked:
            place -= 1
            chain.append(self.mentions[place])
        names = {tuple(mention.values) for mention in chain}
        if len(names) == 1 and len(chain) > 1:
            return
        if joint.term.role == "or" and len(chain) == 1:
            return
        for mention in chain[:2] if joint.term.role == "versus" else chain:
            if mention.state == 1:
                mention.settle(-1, f"alternative: {self._words(joint)}")

    # Cues that reach forward

    def _negation_before(self, here: Found) -> None:
        self._open(here)
        if here.end == len(self._tokens) and self._clause < len(self.mentions):
            self._settle_back(here, 0)  # "Effusion: no"
        else:
            self._set_cue("negation", here)
        self._linked = False

    def _uncertainty_before(self, here: Found) -> None:
        if self._cue is not None and self._cue[0] == "negation":
            after = self._separator is not None and self._separator.end == here.start
            if not after:
                return  # "no opacity suggesting pneumonia" stays a negation
        self._set_cue("uncertainty", here)

    def _question(self, here: Found) -> None:
        self._set_cue("question", here)

    def _set_cue(self, kind: str, here: Found) -> None:
        self._cue, self._cue_fresh = (kind, here), True
        self._verb = self._linked = False
        self.understood = True

    # Cues that reach back

    def _negation_after(self, here: Found) -> None:
        self._settle_back(here, 0)

    def _uncertainty_after(self, here: Found) -> None:
        self._settle_back(here, -1)

    def _negation_either(self, here: Found) -> None:
        if self._clause < len(self.mentions):
            self._settle_back(here, 0)
        else:
            self._set_cue("negation", here)

    def _uncertainty_either(self, here: Found) -> None:
        if self._mention_follows():
            self._uncertainty_before(here)
        else:
            self._settle_back(here, -1)

    def _mention_follows(self) -> bool:
        for later in self._found[self._index + 1 :]:
            if later.term.role in ("finding", "other", "subject"):
                return True
            if later.term.role == "stop":
                return False
        return False

    def _settle_back(self, cue: Found, state: int) -> None:
        """Settles the last mention, and those that its list joins to it."""
        kind = "negation" if state == 0 else "uncertainty"
        for mention in reversed(self.mentions[self._clause :]):
            if mention.state != 0:
                mention.settle(state, f"{kind}: {self._words(cue)}")
            if not mention.linked:
                break
        self._cue, self._linked = None, False

    # Anatomy and predicates

    def _subject(self, here: Found) -> None:
        self._open(here)
        self.understood = True
        part = _Anatomy(here.term.value, here.start, here.end, [])
        if self._done and not self._ahead:
            self._done = []
        self._waiting.append(part)
        if self._ahead is not None:
            predicate, negated = self._ahead
            self._say(part, predicate, negated)
        self._linked = False

    def _predicate(self, here: Found) -> None:
        name = here.term.value
        negated = self._negated_at(here)
        parts = self._waiting or self._done
        ahead = name != "unseen" and self._anatomy_ahead(here)
        if ahead and not (parts and self._binds_back(here, parts)):
            self._ahead = (here, negated)
            self._waiting = []
            return
        if name == "unseen" and not any(name in self._subjects[part.name] for part in parts):
            self._settle_back(here, -1)
            return
        if name == "borderline" and not parts:
            self._uncertainty_before(here)
            return
        if self._calms(here):
            self._settle_back(here, 0)
        if not parts:
            return
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
        if self._cue is None or self._cue[0] != "negation" or not self._cue_fresh:
            return False
        return here.start - self._cue[1].end < _NEAR

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
        end = here.end
        for later in self._found[self._index + 1 :]:
            if later.term.role == "subject":
                return later.start - end <= _NEAR
            if later.term.role not in _BETWEEN:
                return False
        return False

    def _say(self, part: _Anatomy, predicate: Found, negated: bool) -> None:
        outcome = self._subjects[part.name].get(predicate.term.value)
        if outcome is None:
            return
        values = {} if outcome == "other" else dict(outcome)
        state = min(values.values()) if values else 1
        start, end = min(part.start, predicate.start), max(part.end, predicate.end)
        mention = Mention(values, state, start, end, f"predicate: {self._words(predicate)}")
        if negated:
            mention.settle(_FLIPPED[state], f"negated predicate: {self._words(predicate)}")
        elif state == 1 and self._cue is not None and self._cue[0] == "uncertainty":
            mention.settle(-1, f"uncertainty: {self._words(self._cue[1])}")
        part.said.append(mention)
        self.mentions.append(mention)

    # Structure

    def _open(self, here: Found) -> None:
        """A new statement after a comma or "and" is out of the reach of the cue before it."""

    def _stop(self, here: Found) -> None:
        self._end_clause()

    def _relative(self, here: Found) -> None:
        self._cue, self._linked = None, False

    def _comma(self, here: Found) -> None:
        self._separator = here
        self._done = []
        asks = self._cue is not None and self._cue[0] == "question"
        if asks and self._statement_follows():  # "given the history of cancer, a mass is likely"
            self._cue = None
        if self._verb and not self._or_follows():
            self._cue = None

    def _and(self, here: Found) -> None:
        self._comma(here)

    def _or_joint(self, here: Found) -> None:
        self._or = here

    def _versus_joint(self, here: Found) -> None:
        self._versus = here

    def _opening(self, here: Found) -> None:
        """ "No pneumothorax, small effusion": the adjective opens a new statement."""
        if self._separator is None or self._separator.end != here.start:
            return
        if not self._or_follows():
            self._cue = None
            self._linked = False

    def _article(self, here: Found) -> None:
        if self._separator is None or self._separator.end != here.start:
            return
        self._linked = False
        self._ahead = None
        if not self._or_follows():
            self._cue = None

    def _statement_follows(self) -> bool:
        later = (found.term.role for found in self._found[self._index + 1 :])
        return any(role in _STATES for role in later)

    def _or_follows(self) -> bool:
        for later in self._found[self._index + 1 :]:
            if later.term.role == "or":
                return True
            if later.term.role in ("stop", "verb"):
                return False
        return False

    def _verb_seen(self, here: Found) -> None:
        self._verb = True

    def _neutral(self, here: Found) -> None:
        self.understood = True

    def _nothing(self, here: Found) -> None:
        self.understood = True
        self._linked = self._linked and self._versus is None

    def _unmention_after(self, here: Found) -> None:
        """ "The nodule is calcified" is no Lung Lesion, "the aorta is calcified" some abnormality."""
        last = self.mentions[-1] if self._clause < len(self.mentions) else None
        if last is not None and "Lung Lesion" in last.values:
            last.values, last.rule = {}, f"unmention: {self._words(here)}"
        else:
            self._other(here)

    def _not_a_cue(self, here: Found) -> None:
        """ "No change in effusion or edema" lists both, it does not choose."""
        self.understood = True
        self._listing = self._tokens[here.start] in ("no", "without", "not")

    def _words(self, found: Found) -> str:
        return " ".join(self._tokens[found.start : found.end])


_HANDLERS: dict[str, Callable[[SentenceReader, Found], None]] = {
    "finding": SentenceReader._finding,
    "other": SentenceReader._other,
    "bone_trouble": SentenceReader._bone_trouble,
    "neutral": SentenceReader._neutral,
    "nothing": SentenceReader._nothing,
    "subject": SentenceReader._subject,
    "predicate": SentenceReader._predicate,
    "negation_before": SentenceReader._negation_before,
    "negation_after": SentenceReader._negation_after,
    "negation_either": SentenceReader._negation_either,
    "uncertainty_before": SentenceReader._uncertainty_before,
    "uncertainty_after": SentenceReader._uncertainty_after,
    "uncertainty_either": SentenceReader._uncertainty_either,
    "unmention_after": SentenceReader._unmention_after,
    "versus": SentenceReader._versus_joint,
    "question": SentenceReader._question,
    "not_a_cue": SentenceReader._not_a_cue,
    "stop": SentenceReader._stop,
    "relative": SentenceReader._relative,
    "and": SentenceReader._and,
    "or": SentenceReader._or_joint,
    "comma": SentenceReader._comma,
    "article": SentenceReader._article,
    "verb": SentenceReader._verb_seen,
    "opening": SentenceReader._opening,
}
