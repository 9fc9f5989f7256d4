"""Data sets of earlier versions open; what a later version says is not lost.

`version-0.1` was written by kia 0.1 (commit 10237cb): four phantoms of 32 pixels and a reject.
"""

import json
import shutil
from dataclasses import fields
from pathlib import Path

import pytest

from kia.data.readers.phantoms import DrawnMasks, read_truth
from kia.data.store.check import check_dataset
from kia.data.store.dataset import PreparedDataset
from kia.data.store.description import Coverage
from kia.knowledge.masks.coverage import KnowledgeCoverage

OLD = Path(__file__).with_name("version-0.1")


def test_a_data_set_of_version_0_1_opens_and_is_whole() -> None:
    dataset = PreparedDataset.open(OLD)
    assert dataset.info["kia_version"].startswith("0.1.") and dataset.info["format_version"] == 3
    written = json.loads((OLD / "dataset.json").read_text())
    assert check_dataset(dataset)["hash"] == written["content_hash"]
    assert dataset.rejects() == [{"what": "lost", "why": "no such image"}]
    ids = {study.id for study in dataset.studies()}
    assert len(ids) == 4 and read_truth(dataset).keys() == ids
    assert DrawnMasks(dataset).mask(0).shape == (32, 32)


def test_every_count_of_knowledge_is_kept() -> None:
    assert set(Coverage.model_fields) == {field.name for field in fields(KnowledgeCoverage)}


@pytest.mark.parametrize("key", ["of a later version", "settings"])
def test_keys_of_a_later_version_do_no_harm(key: str, tmp_path: Path) -> None:
    shutil.copytree(OLD, tmp_path / "set")
    said = json.loads((OLD / "dataset.json").read_text()) | {key: {"new": [1]}}
    (tmp_path / "set" / "dataset.json").write_text(json.dumps(said))
    dataset = PreparedDataset.open(tmp_path / "set")
    assert len(dataset) == 4 and dataset.info[key] == {"new": [1]}
