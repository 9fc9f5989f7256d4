"""Configurations as files: presets, what they extend, and `--set a.b=c`."""

import difflib
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from kia.config.model import Part
from kia.config.parts import RunConfig
from kia.errors import ConfigError
from kia.files.plain import MOST_YAML, parse_yaml
from kia.files.records import first_problem
from kia.files.regular import read_text


def preset_names() -> list[str]:
    """Names of the presets in the package, sorted."""
    folder = resources.files("kia") / "configs"
    return sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name[-5:] == ".yaml")


def preset_text(name: str) -> str:
    """The YAML text of a preset, comments included.

    Raises:
        ConfigError: There is no such preset.
    """
    if name not in preset_names():
        near = difflib.get_close_matches(name, preset_names(), 1)
        hint = f"; did you mean '{near[0]}'?" if near else "."
        raise ConfigError(
            f"no preset or file '{name}'{hint} Presets: {', '.join(preset_names())} "
            "(kia config list)"
        )
    return (resources.files("kia") / "configs" / f"{name}.yaml").read_text(encoding="utf-8")


def load_config(name: str, overrides: Iterable[str] = ()) -> RunConfig:
    """Reads a preset (by name) or a YAML file and applies `a.b=c` overrides in order.

    `extends: PRESET` in a file takes everything else from that preset.

    Raises:
        ConfigError: Unknown preset, unreadable YAML, an unknown key or a value out of range.
    """
    tree = _tree(name)
    for override in overrides:
        _apply(tree, override)
    return validate(tree, name)


def changed(config: RunConfig, overrides: Iterable[str], source: str) -> RunConfig:
    """A configuration with `a.b=c` overrides applied in order.

    Args:
        config: Before.
        overrides: As those of `--set`.
        source: Where it is from, for errors.

    Raises:
        ConfigError: An unknown key or a value out of range.
    """
    tree = config.model_dump()
    for override in overrides:
        _apply(tree, override)
    return validate(tree, source)


def _tree(name: str) -> dict[str, Any]:
    """The values of a preset or file, on top of those of the preset that it `extends`."""
    path = Path(name)
    is_file = path.suffix in (".yaml", ".yml") or (path.exists() and not path.is_dir())
    try:
        text = read_text(path, MOST_YAML) if is_file else preset_text(name)
    except OSError as error:
        raise ConfigError(f"cannot read configuration {name}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"cannot read configuration {name}: {error}") from error
    tree = _parse(text, name) or {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{name} must hold keys and values at its top level")
    base = tree.pop("extends", None)
    if base is None:
        return tree
    if base not in preset_names() or base == name:
        raise ConfigError(f"{name}: extends: {base} is no preset; kia config list shows them")
    return _merged(_tree(base), tree)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        merged[key] = _merged(below[key], value) if both else value
    return merged


def validate(tree: dict[str, Any], source: str) -> RunConfig:
    """Checks a tree of plain values; see `load_config` for the errors."""
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        if error.errors()[0]["type"] == "extra_forbidden":
            path, _, _ = first_problem(error).partition(": ")
            raise ConfigError(f"{source}: unknown key '{path}'{_nearest(path)}") from error
        raise ConfigError(f"{source}: {first_problem(error)}") from error


def fields(part: type[Part] = RunConfig, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every leaf field with its dotted path, in the order of the file."""
    for name, info in part.model_fields.items():
        annotation = info.annotation
        if isinstance(annotation, type) and issubclass(annotation, Part):
            yield from fields(annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", info


def _parse(text: str, source: str) -> Any:
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from error


def _apply(tree: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override}: write it as key.path=value")
    *parents, last = key.strip().split(".")
    node = tree
    for parent in parents:
        child = node.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigError(f"--set {override}: '{parent}' is a value, not a group")
        node = child
    node[last] = _parse(value, f"--set {override}") if value.strip() else None


def _nearest(path: str) -> str:
    known = [name for name, _ in fields()]
    groups = {name.rpartition(".")[0] for name in known} | set(RunConfig.model_fields)
    siblings = [name for name in [*known, *groups] if name.count(".") == path.count(".")]
    near = difflib.get_close_matches(path, siblings, 1, cutoff=0.6) or difflib.get_close_matches(
        path, [*known, *groups], 1, cutoff=0.5
    )
    return f"; did you mean '{near[0]}'?" if near else " (kia config explain lists all)"
