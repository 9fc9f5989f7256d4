"""docs/paper-map.md says of every setting of the paper presets what it is, and whose."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kia.config import load_config

PAGE = Path(__file__).resolve().parent.parent / "docs" / "paper-map.md"
ROW = re.compile(r"^\| `([\w.]+)` \| (\S+)(?: \[(\S+)\])? \| (paper|ours)\b[^|]* \|$", re.M)


def leaves(tree: dict[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{at}{name}.")
        else:
            yield f"{at}{name}", value


def shown(value: Any) -> str:
    return {"True": "true", "False": "false", "None": "null"}.get(str(value), str(value))


@pytest.mark.parametrize("preset", ["paper-iu-xray", "paper-mimic-cxr"])
def test_the_table_is_the_resolved_preset(preset: str) -> None:
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    mimic = preset == "paper-mimic-cxr"
    table = {name: (other if mimic and other else value) for name, value, other, _ in rows}
    assert len(table) == len(rows)
    resolved = dict(leaves(load_config(preset, []).model_dump(mode="json")))
    assert table == {name: shown(value) for name, value in resolved.items()}


def test_a_preset_says_whose_each_of_its_lines_is() -> None:
    import kia

    folder = Path(kia.__file__).parent / "configs"
    for preset in ("paper-iu-xray", "paper-mimic-cxr"):
        for line in (folder / f"{preset}.yaml").read_text(encoding="utf-8").splitlines():
            if not line.startswith("#") and not line.endswith(":"):
                assert re.search(r"# (paper|ours)", line), line
