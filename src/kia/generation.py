"""Writing reports with a trained model: one study, or a split of a data set."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from kia.config import GenerationConfig
from kia.data.batches.batch import load_images
from kia.data.batches.masked_text import token_rows
from kia.data.store.dataset import PreparedDataset
from kia.errors import ModelError, UsageError
from kia.files.records import first_problem
from kia.installed import installed_models
from kia.models.configuration import decoding_options
from kia.models.decoding import check_finite
from kia.models.kia import KIAModel
from kia.models.outputs import ImageFeatures
from kia.processing import PROCESSOR_FILES, KIAProcessor, local_folder
from kia.studies import View
from kia.tasks.text_rows import with_first_token

MODEL_FILES = ("config.json", "generation_config.json", "model.safetensors", *PROCESSOR_FILES)
"""What a model folder is made of."""


def model_folder(source: str | Path) -> Path:
    """The model folder that a run folder, a model folder or an id on the hub stands for.

    Raises:
        ModelError: There is no model.
    """
    folder = local_folder(source, MODEL_FILES)
    if (folder / "run.yaml").is_file():
        if not (folder / "model" / "config.json").is_file():
            raise ModelError(f"run {folder} has no model yet: it is saved at the first validation")
        folder = folder / "model"
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{source} is no model: name a run folder, a model folder (config.json)"
            + "".join(f" or {name}" for name in sorted(installed_models()))
        )
    return folder


def load_model(source: str | Path) -> tuple[KIAModel, KIAProcessor]:
    """Loads a model for use from a run folder or a model folder.

    Raises:
        ModelError: The folder is not there, not a kia model, or its weights are damaged.
    """
    folder = model_folder(source)
    processor = KIAProcessor.from_pretrained(folder)
    model = KIAModel.from_pretrained(folder)
    for what, of_processor, of_model in _shared_facts(processor, model):
        if of_processor != of_model:
            raise ModelError(
                f"{source}: {what}: {of_processor} by the processor, {of_model} by the model: they "
                "are from different runs"
            )
    return model, processor


def _shared_facts(
    processor: KIAProcessor, model: KIAModel
) -> Iterator[tuple[str, int | None, int]]:
    """What a processor and its model both know: in words, as one has it and as the other."""
    config, number = model.config, processor.word_pieces.token_to_id
    yield "entries of the vocabulary", processor.vocab_size, config.vocab_size
    yield "pixels a side of an image", processor.image_size, config.image_size
    yield "channels of an image", processor.channels, config.image_tower["channels"]
    yield "number of [PAD]", number("[PAD]"), config.pad_token_id
    yield "number of [SEP]", number("[SEP]"), config.eos_token_id
    yield "number of [START]", number("[START]"), config.start_token_id
    yield "number of [MATCH]", number("[MATCH]"), config.match_token_id


def generation_settings(model: KIAModel, **given: Any) -> GenerationConfig:
    """The decoding defaults of a model folder, with those of `given` that are not None on top.

    Raises:
        ModelError: Its defaults are none.
        UsageError: What is given is out of range.
    """
    defaults = dict(model.config.generation_defaults or {})
    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        return GenerationConfig(**(defaults | chosen))
    except ValidationError as error:
        name, _, reason = first_problem(error).partition(": ")
        if name in chosen:
            raise UsageError(f"--{name.replace('_', '-')} {chosen[name]}: {reason}") from None
        raise ModelError(f"config.json, generation_defaults: {name}: {reason}") from None


def chosen_device(name: str) -> torch.device:
    """The device called "cpu", "cuda", "cuda:1", "mps" …

    Raises:
        UsageError: There is no such device here.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except Exception as error:  # each kind of device raises its own
        reason = " ".join(str(error).split())[:100]
        raise UsageError(f"--device {name}: cannot be used here ({reason})") from None
    return device


@torch.no_grad()
def image_features(
    model: KIAModel, images: ImageFeatures | Mapping[str, Tensor | None]
) -> ImageFeatures:
    """B studies, encoded once for everything that reads them.

    Args:
        model: In evaluation mode.
        images: `pixel_values` (B, W, C, S, S), `view_ids` (B, W), `view_mask` (B, W) or None;
            what is encoded already comes back as it is.
    """
    if isinstance(images, ImageFeatures):
        return images
    features = model.encode_images(**on_device(model, images))
    check_finite(features.pooled, "features of an image")
    return features


