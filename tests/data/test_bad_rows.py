"""One bad row is one line of rejects.jsonl, whatever is wrong with it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kia.cli.data.command import app
from kia.data.store.check import check_dataset
from kia.data.store.dataset import PreparedDataset

GOOD = {"id": "good", "image": "good.png", "report": "Clear lungs.", "split": "train"}
BAD: dict[str, dict[str, Any]] = {
    "a loop of links": {"image": "loop.png"},
    "a loop of links on the way": {"image": "loop.png/a.png"},
    "a loop in the middle": {"image": "../{here}/loop.png/../good.png"},
    "half of a character in the report": {"report": "Clear \ud83d lungs."},
    "half of a character in the id": {"id": "b\udc80d"},
    "half of a character in the path": {"image": "\ud800.png"},
    "half of a character in the patient": {"patient": "\ud800"},
    "half of a character in the view": {"view": "\ud800"},
    "half of a character in a label": {"labels": "\ud800=1"},
    "a null character in the path": {"image": "a\0.png"},
    "a path too long": {"image": "a" * 5000},
    "a folder": {"image": "."},
    "a pipe": {"image": "pipe.png"},
    "deep labels": {"labels": '{"Edema": ' * 5000},
    "labels of thousands of digits": {"labels": '{"Edema": ' + "9" * 5000 + "}"},
    "labels named twice": {"labels": '{"Edema": 1, "Edema": 0}'},
    "labels that are a list": {"labels": "[]"},
    "an image that is a list of objects": {"image": [{"a": 1}]},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    import os

    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20)).save(folder / "good.png")
    (folder / "loop.png").symlink_to("loop.png")
    os.mkfifo(folder / "pipe.png")
    return folder


@pytest.mark.parametrize("what", BAD)
def test_a_bad_row_is_rejected_and_the_others_are_kept(
    what: str, folder: Path, tmp_path: Path
) -> None:
    bad = GOOD | {"id": "bad"} | BAD[what]
    if isinstance(bad["image"], str):
        bad["image"] = bad["image"].replace("{here}", folder.name)
    rows = [bad, GOOD, bad | {"id": f"{bad['id']} again"}]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "set"
    words = ["manifest", str(folder / "rows.jsonl"), "--size", "32", "--workers", "1"]
    app([*words, "--out", str(out)], standalone_mode=False)
    dataset = PreparedDataset.open(out)
    assert [study.id for study in dataset.studies()] == ["good"]
    rejects = dataset.rejects()
    assert len({reject["what"].partition(" (")[0] for reject in rejects}) == 2
    assert all("\n" not in reject["why"] and len(reject["why"]) < 6000 for reject in rejects)
    assert "Clear" not in json.dumps(rejects), "a reject quotes no report"
    assert check_dataset(dataset)["rejects"] == len(rejects)
