"""A prepared data set of hand-written reports, and models with random weights that read it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from kia.config import validate
from kia.data.annotate import annotated
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.processing import KIAProcessor, train_tokenizer
from kia.studies import Study, StudyImage
from kia.training.build import build_model

SIZE, PATCH = 32, 4

REPORTS = [
    "Heart size is normal. The lungs are clear.",
    "The heart is enlarged. Small left pleural effusion.",
    "No pneumothorax. Heart size is normal. The bones are intact.",
    "Moderate cardiomegaly. The lungs are clear.",
    "Heart size is  normal. the lungs are clear.",  # as study 0, but for spacing and case
    "The heart is enlarged. There is a left lower lobe opacity.",
]
VIEWS = [
    ("frontal", "lateral"),
    ("frontal",),
    ("frontal", "lateral"),
    ("frontal",),
    ("frontal", "frontal"),
    ("lateral",),
]


def _write(folder: Path, seed: int = 0) -> PreparedDataset:
    random = np.random.default_rng(seed)
    studies = [
        Study(str(i), "train", tuple(StudyImage(f"{i}-{v}.png", v) for v in views), report)
        for i, (report, views) in enumerate(zip(REPORTS, VIEWS, strict=True))
    ]
    with DatasetWriter(folder, image_size=SIZE, source="test") as writer:
        for study in annotated(studies):
            shape = (len(study.images), SIZE, SIZE)
            writer.add(study, random.integers(0, 256, shape).astype(np.uint8))
    return PreparedDataset.open(folder)


@pytest.fixture(scope="session")
def write_studies() -> Callable[..., PreparedDataset]:
    """`write_studies(folder, seed)`: the six studies, with random images of the seed."""
    return _write


@pytest.fixture(scope="session")
def six_studies(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return _write(tmp_path_factory.mktemp("explain") / "data")


@pytest.fixture(scope="session")
def toy() -> Callable[..., tuple[KIAProcessor, torch.nn.Module]]:
    """`toy(seed=0)`: processor and model; weights so large that every input shows."""

    def make(seed: int = 0, **tasks: object):
        processor = KIAProcessor(train_tokenizer(REPORTS, 300), image_size=SIZE)
        image = {"width": 16, "depth": 2, "heads": 2, "ffn_width": 24, "patch_size": PATCH}
        text = {"width": 24, "depth": 2, "heads": 3, "ffn_width": 32, "max_positions": 160}
        parts = {"image_encoder": image, "text_encoder": text | {"vocab_size": 300}}
        parts |= {"image_size": SIZE, "initializer_range": 0.3, "projection_width": 8}
        torch.manual_seed(seed)
        model = build_model(validate({"model": parts, "tasks": tasks}, "test"), processor)
        return processor, model.eval()

    return make
