"""What stands in files, folders, headers and ids cannot steer the terminal that shows it.

Control characters: ECMA-48 (C0, C1, ESC sequences); bidirectional ones: UAX #9, which can show a
text in another order than it has (CVE-2021-42574).
"""

import ast
import io
import json
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from kia.cli import console
from kia.data.store.dataset import DatasetWriter
from kia.studies import Study, StudyImage

HOSTILE = "7\x1b[2J\x1b]0;title\x07\x9b31m\x08\x7f\u202e\u2066[bold]x[/bold][/]:skull:\\[y]<script>"
"""Clears the screen, names the window, turns red, deletes, turns around; rich and HTML."""
SHOWN = r"7\x1b[2J\x1b]0;title\x07\x9b31m\x08\x7f\u202e\u2066[bold]x[/bold][/]:skull:\[y]<script>"
"""As Python writes the same characters."""
REPORT = f"the heart is enlarged {HOSTILE}. no pleural effusion."


def steering(text: str) -> list[str]:
    """Characters that a terminal or a reader's eye obeys."""
    return [
        one
        for one in text
        if (unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") and one not in "\n\t")
        or unicodedata.bidirectional(one) in ("LRE", "RLE", "LRO", "RLO", "PDF")
        or unicodedata.bidirectional(one) in ("LRI", "RLI", "FSI", "PDI")
    ]


def test_the_hostile_text_would_steer():
    assert len(steering(HOSTILE)) == 8


@pytest.mark.parametrize("stream", ["out", "err"])
@pytest.mark.parametrize(
    "what",
    [
        HOSTILE,
        Text(HOSTILE, style="bold"),
        Text.assemble("a", (HOSTILE, "red"), "b"),
        ["a", HOSTILE],
        Table("head", HOSTILE, title=HOSTILE, caption=HOSTILE),
    ],
    ids=lambda what: type(what).__name__,
)
@pytest.mark.parametrize("terminal", [True, False])
def test_whatever_is_printed_is_shown_as_it_is(monkeypatch, stream, what, terminal):
    file = io.StringIO()
    own = console._console(stderr=stream == "err", file=file, force_terminal=terminal)
    own.print(what, soft_wrap=True)
    # rich's own colours, where it is a terminal
    text = re.sub(r"\x1b\[[\d;]*m", "", file.getvalue()) if terminal else file.getvalue()
    assert steering(text) == []
    shown = re.sub(r"\s*\n\s*", "", text)
    if isinstance(what, str):
        assert SHOWN in shown
    else:  # rich's own texts lose some control characters when they are made, cells are folded
        assert r"\x1b[2J" in shown and "[bold]" in shown


def test_styles_stay_where_they_were():
    file = io.StringIO()
    own = console._console(stderr=False, file=file, force_terminal=True, color_system="standard")
    own.print(Text.assemble("a\x1bb", ("c\x9dd", "red"), "e"))
    assert file.getvalue() == "a\\x1bb\x1b[31mc\x1b[0m\x1b[31m\\x9d\x1b[0m\x1b[31md\x1b[0me\n"


def test_tables_warnings_and_progress(capfd):
    console.table(["id", HOSTILE], [[HOSTILE, 1.0], [Path(HOSTILE), None]], title=HOSTILE)
    console.show_warning(f"{HOSTILE}: odd")
    with console.progress() as bar:
        bar.add_task(HOSTILE, total=1)
    out, err = capfd.readouterr()
    assert steering(out + err) == []
    assert SHOWN in err and "warning: " in err
    assert out.replace("\n", "").count(r"\x1b[2J") >= 3


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain text, (1) [2] {3}", "plain text, (1) [2] {3}"),
        ("größer, 胸部, صدر, \u200d👩\u200d⚕️, soft\xadhyphen", None),
        ("two\nlines\tand a tab", None),
        ("of Windows\r\n", "of Windows\n"),
        ("back\rto the start", r"back\rto the start"),
        ("\x00\x1b\x85\u2028\u202e\udcff", r"\x00\x1b\x85\u2028\u202e\udcff"),
    ],
)
def test_which_characters_are_replaced(given, shown):
    assert console.visible(given) == (given if shown is None else shown)


def test_a_name_is_one_line():
    assert console.one_line("7\nsame image: 8") == r"7\nsame image: 8"
    assert console.one_line("7\r\n8\t9") == r"7\r\n8\t9"


@given(st.text())
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_no_text_steers(text):
    shown = console.visible(text)
    assert steering(shown) == []
    shown.encode()  # every terminal takes it
    assert console.visible(shown) == shown
    assert not steering(console.one_line(text)) and "\n" not in console.one_line(text)


@given(st.text())
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_json_says_the_same_and_steers_nothing(text):
    written = console.json_text({"id": text, text: [text]})
    assert json.loads(written) == {"id": text, text: [text]} and "\n" not in written
    assert steering(written) == []
    written.encode()


