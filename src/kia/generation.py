"""Writing reports with a trained model: one study, or a split of a data set."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kia.config import GenerationConfig
from kia.data.batches import load_images
from kia.data.store import PreparedDataset
from kia.errors import ModelError
from kia.models.kia import KIAForReportGeneration
from kia.processing import KIAProcessor


def model_folder(source: str | Path) -> Path:
    """The model folder that a run folder or model folder stands for.

    Raises:
        ModelError: There is no model.
    """
    folder = Path(source)
    if (folder / "run.yaml").is_file():
        if not (folder / "model" / "config.json").is_file():
            raise ModelError(f"run {folder} has no model yet: it is saved at the first validation")
        folder = folder / "model"
    if not (folder / "config.json").is_file():
        raise ModelError(f"{source} is no model: name a run folder or a model folder (config.json)")
    return folder


def load_model(source: str | Path) -> tuple[KIAForReportGeneration, KIAProcessor]:
    """Loads a model for use from a run folder or a model folder.

    Raises:
        ModelError: The folder is not there, not a kia model, or its weights are damaged.
    """
    folder = model_folder(source)
    loaded: Any
    try:
        processor = KIAProcessor.from_pretrained(folder)
        loaded = KIAForReportGeneration.from_pretrained(folder, output_loading_info=True)
    except ModelError:
        raise
    except Exception as error:
        # transformers, safetensors and the hub raise many kinds; all mean an unusable folder
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"cannot load a kia model from {source}: {reason}") from error
    model, loading = loaded
    if loading["missing_keys"]:
        raise ModelError(
            f"{source}: model.safetensors lacks {len(loading['missing_keys'])} weights of "
            f"config.json, such as {min(loading['missing_keys'])}"
        )
    if model.config.vocab_size != len(processor.tokenizer):
        raise ModelError(
            f"{source}: the tokenizer has {len(processor.tokenizer)} entries, the model "
            f"{model.config.vocab_size}: they are from different runs"
        )
    return model.eval(), processor


def decoding_options(config: GenerationConfig) -> dict[str, Any]:
    """Our decoding defaults in transformers' words."""
    return {
        "num_beams": config.beams,
        "max_new_tokens": config.max_tokens,
        "length_penalty": config.length_penalty,
        "do_sample": False,
        "early_stopping": False,
    }


def write_reports(
    model: KIAForReportGeneration,
    processor: KIAProcessor,
    inputs: dict[str, Tensor | None],
    config: GenerationConfig,
    **options: Any,
) -> list[str]:
    """Reports for one batch of inputs.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        inputs: `pixel_values` (B, W, C, S, S), `view_ids` (B, W), `view_mask` (B, W) or None.
        config: Decoding settings; `max_tokens` is cut to what the model can hold.
        options: More of transformers' generation options.
    """
    longest = min(config.max_tokens, model.config.max_tokens - 1)
    settings = decoding_options(config) | {"max_new_tokens": longest} | options
    moved = {k: v.to(model.device) for k, v in inputs.items() if v is not None}
    return processor.decode(model.generate(**moved, **settings))


def dataset_inputs(
    dataset: PreparedDataset, processor: KIAProcessor, studies: NDArray[np.int64]
) -> dict[str, Tensor | None]:
    """The input of `write_reports` for studies of a prepared data set.

    Raises:
        ModelError: The data set was prepared for another image size.
    """
    check_image_size(dataset, processor)
    pixels, view_ids, view_mask = load_images(dataset, studies)
    pixel_values = processor.normalise(pixels)
    if view_mask is not None:
        pixel_values = pixel_values * view_mask[:, :, None, None, None]
    return {"pixel_values": pixel_values, "view_ids": view_ids, "view_mask": view_mask}


def check_image_size(dataset: PreparedDataset, processor: KIAProcessor) -> None:
    """Refuses a data set that was prepared for another image size.

    Raises:
        ModelError: Its images have another size than the model reads.
    """
    if dataset.image_size != processor.image_size:
        raise ModelError(
            f"the data set holds {dataset.image_size}-pixel images, the model reads "
            f"{processor.image_size}: prepare it again with --size {processor.image_size}"
        )


def write_dataset_reports(
    model: KIAForReportGeneration,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    studies: Sequence[int] | NDArray[np.int64],
    config: GenerationConfig,
    on_progress: Callable[[int], None] = lambda count: None,
) -> Iterator[tuple[str, str]]:
    """(id, report) for studies of a prepared data set, in their order, batch by batch.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        dataset: Prepared for the model's image size.
        studies: Numbers in the data set.
        config: Decoding settings and batch size.
        on_progress: Told the number of studies finished with each batch.
    """
    order = np.asarray(studies, np.int64)
    for start in range(0, len(order), config.batch_size):
        chunk = order[start : start + config.batch_size]
        reports = write_reports(model, processor, dataset_inputs(dataset, processor, chunk), config)
        for study, report in zip(chunk, reports, strict=True):
            yield dataset.study(int(study)).id, report
        on_progress(len(chunk))


@torch.no_grad()
def image_embeddings(
    model: KIAForReportGeneration,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    studies: Sequence[int] | NDArray[np.int64],
    batch_size: int = 32,
) -> NDArray[np.float32]:
    """The model's own image features, for the nearest-neighbour baseline.

    Returns:
        (n, P) contrastive embeddings, or (n, D) pooled features of a model without IRC; each
        of length 1.
    """
    order = np.asarray(studies, np.int64)
    rows = []
    for start in range(0, len(order), batch_size):
        inputs = dataset_inputs(dataset, processor, order[start : start + batch_size])
        moved = {k: v.to(model.device) for k, v in inputs.items() if v is not None}
        pooled = model.encode_images(**moved).pooled
        if "irc" in (model.config.tasks or ()):
            pooled = model.image_projection(pooled)
        rows.append(torch.nn.functional.normalize(pooled.float(), dim=-1).cpu().numpy())
    return np.concatenate(rows)
