"""The command as a user meets it: help, exit codes, one line for every failure."""

import errno
import importlib
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from PIL import Image

import kia
import kia.cli
from kia.cli import main as main_module
from kia.cli.console import write_json
from kia.cli.main import Commands
from kia.errors import ConfigError, DataError, KIAError

# The contract; later commands join in this order.
COMMANDS = [
    *("demo", "generate", "data", "knowledge", "train", "evaluate", "rexrank", "ablate", "runs"),
    *("findings", "retrieve", "explain", "serve", "hub", "bench", "info", "config"),
]


def test_help_shows_the_commands_in_the_documented_order() -> None:
    group: Any = typer.main.get_command(main_module.app)
    shown = group.list_commands(None)
    assert shown == [name for name in COMMANDS if name in shown]


def test_every_command_and_option_has_a_help_text() -> None:
    def check(command: Any, path: str) -> None:
        assert command.help, path
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{path} {parameter.name}"
        for name, child in getattr(command, "commands", {}).items():
            check(child, f"{path} {name}")

    check(typer.main.get_command(main_module.app), "kia")


def test_the_table_of_commands_is_complete_and_true() -> None:
    found = set()
    for name in (file.name for file in pkgutil.iter_modules(kia.cli.__path__)):
        module = importlib.import_module(f"kia.cli.{name}")
        if hasattr(module, "__path__"):
            module = importlib.import_module(f"kia.cli.{name}.command")
        if "_" not in name and (hasattr(module, "app") or hasattr(module, name)):
            found.add(name)
    found.remove("main")
    assert found == set(COMMANDS) == set(main_module.COMMANDS)
    for name, command in Commands().items():
        first = command.help.split("\n\n")[0].replace("\n", " ")
        assert main_module.COMMANDS[name] == first, name
        assert command.name == name


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_shows_every_command_and_option(kia_command, word) -> None:
    code, out, _ = kia_command(word)
    assert code == 0
    text = " ".join(out.replace("│", " ").split())
    for told in ("Usage: kia [OPTIONS] COMMAND", "--debug", "--version", "-h, --help"):
        assert told in text
    for name, told in main_module.COMMANDS.items():
        assert f" {name} {told}" in text


def test_help_of_a_group_and_of_a_command(kia_command) -> None:
    code, out, _ = kia_command("data", "--help")
    assert code == 0 and "Usage: kia data" in out and "iu-xray" in out
    code, out, _ = kia_command("generate", "-h")
    assert code == 0 and "Usage: kia generate" in out and "--beams" in out


