"""A fake IU X-Ray folder of twelve studies."""

import csv
import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from kia.data import iu_xray


class FakeIUXRay:
    """Twelve studies under Kaggle's names; tests change them before `write`."""

    counts: ClassVar = {"train": 8, "val": 2, "test": 2}

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        splits = [split for split, count in self.counts.items() for _ in range(count)]
        self.annotation: dict[str, list[dict]] = {split: [] for split in self.counts}
        self.projections: list[tuple[str, str, str]] = []
        self.reports: list[dict[str, str]] = []
        (folder / "images").mkdir(parents=True)
        for uid, split in enumerate(splits, start=1):
            report = f"Heart size normal. Report {uid}."
            self.annotation[split].append(
                {"id": f"CXR{uid}_IM-{uid:04d}", "report": report, "split": split}
            )
            self.reports.append({"uid": str(uid), "findings": report, "impression": "Normal."})
            for number, view in ((1001, "Frontal"), (2001, "Lateral"), (3001, "Frontal")):
                name = f"{uid}_IM-{uid:04d}-{number}.dcm.png"
                self.projections.append((str(uid), name, view))
                pixels = np.full((20, 16), 10 * uid + number // 1000, np.uint8)
                Image.fromarray(pixels).save(self.image(name))

    def image(self, name: str) -> Path:
        return self.folder / "images" / name.replace(".png", ".jpg")

    def write(self) -> "FakeIUXRay":
        (self.folder / "annotation.json").write_text(json.dumps(self.annotation))
        with (self.folder / "projections.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("uid", "filename", "projection"), *self.projections])
        columns = ["uid", "indication", "comparison", "findings", "impression"]
        with (self.folder / "reports.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.reports)
        return self

    def files(self) -> tuple[Path, Path, Path, Path]:
        names = ("images", "annotation.json", "reports.csv", "projections.csv")
        return tuple(self.folder / name for name in names)  # type: ignore[return-value]

    def read(self, **options):
        return iu_xray.read_iu_xray(*self.write().files(), **options)


@pytest.fixture
def fake(tmp_path, monkeypatch) -> FakeIUXRay:
    monkeypatch.setattr(iu_xray, "SPLIT_COUNTS", FakeIUXRay.counts)
    return FakeIUXRay(tmp_path / "iu")
