"""Every command and every piece of Python in the documents is one that the code understands."""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main

from kia.cli.main import app

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LANGUAGES = {"", "bash", "sh", "python", "json", "yaml", "nginx"}
# Programs of others, of which nothing here can be wrong but what is checked below.
OTHERS = {"cat", "docker", "echo", "find", "grep", "head", "kill", "python3", "source", "wait"}
OTHERS |= {"tensorboard"}


def blocks() -> Iterator[tuple[str, str, str]]:
    """(document, language, text) of every fenced block."""
    for document in DOCUMENTS:
        name = document.relative_to(ROOT).as_posix()
        for language, text in FENCE.findall(document.read_text(encoding="utf-8")):
            yield name, language, text


def shell_commands(text: str) -> list[list[str]]:
    """The simple commands of a block, without comments, here-documents and redirections."""
    text = re.sub(r"<<'(\w+)'\n.*?^\1$", "", text.replace("\\\n", " "), flags=re.M | re.S)
    text = re.sub(r"(^|[ \t])#.*$", "", text, flags=re.M)
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;<>\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
    found: list[list[str]] = [[]]
    skip = False
    for token in lexer:
        if set(token) <= set("<>"):
            skip = True
        elif set(token) <= set("|&;\n"):
            found.append([])
        elif skip:
            skip = False
        elif found[-1] or not re.match(r"\w+=", token):  # X=1 before a command is not its name
            found[-1].append(token)
    return [words for words in found if words]


def fenced_commands() -> list[tuple[str, list[str]]]:
    """Of blocks in bash and sh; without a language only those that begin with kia are commands."""
    return [
        (document, words)
        for document, language, text in blocks()
        if language in ("bash", "sh") or (not language and text.startswith("kia "))
        for words in shell_commands(text)
    ]


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the first words name, and the words left."""
    command: Any = typer.main.get_command(app)
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        assert words[0] in command.commands, f"no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def check_kia(words: list[str]) -> None:
    """Fails if the command, an option or a required argument is not as the program has it."""
    command, words = command_of(words)
    options, rest, _ = command.make_parser(typer.Context(command)).parse_args(list(words))
    assert hasattr(command, "commands") or not rest, f"too many arguments: {rest}"
    if {"--help", "-h"} & set(words):
        return
    for parameter in command.params:
        if parameter.required:
            value = options.get(parameter.name)
            assert isinstance(value, str | list | tuple) and value, f"missing {parameter.name}"


def check_mention(words: list[str]) -> None:
    """Of a command named in a sentence: what it leaves out is not missing."""
    command, words = command_of(words)
    known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | {"--help"}
    assert {word for word in words if word.startswith("--")} <= known


def check_make(words: list[str]) -> None:
    assert set(words) <= set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))


def names_in(module: str) -> set[str]:
    """What a module of kia defines or imports, read from its file: importing torch takes long."""
    file = ROOT / "src" / module.replace(".", "/")
    file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
    return found


def check_code(code: str) -> None:
    """Fails if it is no Python, or imports from kia what is not there."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "kia":
            assert {name.name for name in node.names} <= names_in(str(node.module))


def check_python(words: list[str], document: str) -> None:
    if words[0] == "-c":
        check_code(words[1])
    elif words[:2] == ["-m", "kia"]:
        check_mention(words[2:])
    elif words[:2] == ["-m", "pytest"]:
        assert all((ROOT / word).exists() for word in words[2:] if not word.startswith("-"))
    elif (ROOT / words[0]).is_file():
        known = re.findall(r"[\"'](--[\w-]+)", (ROOT / words[0]).read_text(encoding="utf-8"))
        assert {word for word in words if word.startswith("--")} <= set(known)
    else:
        assert f"cat > {words[0]} <<" in (ROOT / document).read_text(encoding="utf-8")


def check_launcher(program: str, words: list[str]) -> None:
    """accelerate launch and torchrun: their options by their own parsers, then kia's."""
    if program == "accelerate":
        from accelerate.commands.launch import launch_command_parser as parser

        assert words.pop(0) == "launch"
    else:
        from torch.distributed.run import get_args_parser as parser
    found = parser().parse_args(words)
    assert found.module and found.training_script == "kia.cli.main"
    check_kia(found.training_script_args)


