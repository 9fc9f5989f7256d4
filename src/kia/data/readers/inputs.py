"""What a reader hands to preparation: numbered inputs that can be read from anywhere on."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from kia.errors import DataError, UsageError
from kia.files.regular import open_file
from kia.imaging.workers import Reject
from kia.studies import Study

Input = Sequence[Study | Reject]
"""What became of one input: its missing images, then the study, or the reason why it is none."""


class Inputs(Protocol):
    """A collection as its reader sees it: the same files give the same inputs in the same order.

    Its length is the number of inputs.
    """

    @property
    def ids(self) -> Sequence[str]:
        """Of the studies, as far as they are known before reading."""

    @property
    def studies(self) -> Mapping[str, str]:
        """Id → id of the study it is an image of, for labels and graphs by study; {} if none is."""

    @property
    def files(self) -> Sequence[Path]:
        """The files that say what the inputs are.

        Not the images, nor reports in files of their own, which are read with their study.
        """

    def __len__(self) -> int: ...

    def read(self, which: range) -> Iterator[Input]:
        """The inputs with these numbers."""


class ListedInputs:
    """Inputs that lie in memory.

    Args:
        inputs: All of them.
        files: As in `Inputs`.
    """

    def __init__(self, inputs: Sequence[Input], files: Sequence[Path] = ()) -> None:
        self._inputs = inputs
        self.ids = [item.id for items in inputs for item in items if isinstance(item, Study)]
        self.studies: Mapping[str, str] = {}
        self.files = files

    def __len__(self) -> int:
        return len(self._inputs)

    def read(self, which: range) -> Iterator[Input]:
        """The inputs with these numbers."""
        return iter(self._inputs[which.start : which.stop])


@dataclass(frozen=True, slots=True)
class Part:
    """One of several parts of a preparation; its text is "3/16".

    Attributes:
        number: 1 to `of`.
        of: How many parts there are.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The part called "3/16"; UsageError if there is none of that name."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise UsageError(f"--part {text}: write 3/16 for the third of sixteen parts")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def cut(self, total: int) -> range:
        """Numbers of the inputs of this part among `total`; the parts follow each other."""
        return range(total * (self.number - 1) // self.of, total * self.number // self.of)


def fingerprint(inputs: Inputs, files: Iterable[Path] = ()) -> str:
    """Hash of what the inputs are, wherever their files lie.

    Args:
        inputs: Their ids and files count.
        files: More files that decide what is stored.

    Raises:
        DataError: A file cannot be read.
    """
    digest = hashlib.sha256()
    for path in (*inputs.files, *files):
        try:
            with open_file(path) as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}") from error
    digest.update(b"ids")
    for name in inputs.ids:
        digest.update(name.encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()
