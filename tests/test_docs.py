"""The documents are true: links, the paper map, dependencies. Commands: test_docs_commands.py."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
PAPER_MAP = ROOT / "docs" / "paper-map.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def anchors(document: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)", document.read_text(encoding="utf-8")):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        path, _, heading = target.partition("#")
        linked = document.parent / path if path else document
        assert linked.exists(), target
        assert not heading or heading in anchors(linked), target


def test_the_index_names_every_document() -> None:
    folder = ROOT / "docs"
    named = re.findall(r"\]\(([^)#\s]+)", (folder / "README.md").read_text(encoding="utf-8"))
    inside = [*folder.glob("*.md"), *folder.glob("tutorials/*.md")]
    missing = {d.relative_to(folder).as_posix() for d in inside} - {"README.md", *named}
    assert not missing, f"docs/README.md does not name {missing}"


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
    where, tests = (re.findall(r"`([^`]+)`", cell) for cell in (row[2], row[4]))
    for place in where:
        path, _, name = place.partition(":")
        file = ROOT / "src" / "kia" / path
        assert file.is_file(), path
        assert not name or name in defined_names(file), place
    assert all((ROOT / path).is_file() for path in tests), tests
    # A test that names none of what it is said to check checks something else.
    files = [ROOT / path for path in tests]
    files += [c for file in files if (c := file.with_name("conftest.py")).exists()]
    read = "".join(file.read_text(encoding="utf-8") for file in files)
    names = [place.partition(":")[2] or Path(place).stem for place in where]
    assert any(re.search(rf"\b{name}\b", read) for name in names) or row[0] == "Fig. 1"
    assert "not yet" not in " ".join(row)


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
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir"]
    subprocess.run([*build, str(tmp_path), str(copy)], check=True, capture_output=True, timeout=300)
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
