"""What a prepared data set holds, and whether it is whole."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from kia.data.reports import normalise, words
from kia.data.store import PreparedDataset
from kia.data.store_writer import hash_study
from kia.errors import DataError
from kia.knowledge.coverage import KnowledgeCoverage
from kia.studies import SPLITS, VIEWS


def check_dataset(
    dataset: PreparedDataset, advance: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Read everything once.

    Args:
        dataset: An opened data set.
        advance: Called after each study.

    Returns:
        {"splits": {split: {"studies", "frontal", "lateral", "mean_words", "max_words",
        "repeated_reports", "reports_in_train"}}, "images_in_two_splits", "rejects", "hash",
        "source", "image_size", "knowledge": {split: counts of `KnowledgeCoverage`}}. A repeated
        report is word for word that of another study in its split.

    Raises:
        DataError: The content is not what was prepared.
    """
    digest = hashlib.sha256()
    reports: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    views: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    knowledge = {split: KnowledgeCoverage() for split in SPLITS}
    split_of_image: dict[bytes, set[str]] = {}
    for index in range(len(dataset)):
        study, pixels = dataset.study(index), dataset.pixels(index)
        hash_study(digest, study, pixels)
        reports[study.split][normalise(study.report)] += 1
        views[study.split].update(image.view for image in study.images)
        knowledge[study.split].add(study)
        for image in pixels:
            key = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
            split_of_image.setdefault(key, set()).add(study.split)
        advance()
    if digest.hexdigest() != dataset.info["content_hash"]:
        raise DataError(
            f"{dataset.path}: damaged data set (content hash differs); prepare it again"
        )
    return {
        "source": dataset.info["source"],
        "image_size": dataset.image_size,
        "hash": dataset.info["content_hash"],
        "rejects": dataset.info["rejects"],
        "images_in_two_splits": sum(len(splits) > 1 for splits in split_of_image.values()),
        "knowledge": {split: asdict(knowledge[split]) for split in SPLITS},
        "splits": {
            split: _summary(reports[split], views[split], reports["train"]) for split in SPLITS
        },
    }


def _summary(reports: Counter[str], views: Counter[str], train: Counter[str]) -> dict[str, Any]:
    studies = sum(reports.values())
    lengths = {report: len(words(report)) for report in reports}
    total = sum(lengths[report] * count for report, count in reports.items())
    return {
        "studies": studies,
        **{view: views[view] for view in VIEWS},
        "mean_words": total / studies if studies else None,
        "max_words": max(lengths.values(), default=None),
        "repeated_reports": sum(count for count in reports.values() if count > 1),
        "reports_in_train": (
            None
            if reports is train
            else sum(count for report, count in reports.items() if report in train)
        ),
    }
