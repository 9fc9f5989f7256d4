"""METEOR's tables for English, from pycocoevalcap: paraphrases, WordNet's synonyms, function words.

They are read from the package once, and then lie as memory-mapped arrays in the cache folder.
"""

import zipfile
import zlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kia.errors import DataError
from kia.evaluation.language.meteor.hashes import LineHashes, phrase_hash
from kia.evaluation.language.meteor.normal import abbreviations
from kia.evaluation.language.tables import Arrays, cached_arrays, package_file
from kia.files.regular import open_file

_BLOCK = 1 << 21  # bytes of text that are worked on at a time
_DETACHED = "s= ses=s xes=x zes=z ches=ch shes=sh men=man ies=y es=e es= ed=e ed= ing=e ing= "
_DETACHED += "er= est= er=e est=e"
_RULES = [rule.partition("=")[::2] for rule in _DETACHED.split()]
"""WordNet's rules for the base form of a word: ending, what stands for it."""


class Groups(NamedTuple):
    """Lists of numbers under a key.

    Attributes:
        keys: Sorted, (n,).
        ends: Where the lists of the keys end in `values`; the first begins at 0, (n,).
        values: The lists one after another.
    """

    keys: np.ndarray
    ends: np.ndarray
    values: np.ndarray

    def of(self, key: int) -> np.ndarray:
        """The list of a key; empty if there is none."""
        at = bisect_left(self.keys, key)
        if at == len(self.keys) or self.keys[at] != key:
            return self.values[:0]
        return self.values[self.ends[at - 1] if at else 0 : self.ends[at]]

    def spans(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the lists of keys begin in `values`, and their lengths; 0 for those without."""
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        ends = self.ends[at].astype(np.int64)
        begins = np.where(at > 0, self.ends[at - 1], 0).astype(np.int64)
        return begins, np.where(self.keys[at] == keys, ends - begins, 0)


class Resources:
    """What METEOR knows of English. See `paraphrases` for how phrases are named.

    Attributes:
        paraphrases: Hash of a phrase → hashes of what says the same, in the order of the file.
        longest: Words of the longest phrase.
        function_words: Words that count less.
        abbreviations: As `kia.evaluation.language.meteor.normal.words` takes them.
    """

    def __init__(self, arrays: Arrays) -> None:
        self.paraphrases = _groups(arrays, "paraphrase")
        self.longest = int(arrays["longest"][0])
        self.function_words = frozenset(_text(arrays, "function_words").splitlines())
        self.abbreviations = abbreviations(_text(arrays, "abbreviations"))
        self._synsets = _groups(arrays, "synset")
        lines = _text(arrays, "exceptions").splitlines()
        self._bases: dict[str, list[str]] = {}
        for base, forms in zip(lines[::2], lines[1::2], strict=False):
            for form in forms.split():
                self._bases.setdefault(form, []).append(base)

    def synsets(self, word: str) -> set[int]:
        """WordNet's senses of a word and of its base forms."""
        bases = self._bases.get(word) or [self._base(word)]
        return {int(sense) for form in (word, *bases) for sense in self._senses(form)}

    def _senses(self, word: str) -> np.ndarray:
        return self._synsets.of(phrase_hash(word))

    def _base(self, word: str) -> str:
        """The base form by rule, which METEOR looks up with "ful" behind it again."""
        again = "ful" if word.endswith("ful") else ""
        if word.endswith("ss") or len(word) <= 2:
            return word
        for ending, replaced in _RULES:
            if word.endswith(ending):
                base = word.removesuffix(ending) + replaced
                if len(self._senses(base)):
                    return base + again
        return ""


@cache
def resources() -> Resources:
    """The tables of the installed pycocoevalcap.

    Raises:
        MissingDependency: It is not installed.
        DataError: Its files are not those that are known.
    """
    jar = package_file("meteor", "meteor-1.5.jar")
    table = package_file("meteor", "data", "paraphrase-en.gz")
    return Resources(cached_arrays("meteor-en-1", [jar, table], lambda: _built(jar, table)))


def _groups(arrays: Arrays, name: str) -> Groups:
    return Groups(arrays[f"{name}_keys"], arrays[f"{name}_ends"], arrays[f"{name}_values"])


def _text(arrays: Arrays, name: str) -> str:
    return arrays[name].tobytes().decode("utf-8")


def _built(jar: Path, table: Path) -> Arrays:
    try:
        with zipfile.ZipFile(jar) as archive:
            texts = {
                "function_words": archive.read("function/english.words"),
                "abbreviations": archive.read("nonbreaking/english.prefixes"),
                "exceptions": archive.read("synonym/english.exceptions"),
            }
            senses = _senses_of(archive.read("synonym/english.synsets").decode("utf-8"))
        paraphrases, longest = _paraphrases_of(table)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, zlib.error):
        raise DataError(f"{table.parent}: not METEOR 1.5; install pycocoevalcap 1.2 anew") from None
    return {
        **{name: np.frombuffer(text, np.uint8) for name, text in texts.items()},
        **_stored("synset", senses),
        **_stored("paraphrase", paraphrases),
        "longest": np.array([longest], np.int32),
    }