@pytest.fixture(scope="module")
def hostile_data(tmp_path_factory) -> Path:
    """Ids and reports of a stranger: two studies with the same image and patient in two splits."""
    folder = tmp_path_factory.mktemp("hostile") / "data"
    with DatasetWriter(folder, image_size=64, source=HOSTILE) as writer:
        for number, split in enumerate(["train", "train", "val", "test", "test"]):
            study = Study(
                *(f"{HOSTILE}{number}", split, (StudyImage(f"{number}.png", "frontal"),)),
                REPORT.replace("enlarged", ("enlarged", "normal in size")[number % 2]),
                patient=HOSTILE,
                labels={"Cardiomegaly": number % 2},
            )
            pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 64), np.uint8)
            writer.add(study, pixels)
    return folder


@pytest.fixture
def quiet(kia_command):
    """Runs a command and looks at all that it says."""

    def run(*words: object, code: int = 0) -> str:
        found, out, err = kia_command(*map(str, words))
        assert found == code, err
        assert steering(out + err) == []
        return out + err

    return run


def test_data_check_names_what_is_stored(quiet, hostile_data, tmp_path):
    said = quiet("data", "check", hostile_data, "--json", tmp_path / "x.json")
    assert "same image: 7" in said and "[bold]x[/bold][/]:skull:" in said.replace("\n", "")
    quiet("data", "check", hostile_data, "--strict", code=1)
    assert steering((tmp_path / "x.json").read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "words",
    [
        ["data", "show", "DATA", "nothing"],
        ["data", "show", "DATA", HOSTILE],
        ["data", "show", HOSTILE, "1"],
        ["data", "check", HOSTILE],
        ["data", "merge", "DATA", HOSTILE, "--out", "OUT"],
        ["data", HOSTILE],
        ["knowledge", "show", "DATA", f"{HOSTILE}9"],
        ["knowledge", "label", HOSTILE, "--out", "OUT"],
        ["generate", HOSTILE, "x.png"],
        ["train", HOSTILE, "--data", "DATA", "--out", "OUT"],
        ["train", "tiny", "--data", "DATA", "--out", "OUT", "--set", f"{HOSTILE}=1"],
        ["serve", "MODEL", "--allow-host", HOSTILE],
        ["serve", "MODEL", "--host", HOSTILE, "--token", "long-enough"],
        ["serve", "MODEL", "--token", HOSTILE],
        ["config", "show", HOSTILE],
        ["config", "explain", HOSTILE],
        ["runs", "show", HOSTILE],
        ["--" + HOSTILE],
        [HOSTILE],
        ["evaluate", HOSTILE, "--data", "DATA"],
        ["explain", "compare", HOSTILE, "--data", "DATA"],
    ],
    ids=lambda words: " ".join(words[:2]).partition("7")[0],
)
@pytest.mark.parametrize("debug", [False, True])
def test_errors_are_as_harmless(kia_command, hostile_data, tmp_path, words, debug, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places = {"DATA": hostile_data, "OUT": tmp_path / "out", "MODEL": tmp_path}
    words = [str(places.get(word, word)) for word in words]
    found, out, err = kia_command(*words, *["--debug"] * debug)
    assert found in (1, 2) and steering(out + err) == []
    assert err.count("error: ") == 1 and "unexpected" not in err


def test_knowledge_of_hostile_reports(quiet, hostile_data, tmp_path):
    said = quiet("knowledge", "show", hostile_data, f"{HOSTILE}0")
    assert said.startswith(f"{SHOWN}0 (train)\n")
    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / "a\x1b[31m[bold].txt").write_text(REPORT, encoding="utf-8")
    out = tmp_path / "o\x1b[31mut[x].csv"
    said = quiet("knowledge", "label", folder, "--out", out, "--explain")
    assert r"a\x1b[31m[bold]" in said and r"o\x1b[31mut[x].csv" in said
    quiet("knowledge", "graph", folder, "--out", tmp_path / "o\x1b[31mut[x].json")


