"""What a file of predictions comes from: written beside it, and compared before it is continued."""

import hashlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import kia
from kia.config import GenerationConfig
from kia.data.store.dataset import PreparedDataset
from kia.models.kia import KIAModel
from kia.processing import KIAProcessor

_WORDS = {
    "model": "another model",
    "data": "another data set",
    "studies": "other studies",
    "settings": "other settings",
    "seed": "another seed",
}


def origin_of(
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    studies: NDArray[np.int64],
    settings: GenerationConfig,
    seed: int,
) -> dict[str, Any]:
    """All that the reports depend on, but for what changes none: batches, ranks and restarts.

    Returns:
        {"kia": version, "model": SHA-256 of weights, configuration and tokenizer, "data": content
        hash, "studies": {"count", "hash" of their numbers}, "settings", "seed"}.
    """
    return {
        "kia": kia.__version__,
        "model": model_hash(model, processor),
        "data": dataset.info["content_hash"],
        "studies": {
            "count": len(studies),
            "hash": hashlib.sha256(np.asarray(studies, "<i8").tobytes()).hexdigest(),
        },
        "settings": settings.model_dump(exclude={"batch_size"}),
        "seed": seed,
    }


def model_hash(model: KIAModel, processor: KIAProcessor) -> str:
    """SHA-256 over weights, their names, the configuration and the tokenizer, wherever they lie."""
    whole = hashlib.sha256(repr(sorted(vars(model.config).items())).encode())
    whole.update(processor.word_pieces.to_str().encode())
    for name, weight in sorted(model.state_dict().items()):
        plain = weight.detach().cpu().contiguous()
        whole.update(f"{name} {plain.dtype} {tuple(plain.shape)}\n".encode())
        whole.update(plain.flatten().view(dtype=torch.uint8).numpy())
    return whole.hexdigest()


def differences(before: Any, now: dict[str, Any]) -> list[str]:
    """In words, what an earlier origin has otherwise; nothing if the reports are the same."""
    if not isinstance(before, dict):
        return ["something else"]
    found = []
    for key, words in _WORDS.items():
        if before.get(key) == now[key]:
            continue
        if key == "settings" and isinstance(before.get(key), dict):
            words = f"other settings ({_changed(before[key], now[key])})"
        found.append(words)
    return found


def _changed(before: dict[str, Any], now: dict[str, Any]) -> str:
    names = [name for name in {**now, **before} if before.get(name) != now.get(name)]
    return ", ".join(f"{name} {before.get(name)!r:.40}" for name in names)
