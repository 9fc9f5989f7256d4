"""Will it fit? Memory and time of a training on this device, before anything starts.

Memory is counted from shapes; time is measured on a small batch of a shallow model and scaled by
the operations of the whole one. How well both agree with real runs: docs/training.md.
"""

import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kia.config import RunConfig, validate
from kia.data.batches.batch import Batch, BatchBuilder, shuffled_batches
from kia.data.readers.phantoms import write_phantoms
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.processing import KIAProcessor, train_tokenizer
from kia.tasks.joint import JointObjective
from kia.training.blocks import prepare_blocks
from kia.training.build import build_model
from kia.training.device_memory import available_memory, memory_in_use
from kia.training.distributed import join
from kia.training.freed_memory import keep_freed_memory
from kia.training.optim import build_optimizer
from kia.training.precision import Precision, autocast_mode
from kia.training.probe import ShapesOnly, measure

EXAMPLES = 24  # phantoms, where no data set is given
REPORTS = 10_000  # that a vocabulary is estimated from
SMALL = 16  # studies of a batch that is really built
SHALLOW = 2  # layers a tower; deeper ones are timed with one layer
SECONDS = 2.0  # about, for one timed step
# What lives at the peak beside the tensors that autograd keeps: temporaries, and holes between
# tensors in the allocator. From the runs in docs/training.md.
SLACK = 1.3
# On a CPU, oneDNN compiles kernels of bfloat16 for each shape it meets, and keeps its newest 1024.
KERNELS = 900_000_000


@dataclass(frozen=True)
class Estimate:
    """What a training needs.

    Attributes:
        batch_size: Studies a step.
        at_once: Studies of the batch in memory at once (`train.accumulate`).
        studies: Of the training split; None where phantoms stand for a data set.
        tokens: Of the longest report.
        memory: Bytes at the peak, by purpose.
        available: Bytes that this process can have.
        largest: Studies that would fit at once; 0 if not even one does.
        step_seconds: Of a step, by stage.
    """

    batch_size: int
    at_once: int
    studies: int | None
    tokens: int
    memory: dict[str, int]
    available: int
    largest: int
    step_seconds: dict[str, float]

    @property
    def needed(self) -> int:
        """Bytes at the peak."""
        return sum(self.memory.values())

    @property
    def fits(self) -> bool:
        """Whether the device has that much."""
        return self.needed <= self.available

    def epoch_seconds(self, studies: int) -> dict[str, float]:
        """Seconds of an epoch over so many studies, by stage; validation not counted."""
        return {s: each * studies / self.batch_size for s, each in self.step_seconds.items()}


