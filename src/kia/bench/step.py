"""`kia bench step`: how fast a joint step is, against the plain implementation and the machine."""

import gc
import resource
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from socket import socket
from statistics import median
from typing import Any

import torch

from kia.bench.operations import Product, Sizes, by, plain_products, step_products
from kia.bench.plain import PlainObjective
from kia.bench.rounds import ratios, seconds_of, time_in_turn
from kia.bench.where import where
from kia.config import RunConfig
from kia.data.batches.batch import Batch, BatchBuilder
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.errors import ConfigError
from kia.phantoms.studies import phantom_study
from kia.processes.child import Child, serve
from kia.processes.messages import Message
from kia.processing import KIAProcessor, train_tokenizer
from kia.tasks.joint import TASKS, JointObjective, active_tasks
from kia.training.build import build_model
from kia.training.distributed import join
from kia.training.freed_memory import keep_freed_memory
from kia.training.optim import build_optimizer
from kia.training.precision import DTYPES, Precision, autocast_mode
from kia.training.update import update

MEBIBYTE = 2**20


@dataclass
class Bench:
    """A joint step, ready to run both ways on the same batch of phantoms (two views each)."""

    config: RunConfig
    objective: JointObjective
    batch: Batch
    load: Callable[[], Any]

    @property
    def sizes(self) -> Sizes:
        """What its operations are counted from."""
        return Sizes.of(self.objective.model.config, self.config.tasks, self.batch)

    def ours(self) -> Callable[[], Any]:
        """A step of kia, as training makes it."""
        train = self.config.train
        objective, optimizer = self.objective, build_optimizer(self.objective, train, train.joint)
        precision = Precision(train.precision, objective.model.device)
        return lambda: update(
            objective,
            optimizer,
            [self.batch],
            precision,
            joint=True,
            clip=train.gradient_clip,
        )

    def plain(self) -> Callable[[], Any]:
        """A step of the plain implementation, with torch's defaults."""
        train = self.config.train
        plain = PlainObjective(self.objective).train()
        trained = [p for p in plain.parameters() if p.requires_grad]
        optimizer = torch.optim.RAdam(
            trained, lr=train.joint.learning_rate, weight_decay=train.weight_decay
        )
        precision = Precision(train.precision, self.objective.model.device)

        def step() -> None:
            optimizer.zero_grad()
            with precision.autocast():
                loss = plain(self.batch).total
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, train.gradient_clip)
            optimizer.step()
            plain.after_step()

        return step


