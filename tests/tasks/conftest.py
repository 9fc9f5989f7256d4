"""Tiny models and hand-made batches: no data set, no tokenizer."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from kia.config import ModelConfig, TasksConfig
from kia.data.batches.batch import Batch
from kia.models import KIAModel, model_configuration
from kia.tasks.joint import TASKS, JointObjective

PAD, SEP, START, MATCH, CLS, MASK, FIRST_WORD, VOCABULARY = 0, 1, 2, 3, 4, 5, 6, 40
SIZE, PATCH = 16, 4
PATCHES = (SIZE // PATCH) ** 2

torch.set_num_threads(1)


def _model(
    tasks=TASKS, *, share: bool = True, stem: str = "patch", dropout: float = 0.0, seed: int = 0
) -> KIAModel:
    torch.manual_seed(seed)
    tower = {"width": 32, "depth": 2, "heads": 2, "ffn_width": 48, "dropout": dropout}
    patch = 16 if stem == "conv" else PATCH
    config = ModelConfig.model_validate(
        {
            "image_size": SIZE * patch // PATCH,
            "image_encoder": tower | {"patch_size": patch, "stem": stem},
            "text_encoder": tower | {"max_positions": 24, "vocab_size": VOCABULARY},
            "projection_width": 8,
            "share_parameters": share,
            "initializer_range": 0.2,  # large, so that every input shows in the output
        }
    )
    ids = {"[PAD]": PAD, "[SEP]": SEP, "[START]": START, "[MATCH]": MATCH}
    settings = model_configuration(config, vocab_size=VOCABULARY, token_ids=ids, tasks=list(tasks))
    return KIAModel(settings).eval()


@pytest.fixture(scope="session")
def make_model() -> Callable[..., KIAModel]:
    """A model of width 32 and depth 2 with the heads of `tasks`."""
    return _model


def _tasks(**parts) -> TasksConfig:
    """Settings by task; a number is a weight."""
    given = {k: v if isinstance(v, dict) else {"weight": v} for k, v in parts.items()}
    given.setdefault("irc", {}).setdefault("queue_length", 5)
    return TasksConfig.model_validate(given)


@pytest.fixture(scope="session")
def make_objective() -> Callable[..., JointObjective]:
    """A joint objective in training mode, without dropout."""

    def make(*, share: bool = True, dropout: float = 0.0, **parts) -> JointObjective:
        config = _tasks(**parts)
        names = [name for name in TASKS if getattr(config, name).weight]
        return JointObjective(_model(names, share=share, dropout=dropout), config).train()

    return make


def _batch(
    studies: int = 4,
    *,
    views: int = 2,
    absent: tuple[tuple[int, int], ...] = (),
    reports: tuple[int, ...] | None = None,
    hidden: float = 0.5,
    masked: float = 0.4,
    size: int = SIZE,
    seed: int = 0,
) -> Batch:
    """Random studies.

    Args:
        studies: B.
        views: W.
        absent: (study, view) pairs that do not exist.
        reports: Equal numbers get equal reports.
        hidden: Share of patches that MIM hides.
        masked: Share of words that MLM hides.
        size: Side of the images.
        seed: Of everything random.
    """
    random = np.random.default_rng(seed)
    numbers = list(range(studies)) if reports is None else list(reports)
    lengths = {n: int(random.integers(2, 8)) for n in sorted(set(numbers))}
    words = {n: random.integers(FIRST_WORD, VOCABULARY, lengths[n]).tolist() for n in lengths}
    rows = [[CLS, *words[n], SEP] for n in numbers]
    tokens = max(map(len, rows))
    ids = np.array([row + [PAD] * (tokens - len(row)) for row in rows])
    chosen = (ids >= FIRST_WORD) & (random.random(ids.shape) < masked)
    view_mask = np.ones((studies, views), bool)
    for study, view in absent:
        view_mask[study, view] = False
    image_mask = (random.random((studies, views, PATCHES)) < hidden) & view_mask[:, :, None]
    pixels = random.uniform(-1, 1, (studies, views, 1, size, size)).astype(np.float32)
    following = [
        (b * tokens + t, row[t + 1]) for b, row in enumerate(rows) for t in range(len(row) - 1)
    ]
    tensor = torch.from_numpy
    return Batch(
        studies=torch.arange(studies),
        pixel_values=tensor(pixels) * tensor(view_mask)[:, :, None, None, None],
        view_ids=torch.arange(views).expand(studies, views).clone(),
        view_mask=tensor(view_mask) if absent else None,
        image_mask=tensor(image_mask),
        hidden_patches=tensor(np.flatnonzero(image_mask)),
        input_ids=tensor(ids),
        attention_mask=tensor(ids != PAD),
        masked_input_ids=tensor(np.where(chosen, MASK, ids)),
        masked_attention_mask=tensor(ids != PAD),
        masked_positions=tensor(np.flatnonzero(chosen)),
        masked_targets=tensor(ids[chosen]),
        next_positions=torch.tensor([position for position, _ in following]),
        next_targets=torch.tensor([target for _, target in following]),
        report_ids=torch.tensor(numbers),
    )


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., Batch]:
    """Random studies, see `_batch`."""
    return _batch


@pytest.fixture(scope="session")
def log_softmax() -> Callable[[np.ndarray], np.ndarray]:
    """ln softmax along the last axis in float64, by its definition."""

    def compute(scores: np.ndarray) -> np.ndarray:
        scores = np.asarray(scores, np.float64)
        scores = scores - scores.max(-1, keepdims=True)
        return scores - np.log(np.exp(scores).sum(-1, keepdims=True))

    return compute


@pytest.fixture(scope="session")
def alone() -> Callable[..., torch.Tensor]:
    """The slow path: one row of tokens through a text tower with one study's image."""

    def run(model, tower, images, study: int, ids, mask, *, causal: bool = False) -> torch.Tensor:
        """Features (length, D) of the row without its padding."""
        ids = ids[mask][None]
        seen = None if images.mask is None else images.mask[study]
        features = images.sequence[study] if seen is None else images.sequence[study][seen]
        return tower(ids, causal=causal, context=tower.stack.context(features[None]))[0]

    return run
