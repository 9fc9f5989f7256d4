"""The API reference builds without a warning, and docstrings say what the code takes."""

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "src" / "kia").rglob("*.py"))
SECTION = re.compile(r"^(\w+):\n((?:(?: {4}.*)?\n)*)", re.MULTILINE)
CODE = re.compile(r"``.*?``|`[^`]*`", re.DOTALL)


def parameters(node: ast.AST) -> set[str]:
    """Of a function; of a class, its fields and those of its __init__."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        given = node.args
        every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
        return {one.arg for one in every if one}
    found = set()
    for member in getattr(node, "body", []):
        if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
            found.add(member.target.id)
        elif isinstance(member, ast.FunctionDef) and member.name == "__init__":
            found |= parameters(member)
    return found


def documented(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(tree):
        if isinstance(node, kinds) and (text := ast.get_docstring(node)):
            yield node, text


def faults(tree: ast.Module) -> list[str]:
    """Arguments that a docstring documents and the code does not have; text that a page loses."""
    found = []
    for node, text in documented(tree):
        name = getattr(node, "name", "module")
        for section, body in SECTION.findall(f"{text}\n"):
            if section in ("Args", "Arguments"):
                names = re.findall(r"^ {4}\*{0,2}(\w+)(?: \(.*?\))?:", body, re.MULTILINE)
                groups = re.findall(r"^ {4}((?:\w+, )+\w+):", body, re.MULTILINE)
                names += [one for group in groups for one in group.split(", ")]
                found += [f"{name}: no argument {n}" for n in set(names) - parameters(node)]
        plain = "\n".join(
            line for line in CODE.sub("", text).splitlines() if not line.startswith("    ")
        )
        found += [f"{name}: {tag} is read as HTML" for tag in re.findall(r"<[a-z][^<>]*>", plain)]
    return found


def test_docstrings_are_of_the_code() -> None:
    found = {str(file): faults(ast.parse(file.read_text(encoding="utf-8"))) for file in FILES}
    assert not {file: list_ for file, list_ in found.items() if list_}


def test_a_wrong_docstring_would_be_noticed() -> None:
    wrong = 'def f(a, *b):\n    """Of <x>.\n\n    Args:\n        a: A.\n        c: C.\n    """\n'
    assert faults(ast.parse(wrong)) == ["f: no argument c", "f: <x> is read as HTML"]


@pytest.mark.slow
def test_the_reference_builds_without_a_warning_and_names_what_is_public(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "docs" / "api.py"), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == str(tmp_path / "index.html")
    pages = {p.relative_to(tmp_path).as_posix(): p for p in tmp_path.rglob("*.html")}
    for file in FILES:
        module = file.relative_to(ROOT / "src").with_suffix("").as_posix()
        module = module.removesuffix("/__init__")
        if not module.startswith(("kia/cli", "kia/__main__")) and module != "kia":
            parent, _, name = module.rpartition("/")
            link = f'href="{parent.rpartition("/")[2]}/{name}.html"'
            assert f"{module}.html" in pages
            assert link in pages[f"{parent}.html"].read_text(encoding="utf-8"), module
    for package in ("kia", "kia.models", "kia.imaging.plausibility", "kia.tasks", "kia.training"):
        page = pages[f"{package.replace('.', '/')}.html"].read_text(encoding="utf-8")
        for name in importlib.import_module(package).__all__:
            assert name.startswith("__") or f'id="{name}"' in page, f"{package}.{name}"
