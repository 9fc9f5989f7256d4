"""`kia config`: the presets and the meaning of every field."""

import difflib
import itertools
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from kia.cli import console

app = typer.Typer(no_args_is_help=True, help="Presets and the meaning of every field.")


@app.command("list")
def list_presets() -> None:
    """List the presets, one line each."""
    from kia.config import preset_names, preset_text

    for name in preset_names():
        purpose = _purpose(preset_text(name)).removeprefix(f"{name}: ")
        console.out.print(f"{name:<17} {purpose}", soft_wrap=True)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="a preset or a YAML file")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="change a field")
    ] = None,
) -> None:
    """Print a preset with every field filled in, as YAML."""
    import yaml

    from kia.config import load_config

    config = load_config(name, overrides or ())
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    console.out.print(text, end="", soft_wrap=True)


@app.command()
def copy(
    name: Annotated[str, typer.Argument(help="a preset")],
    file: Annotated[Path, typer.Argument(help="the new YAML file")],
) -> None:
    """Copy a preset, comments included, to a file of your own."""
    from kia.config import preset_text
    from kia.errors import UsageError

    text = preset_text(name)
    if file.is_dir():
        raise UsageError(f"{file} is a folder; name the new file: {file / name}.yaml")
    if file.suffix not in (".yaml", ".yml"):
        raise UsageError(f"{file}: a configuration file ends in .yaml")
    try:
        with file.open("x", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError:
        raise UsageError(f"{file} exists; choose another name or remove it") from None
    console.err.print(f"wrote {file}; train it with: kia train {file}", soft_wrap=True)


@app.command()
def explain(
    key: Annotated[str | None, typer.Argument(help="a field or a group, as a.b")] = None,
) -> None:
    """Print the path, type, default and meaning of every field, or of those under KEY."""
    from kia.config import RunConfig, fields
    from kia.errors import ConfigError

    known = dict(fields())
    chosen = {
        path: info
        for path, info in known.items()
        if key is None or path == key or path.startswith(f"{key}.")
    }
    if not chosen:
        groups = {path.rpartition(".")[0] for path in known} | set(RunConfig.model_fields)
        near = difflib.get_close_matches(key or "", [*known, *sorted(groups)], 1, cutoff=0.5)
        hint = f"; did you mean '{near[0]}'?" if near else " (kia config explain lists all)"
        raise ConfigError(f"no field '{key}'{hint}")
    for path, info in chosen.items():
        kind = f"{_type(info.annotation)}, default {_default(info)}"
        console.out.print(f"{path}  ({kind})\n    {info.description}", soft_wrap=True)


def _type(annotation: Any) -> str:
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return text.replace("typing.Literal", "one of ").replace("NoneType", "None")


def _default(info: Any) -> str:
    if info.is_required():
        return "none: must be given"
    value = info.get_default(call_default_factory=True)
    if isinstance(value, bool):
        return str(value).lower()
    return "absent" if value is None else str(value)


def _purpose(text: str) -> str:
    """The first sentence of the comment on top of a preset."""
    comment = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    return re.split(r"(?<=\.) (?=[A-Z])", " ".join(line.lstrip("# ") for line in comment))[0]
