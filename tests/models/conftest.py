"""Small random models, and the block of Eq. 1a-1c written down again in NumPy."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from kia.config import ModelConfig
from kia.models import KIAModel, model_configuration

TASKS = ["mim", "mlm", "irc", "irm", "rg"]
TOKEN_IDS = {"[PAD]": 0, "[SEP]": 1, "[START]": 2, "[MATCH]": 3}
IMAGE = {"width": 32, "depth": 2, "heads": 4, "ffn_width": 48, "patch_size": 8}
TEXT = {"width": 24, "depth": 2, "heads": 2, "ffn_width": 40, "max_positions": 24, "dropout": 0.1}
CONV = {"stem": "conv", "patch_size": 16}

Array = NDArray[np.float64]
Build = Callable[..., KIAModel]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def scramble(module: nn.Module, seed: int = 0, std: float = 0.2) -> None:
    """Random values for all parameters, norms and biases too: a fresh model hides mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            centre = 1.0 if name.endswith("norm.weight") else 0.0
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * std + centre)


@pytest.fixture(name="scramble")
def scramble_fixture() -> Callable[..., None]:
    return scramble


@pytest.fixture
def settings() -> Callable[..., ModelConfig]:
    """Makes the `model` part of a small configuration."""

    def make(
        image: dict[str, Any] | None = None, text: dict[str, Any] | None = None, **more: Any
    ) -> ModelConfig:
        return ModelConfig.model_validate(
            {"image_size": 32, "projection_width": 16}
            | {"image_encoder": IMAGE | (image or {}), "text_encoder": TEXT | (text or {})}
            | more
        )

    return make


@pytest.fixture
def build(settings: Callable[..., ModelConfig]) -> Build:
    """Makes a small model with scrambled weights, in evaluation mode."""

    def make(*, fresh: bool = False, tasks: list[str] = TASKS, **parts: Any) -> Any:
        config = model_configuration(
            settings(**parts), vocab_size=50, token_ids=TOKEN_IDS, tasks=tasks
        )
        torch.manual_seed(0)
        model = KIAModel(config)
        if not fresh:
            scramble(model)
        return model.eval()

    return make


class NumpyBlock:
    """Paper: Eq. 1a-1c from the weights of a block, one row at a time, in float64."""

    def __init__(self, block: nn.Module, *, heads: int, pre: bool, eps: float) -> None:
        self.heads, self.pre, self.eps = heads, pre, eps
        self.weights = {k: v.double().numpy() for k, v in block.state_dict().items()}

    def __call__(
        self, x: Array, *, allowed: Array | None = None, context: Array | None = None
    ) -> Array:
        """x (T, D), allowed (T, T), context (N, C), only what may be read."""
        x = self._sublayer(x, "self_norm", lambda h: self._self_attention(h, allowed))
        if context is not None:
            x = self._sublayer(x, "cross_norm", lambda h: self._cross_attention(h, context))
        return self._sublayer(x, "feed_forward_norm", self._feed_forward)

    def _sublayer(self, x: Array, norm: str, function: Callable[[Array], Array]) -> Array:
        if self.pre:
            return x + function(self._norm(x, norm))
        return self._norm(x + function(x), norm)

    def _norm(self, x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + self.eps)
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def _linear(self, x: Array, name: str) -> Array:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _self_attention(self, x: Array, allowed: Array | None) -> Array:
        query, key, value = np.split(self._linear(x, "self_attention.query_key_value"), 3, axis=-1)
        return self._linear(self._attend(query, key, value, allowed), "self_attention.output")

    def _cross_attention(self, x: Array, context: Array) -> Array:
        query = self._linear(x, "cross_attention.query")
        key, value = np.split(self._linear(context, "cross_attention.key_value"), 2, axis=-1)
        return self._linear(self._attend(query, key, value, None), "cross_attention.output")

    def _attend(self, query: Array, key: Array, value: Array, allowed: Array | None) -> Array:
        width = query.shape[-1] // self.heads
        mixed = []
        for head in range(self.heads):
            own = slice(head * width, (head + 1) * width)
            scores = query[:, own] @ key[:, own].T / math.sqrt(width)
            if allowed is not None:
                scores = np.where(allowed, scores, -np.inf)
            weight = np.exp(scores - scores.max(-1, keepdims=True))
            mixed.append(weight / weight.sum(-1, keepdims=True) @ value[:, own])
        return np.concatenate(mixed, axis=-1)

    def _feed_forward(self, x: Array) -> Array:
        hidden = self._linear(x, "feed_forward.expand")
        gelu = hidden * 0.5 * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2)))
        return self._linear(gelu, "feed_forward.contract")


@pytest.fixture
def numpy_block() -> type[NumpyBlock]:
    return NumpyBlock
