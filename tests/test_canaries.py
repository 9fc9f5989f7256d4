"""Where personal data may be: unmistakable words stand for them, and are looked for everywhere.

They are in DICOM elements and PNG texts, file names, reports, ids, and what a client sends. Every
command and route is used, and its errors; then terminals, logs, answers, metrics, TensorBoard,
caches, temporary folders and every file that was opened for writing are searched. `Step` says for
each command which words may be seen where, and all of those must be: no entry outlives its reason.
"""

import csv
import json
import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.canaries import FILE, ID, PATIENT, REPORT, Writes, content, found, personal, write_images

TYPED = "the user typed it"
NAMED = "says which of the user's files or studies a line is about"
ASKED = "the user asked for it: this is what the command is for"
IU = {REPORT: "the data set holds the reports"}
TRAIN = "train in/tiny.yaml --data out/data --out out/run"
RETRIEVE = "retrieve out/run --data out/data --split train"
EVALUATE = "evaluate out/predictions.jsonl --data out/data --resamples 100"
SYSTEMS = (
    "evaluate --system a=out/predictions.jsonl --system b=out/predictions.jsonl "
    "--data out/data --resamples 100"
)
REXRANK = "rexrank out/run --input_json_file in/rexrank.json --save_json_file out/rexrank"
COMPARE = "explain compare a=out/predictions.jsonl --data out/data"
REPORTED = f"heart size is normal. {REPORT}. no pleural effusion or pneumothorax."


@dataclass
class Step:
    """A command.

    Attributes:
        words: After `kia`; paths below the folder of the test, where they are such.
        shown: Canary → why the terminal may show it.
        kept: Canary → why the files in out/ may hold it.
        code: Exit code.
        quick: Whether it is among those of every test run; the others take a trained run, or long.
    """

    words: str
    shown: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    code: int = 0
    quick: bool = False


