"""Training on a data set that is cut off meanwhile: one line."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kia.config import RunConfig
from kia.errors import DataError
from kia.training import train


@pytest.mark.parametrize("workers", [0, 1])
def test_a_data_set_that_is_cut_off_while_it_trains_ends_in_one_line(
    workers: int,
    phantoms: Path,
    tmp_path: Path,
    configured: Callable[..., RunConfig],
    listener: type[Any],
) -> None:
    data = shutil.copytree(phantoms, tmp_path / "data")
    file = data / "images-00000.npy"

    def cut(what: str, count: int) -> None:
        if count == 1:
            file.chmod(0o644)
            os.truncate(file, 4096)

    config = configured(data__workers=workers)
    with pytest.raises(
        DataError, match=r"images-00000\.npy: it was cut off while it was read"
    ) as told:
        train(config, data, tmp_path / "run", reporter=listener(cut))
    assert "\n" not in str(told.value) and "Traceback" not in str(told.value)
