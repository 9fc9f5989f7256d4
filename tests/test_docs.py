"""The documents are true: commands, links and the paper map."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main

from kia.cli.main import app

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
PAPER_MAP = ROOT / "docs" / "paper-map.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def fenced_commands() -> list[tuple[str, str]]:
    """(document, line) of every `kia …` and `make …` line in a fenced block."""
    found = []
    for document in DOCUMENTS:
        for language, block in FENCE.findall(document.read_text(encoding="utf-8")):
            if language in ("python", "json", "yaml"):
                continue
            for line in block.replace("\\\n", " ").splitlines():
                line = re.sub(r"^(\$ )?(\.venv/bin/)?", "", line.strip())
                if line.startswith(("kia ", "make ")):
                    found.append((document.relative_to(ROOT).as_posix(), line))
    return found


def check_kia(words: list[str]) -> None:
    """Fails if the command, an option or a required argument is not as the program has it."""
    command: Any = typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands or words[0].startswith("-"), f"no command {words[0]}"
        if words[0].startswith("-"):
            break
        command = command.commands[words.pop(0)]
    options, rest, _ = command.make_parser(typer.Context(command)).parse_args(list(words))
    assert hasattr(command, "commands") or not rest, f"too many arguments: {rest}"
    if {"--help", "-h"} & set(words):
        return
    for parameter in command.params:
        if parameter.required:
            value = options.get(parameter.name)
            assert isinstance(value, str | list | tuple) and value, f"missing {parameter.name}"


@pytest.mark.parametrize(("document", "line"), fenced_commands())
def test_documented_commands_exist(document: str, line: str) -> None:
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(words[1:]) <= set(targets)
    else:
        check_kia(words[1:])


@pytest.mark.parametrize(
    "line", ["nonsense", "config shwo x", "config show", "config show x --sett a=1"]
)
def test_a_wrong_command_would_be_noticed(line: str) -> None:
    with pytest.raises(Exception):  # noqa: B017
        check_kia(line.split())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (document.parent / target).exists(), target


def paper_map_rows() -> list[list[str]]:
    rows = []
    for line in PAPER_MAP.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 5 and set(line) - set("|- "):
            rows.append(cells)
    return [row for row in rows if row[0] != "paper"]


def defined_names(file: Path) -> set[str]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {
        n.name for n in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(n, kinds)
    }


@pytest.mark.parametrize("row", paper_map_rows(), ids=lambda row: f"{row[0]} {row[1]}")
def test_the_paper_map_names_what_exists(row: list[str]) -> None:
    where, command, test = ("" if cell == "–" or "not yet" in cell else cell for cell in row[2:])
    if where:
        places = re.findall(r"`([^`]+)`", where)
        assert places
        for place in places:
            path, _, name = place.partition(":")
            file = ROOT / "src" / "kia" / path
            assert file.is_file(), path
            assert not name or name in defined_names(file), place
    if command:
        for line in re.findall(r"`([^`]+)`", command):
            check_kia(shlex.split(line)[1:])
    if test:
        for path in re.findall(r"`([^`]+)`", test):
            assert (ROOT / path).exists(), path


def test_the_paper_map_is_complete() -> None:
    cells = " ".join(row[0] for row in paper_map_rows())
    for number in range(1, 10):
        assert re.search(rf"Eq\. {number}\b|Eq\. {number}a", cells), f"Eq. {number}"
    for number in range(1, 6):
        assert f"Table {number}" in cells
    for number in range(1, 13):
        assert re.search(rf"Fig\. {number}(?!\d)", cells), f"Fig. {number}"
    for letter in "ABCDE":
        assert f"App. {letter}" in cells


def test_every_dependency_has_a_reason_a_licence_and_a_tested_version() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    runtime = [*project["dependencies"], *(d for e in extras if e != "dev" for d in extras[e])]
    table = (ROOT / "ARCHITECTURE.md").read_text().partition("## Dependencies")[2].lower()
    pinned = {
        line.partition("==")[0].lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    for requirement in [*runtime, *extras["dev"]]:
        name = re.split(r"[<>=\[]", requirement)[0].lower()
        if name != "kia":
            assert name in table, f"{name} is not explained in ARCHITECTURE.md"
            assert name in pinned, f"{name} is not in constraints.txt"


def test_the_readme_opens_with_the_two_commands() -> None:
    blocks = FENCE.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert [line.split("#")[0].split() for line in blocks[0][1].splitlines()] == [
        ["make", "demo"],
        ["make", "test"],
    ]


@pytest.mark.slow
def test_the_wheel_works_without_the_sources(tmp_path: Path) -> None:
    """Built, installed in an empty environment that borrows only the dependencies from here."""
    import sysconfig
    import venv

    copy = tmp_path / "sources"  # building in place would leave files there
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(copy)]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (wheel,) = tmp_path.glob("kia-*.whl")
    venv.create(tmp_path / "empty", with_pip=True)
    python = tmp_path / "empty" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(install, check=True, timeout=120)

    # On PYTHONPATH (not in a .pth) an editable installation of the sources stays out.
    environment = {**os.environ, "PYTHONPATH": sysconfig.get_paths()["purelib"]}

    def kia(*words: str) -> str:
        command = [str(python.with_name("kia")), *words]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    import kia as sources
    from kia.config import preset_names

    assert kia("--version").strip() == f"kia {sources.__version__}"
    assert [line.split()[0] for line in kia("config", "list").splitlines()] == preset_names()
    where = "import kia; print(kia.__file__)"
    done = subprocess.run(
        [str(python), "-c", where], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert str(tmp_path) in done.stdout