def estimate(config: RunConfig, dataset: PreparedDataset | None = None) -> Estimate:
    """Estimates a training on this device.

    Args:
        config: Of the run; `train.compile` is not taken into account.
        dataset: Its reports and views decide the sizes of batches; a few phantoms if absent.
    """
    device = join()
    keep_freed_memory()
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    with _examples(config, dataset) as examples:
        probe = _Probe(config, examples, own=dataset is not None, device=device)
        at_once = -(-config.train.batch_size // config.train.accumulate)
        memory, each = probe.memory(at_once)
        available = available_memory(device)
        room = available - sum(memory.values()) + memory["activations"]
        return Estimate(
            batch_size=config.train.batch_size,
            at_once=at_once,
            studies=None if dataset is None else len(dataset.indices("train")),
            tokens=probe.longest.input_ids.shape[1],
            memory=memory,
            available=available,
            largest=int(room / each) if room >= probe.moving else 0,
            step_seconds=probe.stage_seconds(),
        )


@contextmanager
def _examples(config: RunConfig, dataset: PreparedDataset | None) -> Iterator[PreparedDataset]:
    if dataset is not None:
        yield dataset
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "phantoms"
        with DatasetWriter(path, image_size=config.model.image_size, source="phantom") as writer:
            write_phantoms(writer, EXAMPLES, seed=0)
        yield PreparedDataset.open(path)


class _Probe:
    """Batches like those of the run, and what their steps need."""

    def __init__(
        self, config: RunConfig, examples: PreparedDataset, *, own: bool, device: torch.device
    ) -> None:
        self.config, self.device = config, device
        self.precision = Precision(config.train.precision, device)
        text = config.model.text_encoder
        reports = examples.reports("train")
        self.processor = KIAProcessor(
            train_tokenizer(reports[:REPORTS], text.vocab_size),
            image_size=config.model.image_size,
            channels=config.model.image_encoder.channels,
        )
        learnt = own and not text.pretrained
        self.vocabulary = self.processor.vocab_size if learnt else text.vocab_size
        self.builder = BatchBuilder(
            examples,
            self.processor,
            config.data,
            config.tasks,
            patch_size=config.model.image_encoder.patch_size,
            max_tokens=text.max_positions,
            seed=config.train.seed,
        )
        longest, self.usual = _batches(config, examples.indices("train"), reports)
        self.views = max(len(examples.views(int(s))) for s in (*longest, *self.usual))
        self.longest = self._built(longest)
        self.whole = ShapesOnly(self._objective(config, "meta"), device)
        trained = [p for p in self.whole.objective.parameters() if p.requires_grad]
        self.trained = sum(p.numel() for p in trained)
        # when activations are gone, RAdam needs two temporaries of the size of the weights
        self.moving = 2 * _bytes(trained)

    def memory(self, studies: int) -> tuple[dict[str, int], float]:
        """Bytes at the peak by purpose, and those that each of the studies adds."""
        objective, joint = self.whole.objective, self.config.train.joint.epochs > 0
        everything = _bytes(objective.state_dict().values())
        model = _bytes(objective.model.state_dict().values())
        counted = self.whole.count(self.longest, studies, self.precision, joint=joint)
        kept, trained = SLACK * counted.kept, 4 * self.trained
        # gradients are freed after the next forward pass, so they are there beside its activations
        parts = {
            "weights": model,
            "momentum encoders, queue": everything - model,
            "gradients": trained,
            "optimiser (two moments)": 2 * trained,
            "activations": max(int(kept), self.moving),
            "program": memory_in_use(self.device),
        }
        if self.device.type == "cpu" and autocast_mode(self.config.train.precision) != "no":
            parts["kernels of bfloat16"] = KERNELS
        return parts, kept / studies

    def stage_seconds(self) -> dict[str, float]:
        """Seconds a step by stage, for the stages that the run has."""
        train, every = self.config.train, self.config.train.rehearse_every
        found: dict[str, float] = {}
        rehearses = train.generation.epochs and every
        joint = self.step_seconds(joint=True) if train.joint.epochs or rehearses else 0.0
        if train.joint.epochs:
            found["joint"] = joint
        if train.generation.epochs:
            alone = self.step_seconds(joint=False)
            found["generation"] = alone + (joint - alone) / every if every else alone
        return found

    def step_seconds(self, *, joint: bool) -> float:
        """Seconds to load a batch, compute its gradients and move the weights."""
        size = self.config.train.batch_size
        began = time.perf_counter()
        batch = self._built(self.usual)
        loading = (time.perf_counter() - began) / len(batch.studies)
        shallow = _shallow(self.config)
        objective = self._objective(shallow, self.device).train()
        stage = getattr(shallow.train, "joint" if joint else "generation")
        speed = measure(
            objective,
            build_optimizer(objective if joint else objective.model, shallow.train, stage),
            lambda studies: self._built(self.usual[:studies]),
            self.precision,
            joint=joint,
            seconds=SECONDS,
        )
        operations = self.whole.count(batch, size, self.precision, joint=joint).operations
        loads = size * loading * (self.config.data.workers == 0)
        return loads + operations * speed.operation + self.trained * speed.weight

    def _built(self, studies: NDArray[np.int64]) -> Batch:
        return self.builder.build(studies, 0, augment=True, views=self.views)

    def _objective(self, config: RunConfig, device: Any) -> JointObjective:
        with torch.device(device):
            model = build_model(
                config, self.processor, pretrained=False, vocab_size=self.vocabulary
            )
            objective = JointObjective(model, config.tasks)
        prepare_blocks(objective, config.train.model_copy(update={"compile": False}))
        return objective


def _batches(
    config: RunConfig, studies: NDArray[np.int64], reports: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The longest studies of the batch with the longest report, and those of a usual batch."""
    words = np.array([len(report.split()) for report in reports], np.int64)
    words = np.minimum(words, config.data.max_words)
    places = np.arange(len(studies))
    batches = shuffled_batches(places, words, config.train.batch_size, (config.train.seed, 0))
    lengths = np.array([words[batch].max() for batch in batches])
    usual = int(np.abs(lengths - lengths.mean()).argmin())
    chosen = (batches[int(lengths.argmax())], batches[usual])
    longest, usual_batch = (batch[np.argsort(-words[batch])][:SMALL] for batch in chosen)
    return studies[longest], studies[usual_batch]


def _shallow(config: RunConfig) -> RunConfig:
    """The same run with towers that are quick to time."""
    tree = config.model_dump()
    for tower in ("image_encoder", "text_encoder"):
        if tree["model"][tower]["depth"] > SHALLOW:
            tree["model"][tower]["depth"] = 1
    return validate(tree, "estimate")


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
