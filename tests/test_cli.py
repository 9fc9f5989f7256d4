"""The command as a user meets it: help, exit codes, one line for every failure."""

import errno
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import typer.main

import kia
from kia.cli import main as main_module
from kia.cli.console import write_json
from kia.errors import ConfigError, DataError, KIAError

# The contract; later commands join in this order.
COMMANDS = [
    *("demo", "generate", "data", "knowledge", "train", "evaluate", "ablate", "runs", "findings"),
    *("retrieve", "explain", "serve", "bench", "info", "config"),
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


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from kia.cli.main import main; main(['--help'])\n"
        "heavy = ('torch', 'transformers', 'accelerate', 'pyarrow', 'numpy', 'PIL', 'pydantic')\n"
        "print([m for m in heavy if m in sys.modules], file=sys.stderr)"
    )
    times = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        times.append(time.perf_counter() - start)
        assert done.stderr.strip() == "[]"
    assert min(times) < 1.0  # 0.2 s alone; the tests may share their cores


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
