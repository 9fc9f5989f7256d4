"""What a model has seen in training, as hashes: images, frequent reports, and how these are worded.

A report of a training image may be known by heart, and one that equals the most frequent training
reports may say nothing of the picture: both are flagged. Hashes tell whoever has the image or the
report that it was there, and nobody else anything.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from kia.files.tensors import optional_tensors, read_header
from kia.imaging.plausibility import Flag
from kia.knowledge.sentences import sentences

FREQUENT = 10
"""Reports that count as the most frequent ones."""
FEWEST = 2
"""Times that a report must have been there to be one of them."""
MOST_PHRASES = 1 << 20
"""The commonest are kept: 8 MB."""
ROW = 4
"""Words in a row that are compared."""
FEWEST_WORDS = 5
"""Of a sentence that is put together from known rows; a shorter one may be a torn-off end."""
_TENSORS = ("images", "phantoms", "phrases", "reports")
_TOKEN = re.compile(r"[^\W_]+|[,;:]")
_WORD = re.compile(r"[^\W_]+")


class Seen:
    """Hashes of what a model was trained on; a file of its folder.

    Attributes:
        images: Of the squares that it was shown.
        reports: Of its most frequent reports.
        phantoms: Whether its images were phantoms.
        phrases: Of its training sentences, and of every `ROW` words in a row of them.
    """

    FILE = "seen.safetensors"

    def __init__(
        self,
        images: Iterable[int],
        reports: Iterable[int],
        phantoms: bool = False,
        phrases: Iterable[int] = (),
    ) -> None:
        """From hashes."""
        self.phrases = frozenset(phrases)
        self.images, self.reports = frozenset(images), frozenset(reports)
        self.phantoms = phantoms

    @classmethod
    def learn(
        cls,
        squares: Iterable[npt.NDArray[np.uint8]],
        reports: Iterable[str],
        phantoms: bool = False,
    ) -> Self:
        """Of training studies.

        Args:
            squares: uint8 (S, S) each, as the model reads them, before augmentation.
            reports: The target texts.
            phantoms: Whether the images are phantoms.
        """
        texts = [report for report in reports if report.strip()]  # there may be labels alone
        counted = Counter(map(_report_hash, texts)).most_common(FREQUENT)
        phrases = Counter(h for text in texts for one in sentences(text) for h in _phrases(one))
        frequent = [one for one, n in counted if n >= FEWEST]
        common = [one for one, _ in phrases.most_common(MOST_PHRASES)]
        return cls(map(_image_hash, squares), frequent, phantoms, common)

    def words(self, sentence: str) -> bool:
        """Whether training reports word a sentence so.

        It occurs among them; or it has `FEWEST_WORDS` words or more, and every `ROW` of them in a
        row, its beginning and end included, do.
        """
        whole, *rows = _phrases(sentence)
        if whole in self.phrases:
            return True
        return len(_TOKEN.findall(sentence)) >= FEWEST_WORDS and self.phrases.issuperset(rows)

    def flags(self, squares: npt.NDArray[np.uint8], raw: str | None = None) -> Iterator[Flag]:
        """Of a study.

        Args:
            squares: uint8 (W, S, S).
            raw: Its report, as the decoder wrote it; None if there is none.
        """
        for view, square in enumerate(squares):
            if _image_hash(square) in self.images:
                yield Flag(view=view, kind="training image", message=TRAINING_IMAGE)
        if raw is not None and _report_hash(raw) in self.reports:
            yield Flag(view=0, kind="frequent report", message=FREQUENT_REPORT)

    def save(self, folder: Path) -> None:
        """Writes seen.safetensors (8 bytes an image) into a model folder."""
        tensors = {
            name: np.array(sorted(values), np.int64)
            for name, values in (
                ("images", self.images),
                ("reports", self.reports),
                ("phrases", self.phrases),
            )
        } | {"phantoms": np.array([self.phantoms], np.int64)}
        save_file(tensors, folder / self.FILE, {"format": "kia-seen 1"})

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Reads what `save` wrote; None if the folder has no such file, as old models.

        Raises:
            ModelError: The file is damaged.
        """
        file = folder / cls.FILE
        if not os.path.lexists(file):
            return None
        with optional_tensors(file):
            header = read_header(file)
            known = {name: (one.dtype, len(one.shape)) for name, one in header.items()}
            if known != dict.fromkeys(_TENSORS, ("I64", 1)):
                raise ValueError("other names, shapes or types than kia writes")
            found = load_file(file)
        phantoms = bool(found["phantoms"].any())
        images, reports, phrases = (
            found[name].tolist() for name in ("images", "reports", "phrases")
        )
        return cls(images, reports, phantoms, phrases)


TRAINING_IMAGE = (
    "This picture is a training image of this model, which may know its report by heart."
)
FREQUENT_REPORT = (
    f"The report is, word for word, one of the {FREQUENT} most frequent of the training data: it "
    "may say nothing of this picture."
)


def _image_hash(square: npt.NDArray[np.uint8]) -> int:
    return _hash(np.ascontiguousarray(square).tobytes())


def _report_hash(report: str) -> int:
    """By its words alone: a decoder spaces and spells in its own way."""
    return _hash(" ".join(_WORD.findall(report.lower())).encode())


def _phrases(sentence: str) -> Iterator[int]:
    """Hashes of a sentence and of every `ROW` words in a row, with its beginning and end."""
    words = ["<", *_TOKEN.findall(sentence.lower()), ">"]
    yield _hash(" ".join(words).encode())
    for start in range(max(1, len(words) - ROW + 1)):
        yield _hash((" ".join(words[start : start + ROW]) + "\0").encode())


def _hash(content: bytes) -> int:
    return int.from_bytes(blake2b(content, digest_size=8).digest(), "big", signed=True)
