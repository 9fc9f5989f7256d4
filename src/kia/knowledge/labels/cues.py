"""Cues of certainty in a sentence: what each makes of the mentions before or after it.

What a cue behind its subject governs is decided in `kia.knowledge.scope`.
"""

from kia.knowledge.labels.clause import ClauseReader, Mention
from kia.knowledge.phrases import Found
from kia.knowledge.scope import RESOLUTION, reach_back, wants_plural

_ENDS = frozenset(".!?;:)|/")  # nothing that a cue could reach follows these
_ASKS = frozenset((":", "-", "?", "=", "(", "–", "—"))
_HAS = ("has", "have", "had")


class CueReader(ClauseReader):
    """A clause reader that hears the cues of `scope.yaml`."""

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
        if self._clause == len(self.mentions) and self.mentions and self._answers(here):
            self._clause -= 1  # "It was seen earlier but no longer"
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

    # Cues that reach back

    def _negation_after(self, here: Found) -> None:
        self._settle_back(here, 0)

    def _uncertainty_after(self, here: Found) -> None:
        self._settle_back(here, -1)

    def _negation_either(self, here: Found) -> None:
        if self._clause < len(self.mentions) and not self._narrows(here):
            self._settle_back(here, 0)
        else:
            self._set_cue("negation", here)
            self._verb = True  # "Resolved pneumonia, atelectasis": it ends at the comma

    def _narrows(self, here: Found) -> bool:
        """Whether a cue is the adjective of what follows: "suggesting resolved pneumonia"."""
        following = self._found[self._index + 1 : self._index + 2]
        near = following and following[0].term.role in ("finding", "other")
        if not near or following[0].start - here.end > 1:
            return False
        return "verb" not in self._between and self.mentions[-1].end != here.start

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
        """Whether other words are the subject: "effusion is seen, the rest is not"."""
        separator = self._separator
        if separator is None or not self.mentions or "closed" not in self._between:
            return False
        return separator.start >= self.mentions[-1].end and cue.start - separator.end > 1

    # Resolution that is none

    def _persists(self, here: Found) -> None:
        """ "Partial resolution of": it is still there."""
        self.understood = True
        if self._under("negation"):
            self._cue = None  # "no change or resolution of the effusion"

    def _unfinished(self, here: Found) -> None:
        """ "Resolution of the effusion is incomplete": it is still there."""
        for mention in self._governed(here):
            if mention.state == 0 and not RESOLUTION.isdisjoint(mention.rule.split()):
                mention.settle(1, f"persists: {self._words(here)}")
