"""What is there of a file of predictions that is not finished: pieces in a folder beside it.

Each process appends to files of its own. A process that is killed while it appends leaves half a
line or half a row at the end of a file, which counts for nothing; what stands before it is whole.
"""

import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kia.errors import UsageError
from kia.files.plain import read_json
from kia.files.regular import open_file
from kia.files.writing import write_json
from kia.models import ranks
from kia.predictions.origin import differences

_FEATURES = re.compile(r"features-.*\.(\d{1,6})\.rows")


class Unfinished:
    """The pieces of a file of predictions.

    Args:
        out: The file to be; the pieces lie in `OUT.part`.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out.with_name(f"{out.name}.part")
        self._own = f"{ranks.own()}-{os.getpid()}"
        self._origin = self.folder / "origin.json"

    def begin(self, origin: dict[str, Any], resume: bool) -> None:
        """Makes the folder, or makes sure that what lies there can be continued.

        Every process calls this, and reads or writes pieces only afterwards.

        Raises:
            UsageError: Pieces of an earlier run lie there and are not to be continued, or come
                from something else.
        """
        there = any(self.folder.glob("reports-*.jsonl"))
        if there and not resume:
            raise UsageError(
                f"{self.folder} holds reports of a run that did not end: continue it with "
                "--resume, or delete that folder"
            )
        if there and (other := differences(self._read_origin(), origin)):
            raise UsageError(
                f"--resume: {self.folder} was begun with {' and '.join(other)}; go on as it was "
                "begun, or delete that folder"
            )
        ranks.any_of(False)  # all have looked before the first writes
        if not there and not ranks.own():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self._origin, origin)
        ranks.any_of(False)

    def _read_origin(self) -> Any:
        try:
            return read_json(self._origin)
        except ValueError:
            return None

    def add_reports(self, studies: Sequence[int], reports: Sequence[str]) -> None:
        """Appends the reports of a batch of studies, by their numbers in the data set."""
        lines = [
            json.dumps([int(study), report]) + "\n"
            for study, report in zip(studies, reports, strict=True)
        ]
        with (self.folder / f"reports-{self._own}.jsonl").open("a", encoding="ascii") as file:
            file.write("".join(lines))

    def reports(self) -> dict[int, str]:
        """Study → report, of all that is there."""
        found: dict[int, str] = {}
        for path in sorted(self.folder.glob("reports-*.jsonl")):
            with open_file(path) as file:
                *whole, _ = file.read().split(b"\n")
            found |= {int(study): str(report) for study, report in map(json.loads, whole)}
        return found

    def add_features(self, studies: NDArray[np.int64], rows: NDArray[np.float32]) -> None:
        """Appends the image features (n, P) of studies."""
        table = np.empty(len(rows), _row(rows.shape[1]))
        table["study"], table["features"] = studies, rows
        name = f"features-{self._own}.{rows.shape[1]}.rows"
        with (self.folder / name).open("ab") as file:
            file.write(table.tobytes())

    def features(self) -> dict[int, NDArray[np.float32]]:
        """Study → image features (P,), of all that are there."""
        found: dict[int, NDArray[np.float32]] = {}
        for path in sorted(self.folder.glob("features-*.rows")):
            if not (name := _FEATURES.fullmatch(path.name)):
                continue
            kind = _row(int(name[1]))
            with open_file(path) as file:
                content = file.read()
            table = np.frombuffer(content, kind, count=len(content) // kind.itemsize)
            found |= dict(zip(table["study"].tolist(), table["features"], strict=True))
        return found

    def remove(self) -> None:
        """Removes the pieces, once the file is whole."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _row(width: int) -> np.dtype[Any]:
    return np.dtype([("study", "<i8"), ("features", "<f4", (width,))])