def on_device(model: KIAModel, inputs: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
    """Inputs without those that are None, where the model is."""
    return {name: value.to(model.device) for name, value in inputs.items() if value is not None}


def report_rows(
    model: KIAModel,
    processor: KIAProcessor,
    reports: Sequence[str],
    first: str = "[CLS]",
    longest: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Reports as the tasks read them in training.

    Args:
        model: That reads them.
        processor: Of the same model.
        reports: B texts, at least one; an empty one is two special tokens.
        first: Token before each.
        longest: Word pieces, the rest is cut off; what the model can hold between two special
            tokens if absent.

    Returns:
        (B, T) ids up to [SEP], padded, and True on tokens; both on the model's device.
    """
    longest = model.config.max_tokens - 2 if longest is None else longest
    rows = token_rows(processor, processor.encode(reports, max_words=longest, max_tokens=longest))
    ids, real = (torch.from_numpy(part).to(model.device) for part in rows)
    return with_first_token(ids, processor.token_id(first)), real


def write_reports(
    model: KIAModel,
    processor: KIAProcessor,
    inputs: ImageFeatures | Mapping[str, Tensor | None],
    config: GenerationConfig,
    **options: Any,
) -> list[str]:
    """Reports for one batch of inputs.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        inputs: `pixel_values` (B, W, C, S, S), `view_ids` (B, W), `view_mask` (B, W) or None; or
            B studies, encoded.
        config: Decoding settings; `max_tokens` is cut to what the model can hold.
        options: More fields of `kia.models.decoding.Search`.
    """
    longest = min(config.max_tokens, model.config.max_tokens - 1)
    settings = decoding_options(config) | {"max_new_tokens": longest} | options
    if isinstance(inputs, ImageFeatures):
        return processor.batch_decode(model.generate(image_features=inputs, **settings))
    return processor.batch_decode(model.generate(**(settings | on_device(model, inputs))))


def dataset_inputs(
    dataset: PreparedDataset, processor: KIAProcessor, studies: NDArray[np.int64]
) -> dict[str, Tensor | None]:
    """The input of `write_reports` for studies of a prepared data set.

    Raises:
        ModelError: The data set was prepared for another image size.
    """
    check_image_size(dataset, processor)
    return processor.masked_inputs(*load_images(dataset, studies))


def study_inputs(
    processor: KIAProcessor,
    squares: Sequence[NDArray[np.uint8]],
    views: Sequence[Sequence[View]],
) -> dict[str, Tensor | None]:
    """The input of `write_reports` for decoded studies, which may have unequal numbers of views.

    Args:
        processor: Of the model.
        squares: Grey values (W, S, S) of each study.
        views: Of each study, in the order of its images.
    """
    return processor.study_inputs(squares, views)


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
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    studies: Sequence[int] | NDArray[np.int64],
    config: GenerationConfig,
    on_progress: Callable[[int], None] = lambda count: None,
    write: Callable[..., list[str]] = write_reports,
) -> Iterator[tuple[str, str]]:
    """(id, report) for studies of a prepared data set, in their order, batch by batch.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        dataset: Prepared for the model's image size.
        studies: Numbers in the data set.
        config: Decoding settings and batch size.
        on_progress: Told the number of studies finished with each batch.
        write: Writes the reports of a batch, as `write_reports`.
    """
    order = np.asarray(studies, np.int64)
    for start in range(0, len(order), config.batch_size):
        chunk = order[start : start + config.batch_size]
        reports = write(model, processor, dataset_inputs(dataset, processor, chunk), config)
        for study, report in zip(chunk, reports, strict=True):
            yield dataset.study(int(study)).id, report
        on_progress(len(chunk))


@torch.no_grad()
def image_embeddings(
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    studies: Sequence[int] | NDArray[np.int64],
    batch_size: int = 32,
    on_progress: Callable[[int], None] = lambda count: None,
) -> NDArray[np.float32]:
    """The model's own image features, for the nearest-neighbour baseline.

    Args:
        model: In evaluation mode.
        processor: Of the same model.
        dataset: Prepared for the model's image size.
        studies: Numbers in the data set.
        batch_size: Studies encoded together.
        on_progress: Told the number of studies finished with each batch.

    Returns:
        (n, P) contrastive embeddings, or (n, D) pooled features of a model without IRC; each
        of length 1.
    """
    order = np.asarray(studies, np.int64)
    rows = []
    for start in range(0, len(order), batch_size):
        chunk = order[start : start + batch_size]
        inputs = dataset_inputs(dataset, processor, chunk)
        pooled = image_features(model, inputs).pooled
        if model.trained_on("irc"):
            pooled = model.image_projection(pooled)
        rows.append(torch.nn.functional.normalize(pooled.float(), dim=-1).cpu().numpy())
        on_progress(len(chunk))
    return np.concatenate(rows)