def _stored(name: str, groups: Groups) -> Mapping[str, np.ndarray]:
    return {f"{name}_{part}": value for part, value in groups._asdict().items()}


def _senses_of(text: str) -> Groups:
    """Of lines in turn with a word and the numbers of its senses."""
    lines = text.splitlines()
    senses = dict(zip(lines[::2], lines[1::2], strict=False))
    block = np.frombuffer("\n".join([*senses, ""]).encode("utf-8"), np.uint8)
    ends = np.flatnonzero(block == ord("\n"))
    keys = LineHashes(len(block)).of(block, np.concatenate([[0], ends[:-1] + 1]), ends)
    lists = [line.split() for line in senses.values()]
    values = np.array([int(sense) for senses in lists for sense in senses], np.int32)
    return _grouped(np.repeat(keys, [len(senses) for senses in lists]), values)


def _grouped(keys: np.ndarray, values: np.ndarray) -> Groups:
    """Numbers under their keys, in the order in which they came."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    ends = np.flatnonzero(np.concatenate([keys[1:] != keys[:-1], [True]])) + 1
    return Groups(keys[ends - 1], ends.astype(np.int32), values[order])


def _paraphrases_of(table: Path) -> tuple[Groups, int]:
    """Of lines in turn with a probability, a phrase and its paraphrase."""
    keys, values, longest = [], [], 0
    hashes = LineHashes(2 * _BLOCK)
    for block in _whole_entries(table):
        ends = np.flatnonzero(block == ord("\n"))
        begins = np.concatenate([[0], ends[:-1] + 1])
        found = hashes.of(block, begins, ends).reshape(-1, 3)
        blanks = np.concatenate([[0], np.cumsum(block == ord(" "))])
        longest = max(longest, 1 + int((blanks[ends] - blanks[begins]).max()))
        keys.append(found[:, 1])
        values.append(found[:, 2])
    return _grouped(np.concatenate(keys), np.concatenate(values)), longest


def _whole_entries(table: Path) -> Iterator[np.ndarray]:
    """The text of a gzip file, in blocks that end with an entry of three lines."""
    unpacker = zlib.decompressobj(wbits=31)
    left = b""
    with open_file(table) as file:
        while not unpacker.eof:
            packed = unpacker.unconsumed_tail or file.read(_BLOCK)
            if not packed:
                raise ValueError("cut off")
            text = left + unpacker.decompress(packed, _BLOCK)
            ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
            if whole := len(ends) // 3 * 3:
                end = int(ends[whole - 1]) + 1
                yield np.frombuffer(text[:end], np.uint8)
                text = text[end:]
            left = text
    if left:
        raise ValueError("an entry that is not whole")
