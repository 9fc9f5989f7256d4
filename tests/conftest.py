"""Set-up shared by all tests."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test downloads
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

ROOT = Path(__file__).resolve().parent.parent

KiaCommand = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def iu_xray() -> Path:
    """The real IU X-Ray folder; tests that ask for it are skipped where it is not."""
    folder = Path(os.environ.get("KIA_IU_XRAY", ROOT.parent / "shared" / "data" / "iu_xray"))
    if not (folder / "annotation.json").is_file():
        pytest.skip("needs IU X-Ray: set KIA_IU_XRAY to its folder")
    return folder


@pytest.fixture
def kia_command(capfd: pytest.CaptureFixture[str]) -> KiaCommand:
    """Runs `kia WORDS…` in this process; returns the exit code, stdout and stderr."""
    from kia.cli.main import main

    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(words)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run
