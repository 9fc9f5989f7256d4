"""Mentions of a clause, and how far a cue before them reaches.

A cue ("no", "may", "history of") reaches forward to the end of its clause or list; what cues behind
("has resolved", "cannot be excluded") do is in `cues.py`.
"""

from dataclasses import dataclass

from kia.knowledge.phrases import Found
from kia.knowledge.scope import Joint, joint

NEAR = 4
"""Words between an adjective and its noun, or between "or" and what it joins."""

_FORWARD = {"negation": 0, "uncertainty": -1}
_STATES = ("verb", "uncertainty_after", "negation_after")


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
        linked: Whether a list joins it to the mention before, for what "or" makes uncertain.
        joint: How it is joined to the mention before, for what a cue behind them governs.
    """

    values: dict[str, int]
    state: int
    start: int
    end: int
    rule: str = "stated"
    linked: bool = False
    joint: Joint = ""

    def settle(self, state: int, rule: str) -> None:
        """Makes it absent (0), uncertain (−1) or present (1)."""
        self.state, self.rule = state, rule
        for name in self.values:
            self.values[name] = state


class ClauseReader:
    """State between two phrases of a sentence, and what cues and separators do to it.

    Args:
        found: Phrases in order.
        tokens: Of the sentence, as written.

    Attributes:
        mentions: Those read so far.
        understood: Whether any phrase so far says something of the image.
    """

    def __init__(self, found: list[Found], tokens: list[str]) -> None:
        self.mentions: list[Mention] = []
        self.understood = False
        self._found, self._tokens = found, tokens
        self._index = 0  # of the phrase that is being read
        self._separator: Found | None = None  # the last comma or "and"
        self._end_clause()

    def _end_clause(self) -> None:
        """Nothing reaches further than here."""
        self._clause = len(self.mentions)  # first mention of the clause
        self._cue: tuple[str, Found] | None = None
        self._cue_fresh = False  # no mention stands between the cue and here
        self._verb = False
        self._linked = False  # a list goes on
        self._listing = False  # "or" joins, it does not choose
        self._joint: Found | None = None  # "or" or "versus" before the next mention
        self._between: set[str] = set()  # roles since the last mention
        self._asserted = False  # "there is" or a verb stands before the first mention

    # Mentions

    def _other(self, here: Found) -> None:
        self._mention(here, {})

    def _bone_trouble(self, here: Found) -> None:
        self._mention(here, {"Fracture": 0} if self._under("negation") else {})

    def _mention(self, here: Found, values: dict[str, int]) -> None:
        self.understood = True
        if self._under("question"):
            return
        mention = Mention(values, min(values.values(), default=1), here.start, here.end)
        mention.linked = self._linked and len(self.mentions) > self._clause
        mention.joint = self._joined(here)
        self._between.clear()
        if self._cue is not None:
            kind, cue = self._cue
            mention.settle(_FORWARD[kind], f"{kind}: {self._words(cue)}")
        self.mentions.append(mention)
        joint, self._joint = self._joint, None
        if joint is not None:
            self._join(joint)
        self._linked, self._cue_fresh = True, False

    def _joined(self, here: Found) -> Joint:
        """How the mention at hand is joined to the one before it."""
        first = len(self.mentions) == self._clause
        between = self._between
        if first or "verb" in between or "cue" in between:
            self._asserted = self._asserted or (first and "verb" in between)
            return ""
        found = joint("comma" in between, "and" in between)
        if self._asserted and found in ("and", "comma and"):
            return ""  # "There is edema and effusion is not seen"
        return found

    def _join(self, joint: Found) -> None:
        """ "X or Y" and "X versus Y": both uncertain, unless absent or of one observation."""
        chain = [self.mentions[-1]]
        place = len(self.mentions) - 1
        while self.mentions[place].linked:
            place -= 1
            chain.append(self.mentions[place])
        if joint.term.role == "versus":
            chain = chain[:2]
        elif self._listing or len(chain) == 1 or chain[0].start - joint.end > NEAR:
            return
        if len(chain) > 1 and len({tuple(mention.values) for mention in chain}) == 1:
            return
        for mention in chain:
            if mention.state == 1:
                mention.settle(-1, f"alternative: {self._words(joint)}")

    def _unmention_after(self, here: Found) -> None:
        """ "The nodule is calcified" is no Lung Lesion; "the aorta is" is just abnormal."""
        last = self.mentions[-1] if self._clause < len(self.mentions) else None
        if last is not None and "Lung Lesion" in last.values:
            last.values, last.rule = {}, f"unmention: {self._words(here)}"
        else:
            self._other(here)

    # The cue at hand

    def _set_cue(self, kind: str, here: Found) -> None:
        self._cue, self._cue_fresh = (kind, here), True
        self._verb = self._linked = False
        self._between.add("cue")
        self.understood = True

    def _under(self, kind: str) -> bool:
        return self._cue is not None and self._cue[0] == kind

    # Where reaches end

    def _stop(self, here: Found) -> None:
        self._end_clause()
        self._asserted = self._tokens[here.start] == "there"

    def _relative(self, here: Found) -> None:
        self._cue, self._linked = None, False
        self._between.add("verb")

    def _comma(self, here: Found) -> None:
        self._separator = here
        if "verb" in self._between:
            self._between.add("closed")
        self._between.add(here.term.role)
        if self._cue is None:
            return
        # "given the history of cancer, a mass is likely"
        answered = self._under("question") and self._follows(_STATES, until=())
        if answered or ((self._verb or self._predicate_follows()) and not self._list_goes_on()):
            self._cue = None

    def _predicate_follows(self) -> bool:
        """Whether what is next has its own predicate: "no edema and the effusion is stable"."""
        following = [found.term.role for found in self._found[self._index + 1 : self._index + 5]]
        if following[:1] == ["article"]:
            following = following[1:]
        return following[:3] == ["finding", "verb", "opening"]

    def _opening(self, here: Found) -> None:
        """ "No pneumothorax, small effusion": the adjective opens a new statement."""
        if not self._separated(here):
            if self._clause < len(self.mentions):
                self._between.add("verb")  # "effusion unchanged and …"
        elif not self._list_goes_on():
            self._cue, self._linked = None, False

    def _article(self, here: Found) -> None:
        if self._separated(here):
            self._linked = False
            if not self._list_goes_on():
                self._cue = None

    def _separated(self, here: Found) -> bool:
        """Whether a comma or "and" stands right before."""
        return self._separator is not None and self._separator.end == here.start

    def _list_goes_on(self) -> bool:
        return self._follows(("or",), until=("stop", "verb"))

    def _follows(self, roles: tuple[str, ...], until: tuple[str, ...]) -> bool:
        for later in self._found[self._index + 1 :]:
            if later.term.role in roles:
                return True
            if later.term.role in until:
                return False
        return False

    # Words without reach

    def _joins(self, here: Found) -> None:
        self._joint = here
        self._between.add("and")

    def _verb_seen(self, here: Found) -> None:
        self._verb = True
        self._between.add("verb")

    def _neutral(self, here: Found) -> None:
        self.understood = True

    def _not_a_cue(self, here: Found) -> None:
        """ "No change in effusion or edema" lists both, it does not choose."""
        self.understood = True
        self._listing = self._tokens[here.start] in ("no", "without", "not")

    def _words(self, found: Found) -> str:
        return " ".join(self._tokens[found.start : found.end])
