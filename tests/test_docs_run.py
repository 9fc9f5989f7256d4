"""The guides' commands are run, as they are written, in a folder that has what they name.

Not run here: what trains for long, needs collections, weights or services of others, or measures
this machine. Each is parsed (test_docs_commands.py), and its command has tests or a tutorial.
"""

import csv
import importlib.util
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from kia.data.store.dataset import PreparedDataset

ROOT = Path(__file__).resolve().parent.parent
SPLITS = ["train"] * 40 + ["val"] * 10 + ["test"] * 10
NOT_RUN = re.compile(
    r"kia (train|ablate|serve|bench|hub push|info small|data (iu-xray|mimic-cxr|merge|phantom))"
    r"|.*--labeler chexbert|.*data/iu256"  # IU X-Ray of the shipped model's size
)


def commands_module() -> ModuleType:
    """test_docs_commands.py; pytest's importlib mode has no `import tests`."""
    spec = importlib.util.spec_from_file_location(
        "documented", ROOT / "tests" / "test_docs_commands.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DOCUMENTED = commands_module()


def documented() -> dict[str, list[list[str]]]:
    """Document → its commands of kia that no document before it has.

    Tutorials are run by their own test.
    """
    found: dict[str, list[list[str]]] = {}
    seen = set()
    map_ = [w for w in DOCUMENTED.mentions() if w[0] == "docs/paper-map.md"]
    for document, words in [*DOCUMENTED.fenced_commands(), *((d, s.split()) for d, s in map_)]:
        line = " ".join(words)
        if document.startswith("docs/tutorials/") or words[0] != "kia" or line in seen:
            continue
        seen.add(line)
        if not NOT_RUN.match(line):
            found.setdefault(document, []).append(words)
    return found


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the documents' names are files: phantoms under them, and a toy model."""
    from kia.cli.main import main

    folder = tmp_path_factory.mktemp("stage")

    def kia(line: str) -> None:
        words = [word if word[0] != "@" else str(folder / word[1:]) for word in line.split()]
        assert main(words) == 0, line

    kia("data phantom --studies 60 --size 64 --out @data/phantom")
    write_files(folder, PreparedDataset.open(folder / "data" / "phantom"))
    kia("data manifest @studies.csv --size 64 --out @data/iu")
    kia(
        "train tiny --data @data/iu --out @runs/iu --set model.image_size=64"
        " --set train.joint.epochs=1 --set train.generation.epochs=1 --set generation.max_tokens=20"
    )
    kia("generate @runs/iu --data @data/iu --split test --out @preds.jsonl")
    for name in ("runs/iu-2", "runs/phantom"):
        shutil.copytree(folder / "runs" / "iu", folder / name)
    rows = (folder / "preds.jsonl").read_text(encoding="utf-8")
    for name in ("ours", "theirs", "predictions", "gpt4", "runs/iu/predictions-test"):
        (folder / f"{name}.jsonl").write_text(rows, encoding="utf-8")
    (folder / "PREDICTIONS").write_text(rows, encoding="utf-8")
    for seed in (0, 1):
        (folder / f"runs/seed-{seed}").mkdir()
        shutil.copy(folder / "preds.jsonl", folder / f"runs/seed-{seed}/predictions-test.jsonl")
    return folder


def write_files(folder: Path, phantoms: PreparedDataset) -> None:
    """Images, tables and texts under the names that the documents use."""
    for name in ("images", "DIR", "folder/of/images", "more"):
        (folder / name).mkdir(parents=True)
    ids = [f"S{n}" for n in range(60)]
    ids[0], ids[40] = "CXR2384_IM-0942", "ID"
    table, annotation = [], {"train": [], "val": [], "test": []}
    for n, id_ in enumerate(ids):
        study, pixels = phantoms.study(n), phantoms.pixels(n)
        names = [f"images/{id_}-{image.view}.png" for image in study.images]
        for name, picture in zip(names, pixels, strict=True):
            Image.fromarray(picture).save(folder / name)
        row = {"id": id_, "report": study.report, "split": SPLITS[n]}
        table.append({**row, "image": ";".join(names)})
        paths = [Path(name).name for name in names]
        annotation[SPLITS[n]].append({**row, "image_path": paths})
    with (folder / "studies.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    (folder / "annotation.json").write_text(json.dumps(annotation), encoding="utf-8")
    shutil.copy(folder / "studies.csv", folder / "reports.csv")
    for name, split in (("refs", "test"), ("train", "train")):
        lines = (json.dumps(row) for row in table if row["split"] == split)
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    for name in ("report", "own", "edited", "a", "reports"):
        (folder / f"{name}.txt").write_text("The heart is enlarged. No effusion.\n")
    boxes = "image,observation,x,y,w,h\nfrontal.png,Cardiomegaly,20,30,20,15\n"
    (folder / "boxes.csv").write_text(boxes)
    frontal, lateral = phantoms.pixels(0)
    for name in ("frontal", "image", "DIR/a", "folder/of/images/a"):
        Image.fromarray(frontal).save(folder / f"{name}.png")
    Image.fromarray(frontal).save(folder / "IMAGE", format="png")
    Image.fromarray(lateral).save(folder / "lateral.png")
    write_dicom(folder / "more" / "a.dcm", frontal)


def write_dicom(file: Path, pixels: Any) -> None:
    import pydicom.uid
    from pydicom.dataset import Dataset, FileMetaDataset

    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    image.SOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    image.SOPInstanceUID = image.StudyInstanceUID = "1.2.3"
    image.Modality, image.BodyPartExamined, image.ViewPosition = "DX", "CHEST", "PA"
    image.Rows, image.Columns = pixels.shape
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit, image.PixelRepresentation = 7, 0
    image.PixelData = pixels.tobytes()
    image.save_as(file, enforce_file_format=True)


@pytest.fixture
def folder(stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the stage, and the current folder."""
    copy = tmp_path / "stage"
    shutil.copytree(stage, copy)
    monkeypatch.chdir(copy)
    return copy


def expanded(words: list[str]) -> list[str]:
    """What a shell makes of the words, and of `DIR` where a data set is meant."""
    found: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        word = "data/iu" if (before, word) == ("--data", "DIR") else word
        names = sorted(str(p) for p in Path().glob(word)) if "*" in word else []
        found += names or [word]
    return found


@pytest.mark.slow
@pytest.mark.guides
@pytest.mark.parametrize("document", documented())
def test_a_guide_s_commands_work(
    document: str,
    folder: Path,
    kia_command: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed = {}
    for words in documented()[document]:
        monkeypatch.setattr(sys, "stdin", io.StringIO("DIR/a.png\n"))
        if words[1] == "data":  # several ways to make the same data set
            shutil.rmtree(words[words.index("--out") + 1], ignore_errors=True)
        code, _, err = kia_command(*expanded(words)[1:])
        if code != 0:
            failed[" ".join(words)] = err.strip().splitlines()[-1:]
    assert not failed


PYTHON = {
    "README.md": "",
    "docs/data.md": "",
    "docs/evaluation.md": "hyps = refs = others = train = {'1': 'a heart'}\n",
    "docs/generating.md": "",
    "docs/hub.md": "",
    "docs/plausibility.md": (
        "from kia import KIAProcessor\nprocessor = KIAProcessor.from_pretrained('runs/iu/model')\n"
    ),
    "docs/serving.md": "",
}
"""What a document's Python takes for granted."""


@pytest.mark.slow
@pytest.mark.guides
def test_python_in_the_documents_runs(folder: Path) -> None:
    code = [(d, t) for d, language, t in DOCUMENTED.blocks() if language == "python"]
    assert {document for document, _ in code} == set(PYTHON)
    for document, text in code:
        if "import serve\n" in text:  # Ray is not ours to install
            continue
        (folder / "block.py").write_text(PYTHON[document] + text, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "block.py"], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{document}: {done.stderr[-800:]}"
