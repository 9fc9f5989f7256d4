"""Every file that kia reads, changed in thousands of ways: an error in one line, or a right result.

A few changes of each kind by default, 2,000 of each with `-m slow`.
"""

import time
import warnings
from pathlib import Path

import pytest
from tests.files.mutations import mutations
from tests.files.written import KINDS, Written

from kia.errors import KIAError

FEW, MANY = 20, 2000
SECONDS = 5  # of processor time that one may take


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return Written(tmp_path_factory.mktemp("written"))


def try_out(name: str, written: Written, seed: int, count: int) -> tuple[int, list[str]]:
    """How many changes were refused, and what went wrong with the others."""
    kind, refused, wrong = KINDS[name], 0, []
    file = written.folder / kind.file
    kept = Kept(file.parent)
    content = file.read_bytes()
    for number, changed in enumerate(mutations(content, kind.form, seed, count)):
        file.unlink()  # whoever has opened it keeps it as it was
        file.write_bytes(changed)
        began = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                kind.settle(written)
                kind.use(written)
        except KIAError as error:
            refused += 1
            if "\n" in str(error) or len(str(error)) > 2500:
                wrong.append(f"{number}: {len(str(error))} characters: {str(error)[:300]}")
        except KeyboardInterrupt:  # a preparation that is to stay unfinished
            pass
        except BaseException as error:
            wrong.append(f"{number}: {type(error).__name__}: {str(error)[:300]}")
        if time.process_time() - began > SECONDS:
            wrong.append(f"{number}: {time.process_time() - began:.1f} s")
        kept.restore()
    return refused, wrong


class Kept:
    """The files of a folder, which are put back as they were."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.contents = {path: path.read_bytes() for path in self._files()}
        self.signs = {path: self._sign(path) for path in self.contents}

    def restore(self) -> None:
        found = set(self._files())
        for path in found - self.contents.keys():
            path.unlink()
        for path, content in self.contents.items():
            if path not in found or self._sign(path) != self.signs[path]:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.unlink(missing_ok=True)
                path.write_bytes(content)
                self.signs[path] = self._sign(path)

    def _files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]

    @staticmethod
    def _sign(path: Path) -> tuple[int, ...]:
        found = path.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size


@pytest.mark.parametrize("name", KINDS)
def test_what_is_as_it_was_written_is_used(name: str, written: Written) -> None:
    kind = KINDS[name]
    try:
        kind.settle(written)
        kind.use(written)
    except KeyboardInterrupt:
        pass


@pytest.mark.parametrize("name", KINDS)
def test_a_few_changes(name: str, written: Written) -> None:
    refused, wrong = try_out(name, written, seed=1, count=FEW)
    assert not wrong, "\n".join(wrong)
    assert refused or name in ("scores", "resamples", "index", "embeddings")


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_thousands_of_changes(name: str, written: Written) -> None:
    _, wrong = try_out(name, written, seed=2, count=MANY)
    assert not wrong, f"{len(wrong)} of {MANY}:\n" + "\n".join(wrong[:20])


def test_the_changes_are_the_same_each_time() -> None:
    content = b'{"a": [1, {"b": "c"}], "d": 0.5}'
    first, second = (list(mutations(content, "json", 7, 50)) for _ in range(2))
    assert first == second and len(set(first)) > 40 and content not in first
