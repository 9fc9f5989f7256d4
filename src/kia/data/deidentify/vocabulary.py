"""Words that tell names from other capitalised words."""

from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

_ENDINGS = (
    *("tion", "ity", "ous", "itis", "osis", "emia", "oma", "ectomy", "otomy", "ostomy", "scopy"),
    *("graphy", "gram", "ated", "ating", "ology", "ment", "ness", "ency", "ically", "genic"),
)


@dataclass(frozen=True)
class Vocabulary:
    """Lower-case words.

    Attributes:
        roles: Never a name.
        words: Names only after a title.
        houses: What hospitals are called that have no name of their own ("outside hospital").
        eponyms: Of signs, diseases, operations, devices; some of several words.
        given: Frequent given names that are no other words.
        surnames: Frequent ones; many are words, too.
    """

    roles: frozenset[str]
    words: frozenset[str]
    houses: frozenset[str]
    eponyms: frozenset[str]
    given: frozenset[str]
    surnames: frozenset[str]

    def is_ordinary(self, word: str) -> bool:
        """Whether a lower-case word is one of radiology or English, perhaps inflected."""
        if word in self.words or word in self.roles or word.endswith(_ENDINGS):
            return True
        if word.endswith("s") and word[:-1] in self.words:
            return True
        first, hyphen, _ = word.partition("-")
        return bool(hyphen) and self.is_ordinary(first)


@cache
def vocabulary() -> Vocabulary:
    """The words in the files beside this one."""
    folder = resources.files("kia.data.deidentify")
    listed = yaml.safe_load(folder.joinpath("vocabulary.yaml").read_text(encoding="utf-8"))
    names = {
        name: frozenset(
            word
            for line in folder.joinpath(f"{name}.txt").read_text(encoding="utf-8").splitlines()
            if not line.startswith("#")
            for word in line.split()
        )
        for name in ("given_names", "surnames")
    }
    return Vocabulary(
        roles=frozenset(str(listed["roles"]).split()),
        words=frozenset(str(listed["words"]).split()),
        houses=frozenset(str(listed["houses"]).split()),
        eponyms=frozenset(str(name) for name in listed["eponyms"]),
        given=names["given_names"],
        surnames=names["surnames"],
    )
