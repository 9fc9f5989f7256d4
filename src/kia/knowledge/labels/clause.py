"""Mentions of a clause, and the cues that change them.

A cue ("no", "may", "history of") reaches forward to the end of its clause or list; other cues
("has resolved", "cannot be excluded") reach back over the list that ends before them.
"""

from dataclasses import dataclass

from kia.knowledge.phrases import Found
from kia.knowledge.scope import Joint, joint, reach_back, wants_plural

NEAR = 4
"""Words between an adjective and its noun, or between "or" and what it joins."""

_FORWARD = {"negation": 0, "uncertainty": -1}
_ENDS = frozenset(".!?;:)|/")  # nothing that a cue could reach follows these
_ASKS = frozenset((":", "-", "?", "=", "(", "–", "—"))
_HAS = ("has", "have", "had")
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
        self._between = set()
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
        if first or self._between & {"verb", "cue"}:
            self._asserted = self._asserted or (first and "verb" in self._between)
            return ""
        found = joint("comma" in self._between, "and" in self._between)
        if found in ("and", "comma and") and self._asserted:
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

    # Cues that reach forward

    def _negation_before(self, here: Found) -> None:
        if self._clause < len(self.mentions) and self._answers(here):
            if not (self._tokens[here.start] == "not" and self._tokens[here.start - 1] in _HAS):
                self._settle_back(here, 0)  # "Effusion: no", "effusion is not"
        else:
            self._set_cue("negation", here)

    def _answers(self, here: Found) -> bool:
        """Whether nothing follows that a cue could reach: "Effusion: no, …"."""
        rest = self._tokens[here.end : here.end + 2]
        if not rest or rest[0] in _ENDS:
            return True
        before = self._tokens[here.start - 1] if here.start else ""
        asked = before in _ASKS or self.mentions[-1].end == here.start
        return rest[0] == "," and (asked or self._tokens[here.start] == "not")

    def _no_longer(self, here: Found) -> None:
        following = self._found[self._index + 1 : self._index + 2]
        near = following and following[0].term.role in ("finding", "other", "subject", "opening")
        if near or self._clause == len(self.mentions):
            self._set_cue("negation", here)
        else:
            self._settle_back(here, 0)

    def _uncertainty_before(self, here: Found) -> None:
        # "no opacity suggesting pneumonia" stays a negation
        if not self._under("negation") or self._separated(here):
            self._set_cue("uncertainty", here)

    def _question(self, here: Found) -> None:
        self._set_cue("question", here)

    def _set_cue(self, kind: str, here: Found) -> None:
        self._cue, self._cue_fresh = (kind, here), True
        self._verb = self._linked = False
        self._between.add("cue")
        self.understood = True

    def _under(self, kind: str) -> bool:
        return self._cue is not None and self._cue[0] == kind

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
        behind = self._clause < len(self.mentions) and "verb" in self._between
        until = ("stop", "comma", "and") if behind else ("stop",)
        if self._follows(("finding", "other", "subject"), until):
            self._uncertainty_before(here)
        else:
            self._settle_back(here, -1)

    def _affirmed(self, here: Found) -> None:
        """ "Effusion? Yes": what was asked is there."""
        for mention in self._governed(here):
            if mention.rule.endswith(": ?"):
                mention.settle(1, f"affirmed: {self._words(here)}")

    def _settle_back(self, cue: Found, state: int) -> None:
        """Settles what a cue behind it governs: the last mention, and the list that it ends."""
        kind = "negation" if state == 0 else "uncertainty"
        if not self._has_own_subject(cue):
            governed = self._governed(cue)
            # "No edema, effusion cannot be excluded": the first cue ended at the comma
            anew = bool(governed) and governed[0].joint == "comma"
            for mention in governed:
                if mention.state != 0 or anew:
                    mention.settle(state, f"{kind}: {self._words(cue)}")
        self._cue, self._linked = None, False
        self._between.add("verb")

    def _governed(self, cue: Found) -> list[Mention]:
        clause = self.mentions[self._clause :]
        plural = bool(clause) and any(
            wants_plural(verb, self._tokens[clause[-1].end - 1])
            for verb in self._tokens[max(clause[-1].end, cue.start - 2) : cue.start + 1]
        )
        count = reach_back([mention.joint for mention in clause], plural)
        return clause[len(clause) - count :]

    def _has_own_subject(self, cue: Found) -> bool:
        """Whether words that are no mention are the subject: "effusion is seen, the rest is not"."""
        separator = self._separator
        if separator is None or not self.mentions or "closed" not in self._between:
            return False
        return separator.start >= self.mentions[-1].end and cue.start - separator.end > 1

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
        # "given the history of cancer, a mass is likely"
        answered = self._under("question") and self._follows(_STATES, until=())
        if answered or (self._verb and not self._list_goes_on()):
            self._cue = None

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

    def _persists(self, here: Found) -> None:
        """ "Partial resolution of": it is still there."""
        self.understood = True
        if self._under("negation"):
            self._cue = None  # "no change or resolution of the effusion"

    def _not_a_cue(self, here: Found) -> None:
        """ "No change in effusion or edema" lists both, it does not choose."""
        self.understood = True
        self._listing = self._tokens[here.start] in ("no", "without", "not")

    def _words(self, found: Found) -> str:
        return " ".join(self._tokens[found.start : found.end])