@contextmanager
def bench(config: RunConfig, *, longer: int = 1) -> Iterator[Bench]:
    """Builds the model of a configuration with random weights, and a batch for it.

    Args:
        config: Any; `bench_step` counts operations, for which it asks for more.
        longer: How many times each report is repeated, to make it so much longer.
    """
    device, studies = join(), config.train.batch_size
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    torch.manual_seed(config.train.seed)
    size = config.model.image_size
    drawn = [phantom_study(0, index, size=size) for index in range(studies)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "phantoms"
        with DatasetWriter(path, image_size=size, source="phantom") as writer:
            for made in drawn:
                report = " ".join([made.study.report] * longer)
                writer.add(replace(made.study, report=report), made.pixels)
        dataset = PreparedDataset.open(path)
        text, image = config.model.text_encoder, config.model.image_encoder
        processor = KIAProcessor(
            train_tokenizer([made.study.report for made in drawn], text.vocab_size),
            image_size=size,
            channels=image.channels,
        )
        builder = BatchBuilder(
            dataset,
            processor,
            config.data,
            config.tasks,
            patch_size=image.patch_size,
            max_tokens=text.max_positions,
            seed=config.train.seed,
        )
        model = build_model(config, processor, pretrained=False, vocab_size=text.vocab_size)
        objective = JointObjective(model, config.tasks).to(device).train()
        numbers = torch.arange(studies).numpy()
        load = partial(builder.build, numbers, 0, augment=True, views=2)
        yield Bench(config, objective, load().to(device), load)


def bench_step(
    config: RunConfig, *, rounds: int, on_round: Callable[[int], None] = lambda done: None
) -> dict[str, Any]:
    """Measures a step both ways, in turn, and what the machine could do.

    Args:
        config: All five tasks; `train.batch_size` studies.
        rounds: Of one step each; the first, which compiles kernels, comes in addition.
        on_round: Told the number of rounds done.

    Returns:
        What `kia bench step --json` writes; see docs/performance.md for the keys.

    Raises:
        ConfigError: The configuration lacks one of the five tasks, or its stem is not counted.
    """
    _check_counted(config)
    memory = {kind: peak_memory(config, kind=kind) for kind in ("ours", "plain")}
    keep_freed_memory()  # as training does; plain's steps, in the same process, gain by it too
    with bench(config) as made:
        ours, device = made.ours(), made.objective.model.device
        sizes, studies = made.sizes, len(made.batch.studies)
        mine, theirs = step_products(sizes), plain_products(sizes)
        dtype = DTYPES.get(autocast_mode(config.train.precision), torch.float32)
        peaks: list[float] = []
        runs = {
            "ours": ours,
            "plain": made.plain(),
            "load": made.load,
            "peak": lambda: peaks.append(matmul_peak(mine, dtype, device)),
        }
        seconds = time_in_turn(runs, rounds, device, on_round)
        parts = where(ours, _parts(made.objective)) if device.type == "cpu" else {}
        return {
            "studies": studies,
            "tokens": sizes.tokens,
            "dtype": str(dtype).removeprefix("torch."),
            "threads": torch.get_num_threads(),
            "device": device_name(device),
            "torch": str(torch.__version__),
            "rounds": rounds,
            **_speeds(seconds, mine, theirs, studies, peaks[1:]),
            "operations_by_task": _per(by(mine, "task"), studies),
            "plain_operations_by_task": _per(by(theirs, "task"), studies),
            "operations_by_part": _per(by(mine, "part"), studies),
            "peak_memory": memory["ours"],
            "plain_peak_memory": memory["plain"],
            "memory_ratio": memory["plain"] / memory["ours"],
            "time_by_part": parts,
            "time_by_task": _time_by_task(mine, parts),
        }


def _check_counted(config: RunConfig) -> None:
    missing = [task for task in TASKS if task not in active_tasks(config.tasks)]
    if missing:
        raise ConfigError(f"kia bench step needs all five tasks; here {missing[0]} has weight 0")
    if config.model.image_encoder.stem == "efficientnet-lite0":  # frozen in part, or in memory
        raise ConfigError("kia bench step counts no operations of the stem efficientnet-lite0")


def _speeds(
    seconds: dict[str, list[float]],
    mine: list[Product],
    theirs: list[Product],
    studies: int,
    peaks: list[float],
) -> dict[str, Any]:
    """What follows from seconds, operations and the peak of each round."""
    taken = {name: median(each) for name, each in seconds.items()}
    found = ratios(seconds["ours"], seconds["plain"])
    operations, plain_operations = (
        sum(product.operations for product in products) for products in (mine, theirs)
    )

    def share(name: str, done: int) -> float:
        return median(done / each / peak for each, peak in zip(seconds[name], peaks, strict=True))

    return {
        "step_seconds": taken["ours"],
        "plain_step_seconds": taken["plain"],
        "studies_per_second": studies / taken["ours"],
        "ratio": median(found),
        "ratio_low": min(found),
        "ratio_high": max(found),
        "ratio_bound": plain_operations / operations,
        "operations_per_study": operations / studies,
        "plain_operations_per_study": plain_operations / studies,
        "peak_operations_per_second": median(peaks),
        "peak_share": share("ours", operations),
        "plain_peak_share": share("plain", plain_operations),
        "load_seconds": taken["load"],
        "load_share": median(ratios(seconds["ours"], seconds["load"])),
    }


def matmul_peak(products: Iterable[Product], dtype: torch.dtype, device: torch.device) -> float:
    """Operations a second of this device on the weights' products of a step, one after another.

    Each shape is multiplied alone, the best of four times counts; attention is left out.
    """
    operations: dict[tuple[int, int, int], int] = defaultdict(int)
    for product in products:
        if product.dense:
            shape = (product.rows, product.inner, product.columns)
            operations[shape] += product.operations
    needed = 0.0
    for (rows, inner, columns), number in operations.items():
        left = torch.randn(rows, inner, device=device).to(dtype)
        right = torch.randn(inner, columns, device=device).to(dtype)

        def multiply(left: torch.Tensor = left, right: torch.Tensor = right) -> None:
            torch.matmul(left, right)

        best = min(seconds_of(multiply, device) for _ in range(4))
        needed += best * number / (2 * rows * inner * columns)
    return sum(operations.values()) / needed


def peak_memory(config: RunConfig, longer: int = 1, kind: str = "ours", steps: int = 2) -> int:
    """Bytes at the peak of `steps` steps, beyond what the process has before the model is built.

    Measured in a process of its own, because a process's peak never falls.

    Raises:
        ConfigError: That process failed.
    """
    child = Child(f"{__name__}:work")
    try:
        child.send(Message([config.model_dump(mode="json"), longer, kind, steps]))
        return int(child.receive(most=1 << 10).value)
    except (EOFError, OSError) as error:
        raise ConfigError(f"no memory for {steps} steps of {kind}; try a smaller batch") from error
    finally:
        child.end()


def work(channel: socket) -> None:
    """What the process of `peak_memory` does."""
    serve(channel, lambda asked: Message(_peak(*asked.value)))


def _peak(tree: dict[str, Any], longer: int, kind: str, steps: int) -> int:
    config = RunConfig.model_validate(tree)
    device = join()
    if kind == "ours":
        keep_freed_memory()
    before = _high_water(device)
    with bench(config, longer=longer) as made:
        step = made.ours() if kind == "ours" else made.plain()
        if kind == "plain":
            made.objective = None  # type: ignore[assignment]  # its weights were copied
            gc.collect()
        for _ in range(steps):
            step()
    return _high_water(device) - before


def _high_water(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    status = Path("/proc/self/status")  # Linux hands ru_maxrss on to a child, VmHWM not
    if status.exists():
        lines = status.read_text(encoding="ascii").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _parts(objective: JointObjective) -> dict[str, list[torch.nn.Module]]:
    model, momentum = objective.model, objective.momentum
    heads = [model.word_prediction, model.pixel_prediction, model.match_prediction]
    heads += [model.image_projection, model.text_projection, objective.contrastive]
    blocks: list[Any] = [*model.image_tower.stack.blocks, *model.text_tower.stack.blocks]
    return {
        "image stem": [model.image_tower.stem],
        "image tower": [model.image_tower],
        "text tower": [model.text_tower],
        "keys and values": [block.cross_attention.key_value for block in blocks],
        "heads": heads,
        "momentum": [
            *(momentum.image_tower, momentum.image_tower.stem, momentum.text_tower),
            *(momentum.image_projection, momentum.text_projection),
        ],
    }


def _time_by_task(products: Iterable[Product], parts: dict[str, float]) -> dict[str, float]:
    """Each part's time, shared out among the tasks by their operations in it."""
    within: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for product in products:
        within[product.part][product.task] += product.operations
    times: dict[str, float] = defaultdict(float)
    for part, share in parts.items():
        tasks = within.get(part)
        if not tasks:
            times["update and rest"] += share
            continue
        for task, operations in tasks.items():
            times[task] += share * operations / sum(tasks.values())
    return dict(times)


def _per(sums: dict[str, int], studies: int) -> dict[str, float]:
    return {name: total / studies for name, total in sums.items()}


def device_name(device: torch.device | None = None) -> str:
    """What the device calls itself; the processor if absent."""
    if device is not None and device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return "CPU"
