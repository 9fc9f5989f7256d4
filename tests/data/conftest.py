"""A fake IU X-Ray folder of twelve studies."""

import csv
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from kia.data.readers.iu_xray import studies as iu_xray


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

    def xml(self, uid: int) -> str:
        """The report as Open-i hands it out; its images keep a number that Kaggle dropped."""
        report = self.reports[uid - 1]
        texts = "".join(
            f'<AbstractText Label="{name.upper()}">{report.get(name, "")}</AbstractText>'
            for name in ("comparison", "indication", "findings", "impression")
        )
        names = sorted(name for number, name, _ in self.projections if number == str(uid))
        images = "".join(
            f'<parentImage id="CXR{"1_" if uid == 1 else ""}{name.removesuffix(".dcm.png")}"/>'
            for name in names
        )
        return (
            '<?xml version="1.0" encoding="utf-8"?><eCitation>'
            f'<uId id="CXR{uid}"/><MedlineCitation><Article><Abstract>{texts}</Abstract></Article>'
            f"</MedlineCitation>{images}</eCitation>"
        )

    def write_xml(self) -> Path:
        """The folder that NLMCXR_reports.tgz unpacks to."""
        folder = self.folder / "ecgen-radiology"
        folder.mkdir()
        for uid in range(1, len(self.reports) + 1):
            (folder / f"{uid}.xml").write_text(self.xml(uid))
        return folder

    def write_archive(self) -> Path:
        """NLMCXR_reports.tgz."""
        path = self.folder / "NLMCXR_reports.tgz"
        with tarfile.open(path, "w:gz") as archive:
            for uid in range(1, len(self.reports) + 1):
                member = tarfile.TarInfo(f"ecgen-radiology/{uid}.xml")
                content = self.xml(uid).encode()
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return path

    def write_r2gen_images(self) -> Path:
        """R2Gen's folders: the first frontal image as 0.png, the first lateral one as 1.png."""
        folder = self.folder / "r2gen"
        for entries in self.annotation.values():
            for entry in entries:
                uid = entry["id"].removeprefix("CXR").split("_")[0]
                target = folder / entry["id"]
                target.mkdir(parents=True)
                entry["image_path"] = [f"{entry['id']}/0.png", f"{entry['id']}/1.png"]
                for number, kind in enumerate((1001, 2001)):
                    source = self.image(f"{uid}_IM-{int(uid):04d}-{kind}.dcm.png")
                    shutil.copy(source, target / f"{number}.png")
        return folder

    def files(self) -> tuple[Path, Path, Path, Path]:
        names = ("images", "annotation.json", "reports.csv", "projections.csv")
        return tuple(self.folder / name for name in names)  # type: ignore[return-value]

    def read(self, **options):
        return iu_xray.read_iu_xray(*self.write().files(), **options)


@pytest.fixture
def fake(tmp_path, monkeypatch) -> FakeIUXRay:
    monkeypatch.setattr(iu_xray, "SPLIT_COUNTS", FakeIUXRay.counts)
    monkeypatch.setattr(iu_xray, "REPORT_COUNTS", (12,))
    return FakeIUXRay(tmp_path / "iu")