SET = {REPORT: ASKED, ID: ASKED, PATIENT: "splits are kept apart by patient", FILE: NAMED}
SHOWN = {REPORT: ASKED, ID: ASKED}
ONE = {FILE: NAMED}
QUICK = True
STEPS = [
    # preparation: the data set has the reports, ids and patients; rejects.jsonl names files
    Step("data manifest in/studies.csv --out out/data --size 64", {}, SET, 0, QUICK),
    Step("data manifest in/studies.csv --out out/data", {}, {}, 1, QUICK),
    Step("data manifest in/twice.csv --out out/no", {ID: NAMED}, {}, 1, QUICK),
    Step("data manifest in/broken.csv --out out/no", {}, {}, 1),
    Step("data manifest in/splits.csv --out out/no", {PATIENT: NAMED}, {}, 1),
    Step("data manifest in/files --out out/files --size 64", {}, ONE),
    Step("data iu-xray --images in/iu --annotation in/iu/a.json --out out/iu --incomplete", {}, IU),
    Step("data iu-xray --images in/files --annotation in/iu/a.json --out out/no", {}, {}, 1),
    Step("data mimic-cxr in/files --out out/no", {}, {}, 1),
    Step("data nih --images in/files --labels in/reports.csv --out out/no", {}, {}, 1),
    Step("data mix out/data out/files --out out/mixed", {}, {}, 1),
    Step("data chexpert in/files --out out/no", {}, {}, 1),
    Step("data phantom --studies 12 --size 64 --out out/phantom"),
    Step("data check out/data --json out/check.json", {ID: ASKED}, {ID: ASKED}, 0, QUICK),
    Step("data check out/no", {}, {}, 1),
    Step("data show out/data zqxname-0 --out out/show.png", {}, {}),
    Step("data show out/data zqxname", {ID: TYPED}, {}, 1, QUICK),
    Step("data merge out/data out/files --out out/merged", {}, {}, 1),
    Step("knowledge show out/data zqxname-0", {ID: TYPED, REPORT: ASKED}, {}, 0, QUICK),
    Step("knowledge label in/reports.csv --out out/labels.csv", {}, {ID: ASKED}, 0, QUICK),
    Step("knowledge label in/reports.csv --out out/l.csv --explain", {ID: ASKED}, {ID: ASKED}),
    Step("knowledge label in/reports.csv --column x --out out/no.csv", {}, {}, 1),
    Step("knowledge label in/headless.csv --out out/no.csv", {}, {}, 1, QUICK),
    Step("knowledge label in/ids.csv --out out/no.csv", {ID: NAMED}, {}, 1),
    Step("knowledge graph in/reports.csv --out out/g.json", {}, {ID: ASKED, REPORT: ASKED}),
    Step("knowledge atlas --boxes in/reports.csv --out out/no.npz", {}, {}, 1, QUICK),
    # a model of these reports, and what its run says
    Step(f"{TRAIN} --set train.tensorboard=true", {}, {ID: "TensorBoard names what it shows"}),
    Step(TRAIN, {}, {}, 1),
    Step(f"{TRAIN} --resume --set train.tensorboard=true"),
    Step("train in/bad.yaml --data out/data --out out/no", {}, {}, 2, QUICK),
    Step("ablate table1 --preset in/bad.yaml --data out/data --out out/no", {}, {}, 2),
    Step("runs list out/run --json out/runs.json"),
    Step("runs show out/run --json out/runs.json"),
    Step("runs compare out/run out/run", {}, {}, 2),
    Step("info out/run", {}, {}, 0, QUICK),
    Step("info in/tiny.yaml --data out/data", {}, {}, 0),
    Step("hub card out/run", {}, {}, 0),
    Step("hub push out/run zqx/zqx", {}, {}, 1),
    # use: what is shown of an image is its name, if there are several, and its report
    Step("generate out/run in/files/zqxfile-1.dcm --evidence", {}, {}, 0, QUICK),
    Step("generate out/run in/files/zqxfile-1.dcm in/files/zqxfile-3.png", ONE),
    Step("generate out/run in/files/zqxfile-4.jpg --json out/a.json", {}, ONE, 0, QUICK),
    Step("generate out/run in/files --jsonl out/a.jsonl", ONE, ONE, 1),
    Step("generate out/run in/files/zqxfile-bad.dcm", ONE, {}, 1),
    Step("generate out/run in/files/zqxfile-odd.dcm", ONE, {}, 1, QUICK),
    Step("generate out/run in/files/zqxfile-5.jpg", ONE, {}, 1),
    Step("generate out/run in/files/zqxfile-none.png", ONE, {}, 1),
    Step("generate in/files in/files/zqxfile-3.png", {}, {}, 1),
    Step("generate out/run --data out/data --out out/predictions.jsonl", {}, {ID: ASKED}, 0, QUICK),
    Step("findings out/run in/files/zqxfile-1.dcm", ONE),
    Step("findings out/run in/files/zqxfile-bad.dcm", ONE, {}, 1),
    Step("findings out/run --data out/data --out out/findings.csv", {}, {ID: ASKED}, 0, QUICK),
    Step(f"{RETRIEVE} --text effusion", {ID: ASKED, REPORT: ASKED}, {}, 0, QUICK),
    Step(f"{RETRIEVE} --image in/files/zqxfile-odd.dcm", ONE, {}, 1),
    Step(RETRIEVE),
    Step("explain attention out/run in/files/zqxfile-3.png --out out/attention.png", {}, {}),
    Step("explain attention out/run in/files/zqxfile-bad.dcm --out out/no.png", ONE, {}, 1),
    Step(f"{COMPARE} --id zqxname-8", {ID: TYPED, REPORT: ASKED}, {}, 0, QUICK),
    Step(f"{COMPARE} --show 0 --html out/compare.html --json out/c.json", {}, {ID: ASKED}),
    Step(f"{COMPARE} --id zqxname", {ID: TYPED}, {}, 1),
    Step("explain compare a=in/other.jsonl --data out/data", {}, {}, 1),
    Step("explain match out/run --data out/data --json out/m.json", {ID: ASKED}, {ID: ASKED}),
    Step("explain patches --image in/files/zqxfile-3.png --out out/patches.png"),
    Step("explain reconstruct out/run in/files/zqxfile-3.png --out out/r.png", {}, {}, 2),
    Step("explain words out/run --data out/data"),
    Step("explain gallery out/run --data out/data --out out/gallery.html", {}, SHOWN),
    Step("evaluate in/other.jsonl --data out/data", {ID: NAMED}, {}, 1),
    Step(f"{EVALUATE} --html out/e.html --json out/e.json", {}, SHOWN),
    Step("evaluate in/broken.jsonl --data out/data", {}, {}, 1, QUICK),
    Step(f"{SYSTEMS} --against b --html out/s.html --json out/s.json --latex out/s.tex", {}, SHOWN),
    Step(f"{SYSTEMS} --rexrank", {}, {}, 2),
    Step(f"{REXRANK} --img_root_dir in/files", {}, {**SHOWN, FILE: NAMED}, 0, QUICK),
    Step(f"{REXRANK}.json --img_root_dir in/iu", {ID: NAMED, FILE: NAMED}, {}, 1, QUICK),
    Step("serve in/files --data out/data --port 0", {}, {}, 1, QUICK),
    Step("config list"),
    Step("config show in/bad.yaml", {}, {}, 2),
    Step("config explain train.seed"),
    Step("config copy tiny in/files", {}, {}, 2),
    Step("bench data --images in/files --studies 1"),
    Step("bench knowledge in/headless.csv", {}, {}, 1),
    Step("bench step nothing", {}, {}, 2),
    Step("bench generate nothing", {}, {}, 2),
    Step("demo --out in/studies.csv", {}, {}, 1),
]


