"""What is installed is what was tested: the lock, the constraints, the project and the Makefile."""

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import kia
from kia.cli.main import app
from kia.data.store.chunks import FORMAT_VERSION

ROOT = Path(__file__).resolve().parent.parent
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def script(name: str) -> ModuleType:
    """A file of release/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "release" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entries() -> dict[str, list[str]]:
    """Requirement → its hashes, by the form that pip reads (continued lines)."""
    found = {}
    for line in LOCK.replace("\\\n", " ").splitlines():
        if line and not line.startswith("#"):
            requirement, *options = line.split(" --hash=")
            found[requirement.strip()] = [option.strip() for option in options]
    return found


def test_every_package_of_the_lock_has_hashes_and_one_version():
    assert len(entries()) > 100
    names = [canonicalize_name(Requirement(text).name) for text in entries()]
    assert len(names) == len(set(names))
    for text, hashes in entries().items():
        assert re.fullmatch(r"==[^,*]+", str(Requirement(text).specifier)), text
        assert hashes, f"{text} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in hashes), text


def test_the_lock_says_nothing_of_the_machine_that_wrote_it():
    for line in LOCK.splitlines():
        assert re.match(r"#|[a-z0-9][\w.-]*==|    --hash=sha256:", line), line
    assert not re.search(r"https?://|file:|--(extra-)?index|--find-links|/opt|/home|/tmp", LOCK)


def test_the_lock_has_what_the_constraints_have_but_torch():
    lock = script("lock")
    locked, pinned = lock.pins(LOCK), lock.pins(CONSTRAINTS)
    assert pinned.pop("torch")
    assert "torch" not in locked
    assert locked == pinned


def test_the_lock_has_every_dependency_in_a_version_that_the_project_allows():
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *(d for e in extras.values() for d in e)]
    locked = {canonicalize_name(n): v for n, v in script("lock").pins(LOCK).items()}
    for requirement in map(Requirement, [*wanted, *PROJECT["build-system"]["requires"], "pip"]):
        if requirement.name not in ("kia", "torch"):
            version = locked[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), f"{requirement} but {version}"


def test_models_are_built_by_what_the_lock_has():
    for file in ROOT.glob("models/*/pyproject.toml"):
        build = tomllib.loads(file.read_text())["build-system"]
        assert build["build-backend"] == "setuptools.build_meta"
        (requirement,) = map(Requirement, build["requires"])
        assert requirement.specifier.contains(script("lock").pins(LOCK)["setuptools"])


def test_a_marker_that_holds_everywhere_is_left_out_and_another_stays():
    marked = (
        "a==1 ; implementation_name == 'cpython' and sys_platform == 'linux' \\\n    --hash=x\n"
        "b==1 ; python_version >= '3.12' \\\n    --hash=y\n"
    )
    assert script("lock").unmarked(marked) == (
        "a==1 \\\n    --hash=x\nb==1 ; python_version >= '3.12' \\\n    --hash=y\n"
    )


def test_the_makefile_installs_nothing_unchecked_but_torch():
    installs = re.findall(r"pip install ((?:.*\\\n)*.*)", MAKEFILE)
    assert len(installs) == 3
    hashed, torch, own = (" ".join(line.replace("\\\n", " ").split()) for line in installs)
    assert "--require-hashes --no-deps --only-binary :all: -r requirements.lock" in hashed
    assert torch.endswith("--only-binary :all: -c constraints.txt torch")
    assert "--no-deps --no-build-isolation -e . $(MODELS)" in own


def test_one_version_everywhere():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {kia.__version__}\n" in citation
    assert PROJECT["project"]["version"] == kia.__version__
    assert f"## [{kia.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_a_release_runs_the_first_commands_of_the_readme():
    build = script("build")
    commands = build.first_commands((ROOT / "README.md").read_text(encoding="utf-8"))
    assert [command[:2] for command in commands] == [["kia", "generate"], ["kia", "serve"]]
    assert "image.png" in commands[0]
    assert (ROOT / "src" / build.EXAMPLE).is_file()


def commands() -> list[str]:
    """Top-level commands of kia."""
    return sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", commands())
def test_the_page_on_stability_names_every_command(command):
    page = (ROOT / "docs" / "stability.md").read_text(encoding="utf-8")
    assert f"`kia {command}`" in page


def test_the_page_on_stability_is_of_this_version_and_names_options_that_exist():
    page = (ROOT / "docs" / "stability.md").read_text(encoding="utf-8")
    assert f"This page is for {kia.__version__.rpartition('.')[0]}." in page
    assert f"format {FORMAT_VERSION}" in page
    assert set(re.findall(r"`(--[a-z-]+)`", page)) <= options(typer.main.get_command(app))


def options(command) -> set[str]:
    """All options of a command and of those below it."""
    found = {name for parameter in command.params for name in parameter.opts}
    for below in getattr(command, "commands", {}).values():
        found |= options(below)
    return found
