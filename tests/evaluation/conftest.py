"""Shared by the evaluation tests: IU X-Ray."""

import json
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def iu_reports(iu_xray: Path) -> dict[str, list[str]]:
    """Split → raw reports of IU X-Ray in file order."""
    splits = json.loads((iu_xray / "annotation.json").read_text(encoding="utf-8"))
    return {split: [study["report"] for study in studies] for split, studies in splits.items()}
