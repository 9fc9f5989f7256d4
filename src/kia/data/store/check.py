"""What a prepared data set holds, whether it is whole, and what its splits share."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from kia.data.reports import normalise, words
from kia.data.store.chunks import Tally
from kia.data.store.dataset import PreparedDataset
from kia.data.store.description import damaged
from kia.data.store.rows import STATES, content_hash, row_digest
from kia.knowledge.chexpert import OBSERVATIONS
from kia.knowledge.language import ENGLISH, language_of
from kia.studies import SPLITS, VIEWS, Split, Study

FEWEST_WORDS = 4
"""Reports with fewer are named: "As above." is no target."""


def check_dataset(
    dataset: PreparedDataset, advance: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Read everything once.

    Args:
        dataset: An opened data set.
        advance: Called after each study.

    Returns:
        {"splits": {split: {"studies", "patients", "frontal", "lateral", "mean_words",
        "median_words", "max_words", "repeated_reports", "reports_in_train"}}, "labels":
        {observation: {"present", "absent", "uncertain", "silent"}}, "same_images": [[{"id",
        "view", "split"}]], "short_reports": {text: count}, "other_languages":
        {code of `kia.knowledge.language`: count}, "patients_in_two_splits",
        "images_in_two_splits", "blank_images", "rejects", "hash", "source", "deidentified",
        "image_size", "knowledge": {split: counts of `KnowledgeCoverage`}}. A
        repeated report is word for word that of another study in its split; a short one has fewer
        than `FEWEST_WORDS` words, the most frequent first; same images are equal in every pixel; a
        blank one has one grey value.

    Raises:
        DataError: The content is not what was prepared; names the first study that differs.
    """
    found = _Found()
    for index, study, pixels in _verified(dataset):
        found.add(index, study, pixels)
        advance()
    rows = (dataset.row(index, ("digest",)) for index in range(len(dataset)))
    if content_hash(row["digest"] for row in rows) != dataset.info["content_hash"]:
        raise damaged(dataset.path, "studies are missing, or in another order")
    stated = Tally.from_record(dataset.info)
    if (stated.counts, stated.images) != (found.tally.counts, found.tally.images):
        raise damaged(dataset.path, "dataset.json states other counts")
    same = [[_image(dataset, *place) for place in places] for places in found.same.values()]
    return {
        "source": dataset.info["source"],
        "deidentified": bool(dataset.info.get("settings", {}).get("deidentified")),
        "image_size": dataset.image_size,
        "hash": dataset.info["content_hash"],
        "rejects": dataset.info["rejects"],
        "patients_in_two_splits": sorted(p for p, s in found.patients.items() if len(s) > 1),
        "images_in_two_splits": sum(len({i["split"] for i in images}) > 1 for images in same),
        "same_images": same,
        "blank_images": found.blank,
        "short_reports": dict(found.short.most_common()),
        "other_languages": dict(found.languages.most_common()),
        "knowledge": {split: asdict(found.tally.knowledge[split]) for split in SPLITS},
        "labels": {name: dict(found.labels[name]) for name in OBSERVATIONS},
        "splits": {split: found.summary(split) for split in SPLITS},
    }


@dataclass
class _Found:
    """What is gathered study by study; texts and images are kept as hashes."""

    tally: Tally = field(default_factory=Tally)
    blank: int = 0
    first: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    same: dict[bytes, list[tuple[int, int]]] = field(default_factory=dict)
    patients: dict[str, set[str]] = field(default_factory=dict)
    reports: dict[str, Counter[bytes]] = field(
        default_factory=lambda: {split: Counter() for split in SPLITS}
    )
    short: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    lengths: dict[str, list[int]] = field(default_factory=lambda: {split: [] for split in SPLITS})
    views: Counter[tuple[str, str]] = field(default_factory=Counter)
    labels: dict[str, Counter[str]] = field(
        default_factory=lambda: {
            name: Counter(dict.fromkeys(STATES.values(), 0)) for name in OBSERVATIONS
        }
    )

    def add(self, index: int, study: Study, pixels: npt.NDArray[np.uint8]) -> None:
        self.tally.add(study)
        self.views.update((study.split, image.view) for image in study.images)
        if study.patient is not None:
            self.patients.setdefault(study.patient, set()).add(study.split)
        self.reports[study.split][_hash(normalise(study.report).encode())] += 1
        said = words(study.report)
        self.lengths[study.split].append(len(said))
        if sum(word[0].isalnum() for word in said) < FEWEST_WORDS:
            self.short[normalise(study.report)] += 1
        if (language := language_of(study.report)) != ENGLISH:
            self.languages[language] += 1
        for name, state in (study.labels or {}).items():
            self.labels[name][STATES[state]] += 1
        for number, image in enumerate(pixels):
            self.blank += bool(image.min() == image.max())
            key = _hash(image.tobytes())
            if (first := self.first.setdefault(key, (index, number))) != (index, number):
                self.same.setdefault(key, [first]).append((index, number))

    def summary(self, split: Split) -> dict[str, Any]:
        reports, lengths = self.reports[split], self.lengths[split]
        patients = sum(split in splits for splits in self.patients.values())
        in_train = sum(n for report, n in reports.items() if report in self.reports["train"])
        return {
            "studies": len(lengths),
            "patients": patients or None,
            **{view: self.views[split, view] for view in VIEWS},
            "mean_words": float(np.mean(lengths)) if lengths else None,
            "median_words": float(np.median(lengths)) if lengths else None,
            "max_words": max(lengths, default=None),
            "repeated_reports": sum(count for count in reports.values() if count > 1),
            "reports_in_train": None if split == "train" else in_train,
        }


def _verified(dataset: PreparedDataset) -> Iterator[tuple[int, Study, npt.NDArray[np.uint8]]]:
    """Number, study and pixels of each study; DataError at the first that is not as written."""
    for index in range(len(dataset)):
        row, pixels = dataset.row(index), dataset.pixels(index)
        if row_digest(row, pixels) != row["digest"]:
            name = " ".join(row["id"].split())[:80]
            raise damaged(dataset.path, f"study {name} is not as it was prepared")
        yield index, dataset.study(index), pixels


def _image(dataset: PreparedDataset, index: int, number: int) -> dict[str, str]:
    row = dataset.row(index, ("id", "split", "views"))
    return {"id": row["id"], "view": row["views"][number], "split": row["split"]}


def _hash(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