def test_every_command_is_among_them():
    from kia.cli.main import COMMANDS, Commands

    known = Commands()
    every = {
        f"{name} {below}".strip()
        for name in COMMANDS
        for below in getattr(known[name], "commands", {"": None})
    }
    used = [" ".join(step.words.split()[:2]) for step in STEPS]
    assert {
        name for name in every if not any(f"{one} ".startswith(f"{name} ") for one in used)
    } == (set())


@pytest.fixture
def folder(tmp_path, dicom) -> Path:
    """in/ with everything personal, out/ for what commands write, and places that stay empty."""
    root = tmp_path
    for name in ("in/files", "out", "home", "cache", "tmp", "work"):
        (root / name).mkdir(parents=True)
    write_tables(root / "in")
    write_images(root / "in" / "files", dicom)
    write_iu_xray(root / "in" / "iu")
    return root


def write_tables(folder: Path) -> None:
    """Twelve studies, of which one in each split has the report's word; and tables with errors."""
    rows = []
    for number in range(12):
        split = "train" if number < 6 else "val" if number < 8 else "test"
        report = REPORTED if number in (0, 7, 8) else "the lungs are clear. no effusion is seen."
        rows.append(
            {
                **{"id": f"{ID}-{number}", "image": "files/zqxfile-3.png", "split": split},
                **{"report": report, "patient": f"{PATIENT}-{number}"},
            }
        )
    rows[1]["image"] = "files/zqxfile-none.png"
    rows[2]["image"] = "files/zqxfile-odd.dcm"
    rows[3]["image"] = "files/zqxfile-1.dcm;files/zqxfile-2.dcm"
    write_csv(folder / "studies.csv", rows)
    write_csv(folder / "twice.csv", [rows[0], rows[0]])
    write_csv(folder / "splits.csv", [rows[0], {**rows[8], "patient": rows[0]["patient"]}])
    write_csv(folder / "reports.csv", [{k: row[k] for k in ("id", "report")} for row in rows])
    write_csv(folder / "ids.csv", [{"id": ID, "report": REPORTED}] * 2)
    (folder / "broken.csv").write_text(f'id,image,split,report\n{ID},x.png,test,"{REPORTED}\n')
    (folder / "headless.csv").write_text(f"{REPORTED}\n{REPORTED}\n")
    lines = [{"id": f"other-{n}", "report": REPORTED} for n in range(3)]
    (folder / "other.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    study = {"image_path": ["zqxfile-3.png"], "section_findings": REPORTED}
    (folder / "rexrank.json").write_text(json.dumps({f"{ID}-0": study}))
    (folder / "broken.jsonl").write_text(json.dumps(lines[0])[:-9])
    (folder / "tiny.yaml").write_text(yaml.safe_dump(CONFIG))
    (folder / "bad.yaml").write_text(yaml.safe_dump({**CONFIG, "note": REPORTED}))


def write_iu_xray(folder: Path) -> None:
    """Two studies in R2Gen's form."""
    entries = {}
    for number, split in ((1, "train"), (2, "test")):
        name = f"CXR{number}_IM-{number:04d}"
        (folder / name).mkdir(parents=True)
        for view in (0, 1):
            Image.fromarray(np.full((20, 16), 9 * number + view, np.uint8)).save(
                folder / name / f"{view}.png"
            )
        paths = [f"{name}/{view}.png" for view in (0, 1)]
        entry = {"id": name, "report": REPORTED, "image_path": paths, "split": split}
        entries[split] = [entry]
    (folder / "a.json").write_text(json.dumps({"val": [], **entries}))


def write_csv(file: Path, rows: list[dict[str, str]]) -> None:
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)