@pytest.mark.parametrize("scored", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_reports_of_systems(quiet, scored, hostile_data, tmp_path):
    file = tmp_path / "system.jsonl"
    lines = [{"id": f"{HOSTILE}{n}", "report": REPORT} for n in (3, 4)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    name = f"{HOSTILE}={file}"
    page = tmp_path / "page.html"
    words = ("--data", hostile_data, "--show", 2, "--html", page)
    assert r"\x1b[2J" in quiet("explain", "compare", name, *words)
    assert "[y]<script>" not in page.read_text(encoding="utf-8")
    if scored:
        html = tmp_path / "scores.html"
        quiet("evaluate", file, "--data", hostile_data, "--resamples", 100, "--html", html)
        assert "[y]<script>" not in html.read_text(encoding="utf-8")
    file.write_text(json.dumps({"id": HOSTILE, "report": REPORT}), encoding="utf-8")
    quiet("evaluate", file, "--data", hostile_data, "--resamples", 100, code=1)


def test_images_and_models(quiet, hostile_data, make_model, pictures, tmp_path):
    model = make_model(tmp_path / "model", positions=128)
    folder = tmp_path / "im\x1b[31mages[x]"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number}\x1b[2J[bold].png").write_bytes(Path(pictures[0][0]).read_bytes())
    said = quiet("generate", model, folder)
    assert r"0\x1b[2J[bold].png" in said
    quiet("findings", model, folder)
    out = tmp_path / "x\x1b[31m[x].jsonl"
    quiet("generate", model, "--data", hostile_data, "--out", out)
    quiet("findings", model, "--data", hostile_data)
    said = quiet("generate", model, folder, "--jsonl", "-")
    entry = json.loads(said.splitlines()[0])
    assert entry["images"] == [str(folder / "0\x1b[2J[bold].png")]
    (folder / "2\x1b[2J.png").write_bytes(b"GIF89a")
    assert r"passed over: " in quiet("generate", model, folder)  # and is named, safely


@pytest.mark.slow
def test_a_gallery(quiet, hostile_data, make_model, tmp_path):
    model = make_model(tmp_path / "model", positions=128)
    page = tmp_path / "gallery.html"
    quiet("explain", "gallery", model, "--data", hostile_data, "--out", page)
    assert "[y]<script>" not in page.read_text(encoding="utf-8")


def test_a_file_name_that_is_no_text_is_shown_and_written(quiet, model, pictures, tmp_path):
    odd = tmp_path / "bild-\udcfc.png"  # ü of ISO-8859-1
    odd.write_bytes(Path(pictures[0][0]).read_bytes())
    said = quiet("generate", model, odd, pictures[0][0])
    assert r"bild-\udcfc.png" in said
    quiet("generate", model, odd, "--json", tmp_path / "x.json")
    (written,) = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    assert written["images"] == [str(odd)]


def test_runs_of_strangers(quiet, tmp_path):
    for seed in range(2):
        run = tmp_path / f"run\x1b[31m[x]{seed}"
        run.mkdir()
        train = {"batch_size": 8, "joint": {"epochs": 1}, "generation": {"epochs": 0}}
        config = {"train": {**train, "seed": seed}, HOSTILE: f"{HOSTILE}{seed}"}
        tree = {"config": config, "data": {"path": HOSTILE, "hash": ""}, "environment": {}}
        (run / "run.yaml").write_text(json.dumps(tree))
        step = {"epoch": 1, "step": 1, "studies_per_second": 1.0}
        lines = [
            {"kind": "train", "stage": HOSTILE, **step, HOSTILE: 2.0},
            {"kind": "skipped", "stage": HOSTILE, **step, "studies": [HOSTILE]},
        ]
        (run / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    assert r"run\x1b[31m[x]0" in quiet("runs", "list", tmp_path)
    assert SHOWN in quiet("runs", "show", tmp_path / "run\x1b[31m[x]0")
    quiet("runs", "compare", tmp_path)
    (tmp_path / "run\x1b[31m[x]1" / "run.yaml").write_text(f"{HOSTILE}: [")
    quiet("runs", "list", tmp_path, code=1)


@pytest.fixture(scope="module")
def formula_data(tmp_path_factory) -> Path:
    """Matplotlib takes what stands between $ for a formula, and fails where it is none."""
    folder = tmp_path_factory.mktemp("formula") / "data"
    with DatasetWriter(folder, image_size=64, source="test") as writer:
        for number in range(3):
            images = (StudyImage("x.png", "frontal"),)
            said = ("the heart is enlarged", "the heart is normal in size")[number % 2]
            study = Study(f"$\\bad{{{number}$", "test", images, f"{said}, $5 and \\bad{{ 3$.")
            pixels = np.random.default_rng(number).integers(0, 256, (1, 64, 64), np.uint8)
            writer.add(study, pixels)
    return folder


def test_no_text_is_a_formula_in_a_picture(quiet, formula_data, make_model, pictures, tmp_path):
    model = make_model(tmp_path / "model", positions=128)
    words = ("--data", formula_data, "--text", "heart", "--out", tmp_path / "x.png")
    quiet("retrieve", model, *words)
    report = tmp_path / "report.txt"
    report.write_text("heart of $5 and \\bad{ 3$ size.")
    image = pictures[0][0]
    quiet("explain", "attention", model, image, "--report", report, "--out", tmp_path / "y.png")
    words = ("--report", report, "--report", report, "--out", tmp_path / "z.png")
    quiet("explain", "reconstruct", model, image, *words)
    words = ("--data", formula_data, "--id", "$\\bad{0$", "--out", tmp_path / "z.png")
    quiet("explain", "reconstruct", model, *words)
    from tests.cli.test_runs import write_run

    for seed in range(2):
        write_run(tmp_path / "runs" / f"$\\bad{{{seed}$", seed=seed)
    quiet("runs", "compare", tmp_path / "runs", "--plot", tmp_path / "w.png")


def test_only_the_console_prints():
    """Text from elsewhere has one way out."""
    root = Path(console.__file__).parent
    for file in root.rglob("*.py"):
        if file.name in ("console.py",):
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        named = [node.func.id for node in calls if isinstance(node.func, ast.Name)]
        allowed = {"main.py": {"print", "Console"}}.get(file.name, set())
        assert not {"print", "Console", "echo"} & {*named} - allowed, file
