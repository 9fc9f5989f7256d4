"""A model with random weights that tells images and reports apart, and eight phantoms."""

from pathlib import Path

import torch

from kia.config import RunConfig, load_config
from kia.data.readers.phantoms import write_phantoms
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.models import KIAModel
from kia.processing import KIAProcessor
from kia.training.build import build_model, build_processor

SMALL = [
    "model.image_size=64",
    "model.image_encoder.width=32",
    "model.text_encoder.width=32",
]


def random_model(
    folder: Path, positions: int
) -> tuple[RunConfig, PreparedDataset, KIAProcessor, KIAModel]:
    """`tiny` made smaller, for texts of `positions` tokens; weights of the text tower are tripled.

    They would otherwise make all studies look alike.
    """
    with DatasetWriter(folder / "data", image_size=64, source="phantom") as writer:
        write_phantoms(writer, 8, seed=0)
    dataset = PreparedDataset.open(folder / "data")
    config = load_config("tiny", [*SMALL, f"model.text_encoder.max_positions={positions}"])
    processor = build_processor(config, dataset.reports(), folder / "processor")
    torch.manual_seed(0)
    model = build_model(config, processor).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "text_tower" in name and parameter.ndim == 2:
                parameter.mul_(3)
    return config, dataset, processor, model