CONFIG: dict[str, Any] = {
    "model": {
        "image_size": 64,
        "image_encoder": {"width": 32, "depth": 1, "heads": 2, "ffn_width": 64, "stem": "conv"},
        "text_encoder": {
            **{"width": 32, "depth": 1, "heads": 2, "ffn_width": 64},
            **{"max_positions": 128, "vocab_size": 400},
        },
        "projection_width": 16,
    },
    "tasks": {"irc": {"queue_length": 16, "same_report_is_positive": True}},
    "train": {
        "batch_size": 4,
        "joint": {"epochs": 1, "learning_rate": 1e-3},
        "generation": {"epochs": 1, "learning_rate": 5e-4},
        "precision": "float32",
        "threads": 1,
    },
    "generation": {"beams": 1, "max_tokens": 12},
}


@pytest.fixture(scope="module")
def writes() -> Writes:
    return Writes()


@pytest.fixture
def places(folder, monkeypatch) -> Path:
    """Everything that a program writes unasked goes below the folder of the test."""
    for name, below in {"HOME": "home", "XDG_CACHE_HOME": "cache", "TMPDIR": "tmp"}.items():
        monkeypatch.setenv(name, str(folder / below))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.chdir(folder)
    return folder


def unasked(folder: Path) -> set[str]:
    """Words in all that nobody asked to be written."""
    asked = (folder / "in", folder / "out")
    return content(path for path in folder.rglob("*") if not any(map(path.is_relative_to, asked)))


def stamps(folder: Path) -> dict[Path, tuple[int, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in files}


def problems(
    step: Step, folder: Path, run: Callable[[list[str]], tuple[int, str]]
) -> Iterator[str]:
    """What a command does that its step does not say."""
    before = stamps(folder / "out")
    code, said = run(step.words.split())
    after = stamps(folder / "out")
    if code != step.code or "error: unexpected" in said or "Traceback" in said:
        yield f"exit code {code}: {said[-300:]}"
    if (shown := found(said)) != set(step.shown):
        yield f"shows {shown}: {personal(said)}"
    changed = [path for path, stamp in after.items() if before.get(path) != stamp]
    if (kept := content(changed)) != set(step.kept):
        yield f"keeps {kept}: {[path for path in changed if content([path])]}"
    if left := unasked(folder):
        yield f"leaves {left} where nobody asked for it"


@pytest.mark.parametrize("quick", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_commands_show_and_keep_what_they_were_asked_for(
    places, kia_command, writes, caplog, quick
):
    caplog.set_level(logging.DEBUG)

    def run(words: list[str]) -> tuple[int, str]:
        (code, out, err), strange = writes.of(lambda: kia_command(*words), places)
        assert not strange, (words, strange)
        return code, out + err

    wrong = []
    for step in STEPS:
        if quick and step.words == TRAIN + " --set train.tensorboard=true":
            random_run(places)
        if quick and not step.quick:
            continue
        wrong += [f"kia {step.words}: {what}" for what in problems(step, places, run)]
        wrong += [f"kia {step.words} logs {line}" for line in personal(caplog.text)]
        caplog.clear()
    assert not wrong, "\n".join(wrong)


def random_run(folder: Path) -> None:
    """A model of the prepared reports that was not trained."""
    import torch

    from kia.config import validate
    from kia.data.store.dataset import PreparedDataset
    from kia.training.build import build_model, build_processor

    config = validate(CONFIG, "test")
    torch.manual_seed(0)
    reports = PreparedDataset.open(folder / "out" / "data").reports("train")
    processor = build_processor(config, reports, folder / "out" / "run")
    build_model(config, processor).save_pretrained(folder / "out" / "run")
    processor.save_pretrained(folder / "out" / "run")
