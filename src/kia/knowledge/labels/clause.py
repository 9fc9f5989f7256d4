"""Mentions of a clause, and the cues that change them.

A cue ("no", "may", "history of") reaches forward to the end of its clause or list; other cues
("has resolved", "cannot be excluded") reach back over the list that ends before them.
"""

from dataclasses import dataclass

from kia.knowledge.labels.phrases import Found

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
        if self._cue is not None:
            kind, cue = self._cue
            mention.settle(_FORWARD[kind], f"{kind}: {self._words(cue)}")
        self.mentions.append(mention)
        joint, self._joint = self._joint, None
        if joint is not None:
            self._join(joint)
        self._linked, self._cue_fresh = True, False

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
        if here.end == len(self._tokens) and self._clause < len(self.mentions):
            self._settle_back(here, 0)  # "Effusion: no"
        else:
            self._set_cue("negation", here)

    def _uncertainty_before(self, here: Found) -> None:
        # "no opacity suggesting pneumonia" stays a negation
        if not self._under("negation") or self._separated(here):
            self._set_cue("uncertainty", here)

    def _question(self, here: Found) -> None:
        self._set_cue("question", here)

    def _set_cue(self, kind: str, here: Found) -> None:
        self._cue, self._cue_fresh = (kind, here), True
        self._verb = self._linked = False
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
        if self._follows(("finding", "other", "subject"), until=("stop",)):
            self._uncertainty_before(here)
        else:
            self._settle_back(here, -1)

    def _settle_back(self, cue: Found, state: int) -> None:
        """Settles the last mention, and those that its list joins to it."""
        kind = "negation" if state == 0 else "uncertainty"
        for mention in reversed(self.mentions[self._clause :]):
            if mention.state != 0:
                mention.settle(state, f"{kind}: {self._words(cue)}")
            if not mention.linked:
                break
        self._cue, self._linked = None, False

    # Where reaches end

    def _stop(self, here: Found) -> None:
        self._end_clause()

    def _relative(self, here: Found) -> None:
        self._cue, self._linked = None, False

    def _comma(self, here: Found) -> None:
        self._separator = here
        # "given the history of cancer, a mass is likely"
        answered = self._under("question") and self._follows(_STATES, until=())
        if answered or (self._verb and not self._list_goes_on()):
            self._cue = None

    def _opening(self, here: Found) -> None:
        """ "No pneumothorax, small effusion": the adjective opens a new statement."""
        if self._separated(here) and not self._list_goes_on():
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

    def _verb_seen(self, here: Found) -> None:
        self._verb = True

    def _neutral(self, here: Found) -> None:
        self.understood = True

    def _not_a_cue(self, here: Found) -> None:
        """ "No change in effusion or edema" lists both, it does not choose."""
        self.understood = True
        self._listing = self._tokens[here.start] in ("no", "without", "not")

    def _words(self, found: Found) -> str:
        return " ".join(self._tokens[found.start : found.end])
