"""What children of the tests do lies beside the tests."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def jobs_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)