def check_pip(words: list[str]) -> None:
    assert words[:3] == ["install", "-c", "constraints.txt"] and words[3] == "-e"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.fullmatch(r"\.\[(.*)\]", words[4])
    assert named and set(named[1].split(",")) <= set(extras["optional-dependencies"])


def check_curl(words: list[str]) -> None:
    """The path of each address is a route of the server."""
    served = "".join(f.read_text("utf-8") for f in (ROOT / "src/kia/serving").glob("*.py"))
    for route in re.findall(r"https?://[^/\s]+(/\S*)", " ".join(words)):
        assert f'"{route}"' in served, route


def check_uvicorn(words: list[str]) -> None:
    from uvicorn.main import main as command

    options, _, _ = command.make_parser(command.make_context("uvicorn", ["x:y"])).parse_args(words)
    module, _, name = str(options["app"]).partition(":")
    assert name in names_in(module)


def check(words: list[str], document: str) -> None:
    program, words = words[0].removeprefix(".venv/bin/"), words[1:]
    checks = {"kia": check_kia, "make": check_make, "pip": check_pip}
    checks |= {"curl": check_curl, "uvicorn": check_uvicorn}
    if program in checks:
        checks[program](words)
    elif program == "python":
        check_python(words, document)
    elif program in ("accelerate", "torchrun"):
        check_launcher(program, words)
    else:
        assert program in OTHERS, f"{program}: teach this test how to check it"


@pytest.mark.parametrize(("document", "words"), fenced_commands())
def test_a_documented_command_is_understood(document: str, words: list[str]) -> None:
    check(words, document)


def mentions() -> list[tuple[str, str]]:
    """(document, command) of those between backquotes in sentences and tables."""
    found = set()
    for document in DOCUMENTS:
        text = FENCE.sub("", document.read_text(encoding="utf-8"))
        for span in re.findall(r"`((?:kia|make|python) [^`]+)`", text):
            found.add((document.relative_to(ROOT).as_posix(), " ".join(span.split())))
    return sorted(found)


@pytest.mark.parametrize(("document", "line"), mentions())
def test_a_command_in_a_sentence_exists(document: str, line: str) -> None:
    words = shlex.split(line)
    if words[0] == "kia":
        # The map's commands are there to be typed, so nothing may be missing.
        (check_kia if document == "docs/paper-map.md" else check_mention)(words[1:])
    else:
        check(words, document)


def test_python_blocks_import_what_is_there() -> None:
    found = [text for _, language, text in blocks() if language == "python"]
    assert found
    for text in found:
        check_code(text)


def test_blocks_are_of_languages_that_are_checked() -> None:
    assert {language for _, language, _ in blocks()} <= LANGUAGES


def quick() -> list[str]:
    """Documented commands that need no data: they are run."""
    every = {" ".join(words) for _, words in fenced_commands()} | {line for _, line in mentions()}
    found = {line for line in every if re.match(r"kia (config \w+ [\w.-]+|config list)$", line)}
    return sorted(found)


@pytest.mark.parametrize("line", quick())
def test_a_documented_command_that_needs_no_data_works(line: str, kia_command: Any) -> None:
    code, out, err = kia_command(*line.split()[1:])
    assert (code, err) == (0, "") and out


@pytest.mark.parametrize(
    "line",
    [
        "kia nonsense",
        "kia config shwo x",
        "kia config show",
        "kia config show x --sett a=1",
        "make nothing",
        "python nowhere.py",
        "python experiments/plausibility.py data/iu --nothing",
        "python -c 'from kia import Nothing'",
        "python -m pytest tests/nowhere.py",
        "torchrun --nothing 2 --module kia.cli.main config list",
        "torchrun --module kia.cli.main config lst",
        "accelerate launch --module kia.cli.main train",
        "pip install -c constraints.txt -e .[nothing]",
        "curl http://127.0.0.1:8000/v1/nothing",
        "uvicorn --factory kia.serving.app:nothing",
        "rm -r /",
    ],
)
def test_a_wrong_command_would_be_noticed(line: str) -> None:
    with pytest.raises((Exception, SystemExit)):
        check(shlex.split(line), "README.md")


def test_shell_blocks_are_taken_apart() -> None:
    text = "A=1 kia x \\\n  y > z # c\ncat <<'END'\nmake no\nEND\nfind . | kia - && make 'a b'\n"
    assert shell_commands(text) == [
        ["kia", "x", "y"],
        ["cat"],
        ["find", "."],
        ["kia", "-"],
        ["make", "a b"],
    ]