def test_help_loads_no_command_and_nothing_heavy() -> None:
    code = (
        "import sys; from kia.cli.main import main; main(['--help'])\n"
        "heavy = {'torch', 'transformers', 'accelerate', 'pyarrow', 'numpy', 'PIL', 'pydantic'}\n"
        "heavy.add('typer.rich_utils')\n"
        "commands = {m for m in sys.modules if m.startswith('kia.cli.')} - {'kia.cli.main'}\n"
        "print(sorted(commands | heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["nonsense"], 2, "No such command"),
        (["config", "shwo"], 2, "config"),
        (["config", "show", "--no-such-option", "x"], 2, "--no-such-option"),
        (["config", "show"], 2, "kia config show --help"),
        (["config", "show", "smal"], 2, "did you mean 'small'"),
        (["config", "show", "small", "--set", "train.sede=1"], 2, "train.seed"),
        (["config", "explain", "tasks.ric"], 2, "tasks.irc"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(kia_command, words, code, told) -> None:
    returned, out, err = kia_command(*words)
    assert (returned, out) == (code, "")
    assert err.startswith("error: ") and err.count("\n") == 1
    assert told in err


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch):
    """Makes `kia config list` raise a given error."""

    def prepare(error: BaseException) -> None:
        def raise_it() -> list[str]:
            raise error

        monkeypatch.setattr("kia.config.preset_names", raise_it)

    return prepare


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DataError("no study in data/iu"), 1, "error: no study in data/iu\n"),
        (ConfigError("bad\nkey"), 2, "error: bad key\n"),
        (KIAError("x"), 1, "error: x\n"),
        (OSError(errno.ENOSPC, "No space left", "a.npy"), 1, "error: no space left"),
        (FileNotFoundError(2, "No such file or directory", "a.csv"), 1, "error: a.csv: No such"),
        (MemoryError(), 1, "error: out of memory"),
        (ValueError("surprise"), 1, "error: unexpected ValueError: surprise; run again with"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_every_failure_is_one_line_without_traceback(kia_command, failing, error, code, line):
    failing(error)
    returned, _, err = kia_command("config", "list")
    assert returned == code
    assert err.startswith(line) and err.count("\n") == 1


@pytest.mark.parametrize("words", [["--debug", "config", "list"], ["config", "list", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(kia_command, failing, words) -> None:
    failing(ValueError("surprise"))
    code, _, err = kia_command(*words)
    assert code == 1
    assert "Traceback" in err and err.splitlines()[-1].startswith("error: unexpected")


def test_version(kia_command) -> None:
    assert kia_command("--version")[:2] == (0, f"kia {kia.__version__}\n")


def test_the_version_is_the_one_of_pyproject() -> None:
    import tomllib

    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())
    assert project["project"]["version"] == kia.__version__


def test_config_list_show_copy_explain(kia_command, tmp_path: Path) -> None:
    import yaml

    from kia.config import fields, load_config, preset_names

    code, out, _ = kia_command("config", "list")
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == preset_names()

    code, out, _ = kia_command("config", "show", "tiny", "--set", "train.seed=5")
    assert code == 0 and yaml.safe_load(out)["train"]["seed"] == 5

    file = tmp_path / "mine.yaml"
    assert kia_command("config", "copy", "tiny", str(file))[0] == 0
    assert load_config(str(file)) == load_config("tiny")
    assert kia_command("config", "copy", "tiny", str(file))[0] == 2  # never overwrites

    code, out, _ = kia_command("config", "explain")
    assert code == 0 and all(path in out for path, _ in fields())
    code, out, _ = kia_command("config", "explain", "tasks.irc")
    assert code == 0 and "queue_length" in out and "train.seed" not in out


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "new" / "results.json"
    write_json(file, {"cider": 0.5, "meteor": float("nan"), "file": Path("a")})
    assert json.loads(file.read_text()) == {"cider": 0.5, "meteor": None, "file": "a"}
    with pytest.raises(TypeError):
        write_json(file, {("no", "key"): 1})
    assert json.loads(file.read_text())["cider"] == 0.5
    assert [f.name for f in file.parent.iterdir()] == ["results.json"]


def test_pictures_load_no_dicom_reader(tmp_path: Path) -> None:
    file = tmp_path / "image.png"
    Image.new("L", (8, 8)).save(file)
    code = (
        "import sys; from kia.cli.image_input import given_studies\n"
        f"print(given_studies([{str(file)!r}], None)[0].images[0].view, 'pydicom' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["frontal", "False"]


def test_python_m_kia_is_kia() -> None:
    words = [sys.executable, "-m", "kia"]
    shown = subprocess.run([*words, "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout == f"kia {kia.__version__}\n"
    wrong = subprocess.run([*words, "no-such"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: ")


@pytest.mark.skipif(sys.platform != "linux", reason="libgomp is torch's on Linux")
def test_threads_that_wait_soon_sleep_unless_the_user_says_otherwise() -> None:
    def said(**chosen: str) -> str:
        """What libgomp says of itself when torch loads it, in a process of its own."""
        code = "from kia.cli.main import main; main(['--version']); import torch"
        place = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", *chosen)}
        place |= {"OMP_DISPLAY_ENV": "verbose", **chosen}
        words = [sys.executable, "-c", code]
        done = subprocess.run(words, env=place, capture_output=True, text=True, check=True)
        return done.stderr

    assert f"GOMP_SPINCOUNT = '{main_module.SPINS}'" in said()
    assert "GOMP_SPINCOUNT = '7'" in said(GOMP_SPINCOUNT="7")
    assert "GOMP_SPINCOUNT = '0'" in said(OMP_WAIT_POLICY="PASSIVE")


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists(),
    reason="this kernel has no large pages",
)
def test_large_pages_are_asked_for_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("THP_MEM_ALLOC_ENABLE", raising=False)
    main_module.main(["--version"])
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "1"
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    main_module.main(["--version"])
    assert os.environ["THP_MEM_ALLOC_ENABLE"] == "0"
