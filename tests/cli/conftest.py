"""A tiny phantom data set, configuration and trained model for the commands."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from kia.config import validate
from kia.data.readers.phantoms import write_phantoms
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.training.build import build_model, build_processor

CONFIG: dict[str, Any] = {
    "model": {
        "image_size": 64,
        "image_encoder": {"width": 32, "depth": 1, "heads": 2, "ffn_width": 64, "stem": "conv"},
        "text_encoder": {
            **{"width": 32, "depth": 1, "heads": 2, "ffn_width": 64},
            **{"max_positions": 64, "vocab_size": 400},
        },
        "projection_width": 16,
    },
    "tasks": {"irc": {"queue_length": 32, "same_report_is_positive": True}},
    "train": {
        "batch_size": 8,
        "joint": {"epochs": 1, "learning_rate": 1e-3},
        "generation": {"epochs": 1, "learning_rate": 5e-4},
        "precision": "float32",
        "threads": 1,
    },
    "generation": {"beams": 1, "max_tokens": 12},
}


@pytest.fixture(scope="session")
def make_phantoms() -> Callable[..., Path]:
    """`make_phantoms(folder, studies, size=64)` prepares a data set."""

    def make(folder: Path, studies: int, size: int = 64) -> Path:
        with DatasetWriter(folder, image_size=size, source="phantom") as writer:
            write_phantoms(writer, studies, seed=0)
        return folder

    return make


@pytest.fixture(scope="session")
def data(make_phantoms, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_phantoms(tmp_path_factory.mktemp("cli") / "data", 24)


@pytest.fixture(scope="session")
def yaml_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("cli") / "tiny.yaml"
    file.write_text(yaml.safe_dump(CONFIG))
    return str(file)


@pytest.fixture(scope="session")
def make_model(data: Path) -> Callable[..., Path]:
    """`make_model(folder)`: random weights, large enough to tell images apart."""

    def make(folder: Path, positions: int = 64) -> Path:
        tree = copy.deepcopy(CONFIG)
        tree["model"]["text_encoder"]["max_positions"] = positions
        config = validate(tree, "test")
        torch.manual_seed(0)
        processor = build_processor(config, PreparedDataset.open(data).reports("train"), folder)
        built = build_model(config, processor)
        with torch.no_grad():
            for name, parameter in built.named_parameters():
                if "text_tower" in name and parameter.ndim == 2:
                    parameter.add_(torch.randn_like(parameter) * 2 / parameter.shape[1] ** 0.5)
        built.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def model(make_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("cli") / "model")


@pytest.fixture
def pictures(data: Path, tmp_path: Path) -> list[list[str]]:
    """The images of the test studies as PNG files: [[frontal, lateral], …]."""
    dataset = PreparedDataset.open(data)
    files = []
    for study in dataset.indices("test"):
        names = []
        for view, pixels in zip(dataset.views(study), dataset.pixels(study), strict=True):
            names.append(str(tmp_path / f"{study}-{view}.png"))
            Image.fromarray(np.array(pixels)).save(names[-1])
        files.append(names)
    return files


@pytest.fixture
def one_line(kia_command) -> Callable[..., str]:
    """Runs a command that must fail with this exit code and one line on stderr."""

    def run(code: int, *words: str) -> str:
        found, out, err = kia_command(*words)
        errors = [line for line in err.splitlines() if line.startswith("error: ")]
        assert (found, len(errors)) == (code, 1), (found, out, err)
        assert "Traceback" not in err and "unexpected" not in errors[0]
        assert out == ""
        return errors[0]

    return run
