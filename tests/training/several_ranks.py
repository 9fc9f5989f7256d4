"""What each process of the tests of several ranks runs: … DATA CONFIG OUT [updates]."""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from kia.cli.main import main as kia
from kia.config import RunConfig
from kia.data.batches.batch import BatchBuilder, EpochBatches
from kia.data.batches.shares import SharedBatches
from kia.data.store.dataset import PreparedDataset
from kia.models import KIAModel, ranks
from kia.tasks.joint import JointObjective
from kia.training import train
from kia.training.build import build_model, build_processor
from kia.training.distributed import join, leave, on_first
from kia.training.loop import Trainer
from kia.training.optim import build_optimizer
from kia.training.precision import Precision
from kia.training.reporter import Silence
from kia.training.update import update
from kia.training.validation import validate

STEPS = 4
DEATH = 7  # steps before the run dies


def parts(config: RunConfig, dataset: PreparedDataset, folder: Path):
    """An objective with the weights of seed 0, and the builder of its batches."""

    def processor():
        return build_processor(config, dataset.reports("train"), folder)

    processor = on_first(processor, processor)
    torch.manual_seed(0)
    objective = JointObjective(build_model(config, processor), config.tasks).train()
    builder = BatchBuilder(
        dataset, processor, config.data, config.tasks, patch_size=16, max_tokens=150, seed=0
    )
    return objective, builder


def updates(
    config: RunConfig, builder: BatchBuilder, objective: JointObjective
) -> dict[str, Tensor]:
    """Four steps, the third on one study and the fourth on three: all that they computed."""
    optimizer = build_optimizer(objective, config.train, config.train.joint)
    order = EpochBatches(builder, builder.dataset.indices("train"), batch_size=8, epoch=0)
    first, second, third, fourth = order.batches[:STEPS]
    order.batches = [first, second, third[:1], fourth[:3]]
    batches = SharedBatches(
        order, parts=config.train.accumulate, rank=ranks.own(), ranks=ranks.count()
    )
    precision = Precision(config.train.precision, torch.device("cpu"))
    found: dict[str, Tensor] = {}
    for step in range(STEPS):
        torch.manual_seed(step)
        losses = update(
            objective, optimizer, batches[step], precision, joint=True, clip=1e9
        )  # fmt: skip
        found |= {f"{step} {name}": loss for name, loss in losses.items()}
        for name, parameter in objective.named_parameters():
            if parameter.grad is not None:
                found[f"{step} gradient {name}"] = parameter.grad.clone()
    found |= {f"after {name}": value.clone() for name, value in objective.state_dict().items()}
    seen = [study for step in range(STEPS) for part in batches[step] for study in part.studies]
    return found | {"studies": torch.tensor(seen, dtype=torch.long)}


def validation(config: RunConfig, builder: BatchBuilder, model: KIAModel) -> dict:
    """Loss, image gain and reports of the first seven training studies, in batches of two."""
    studies = builder.dataset.indices("train")[:7]
    settings = config.generation.model_copy(update={"batch_size": 2})
    found = validate(model, builder, studies, ["a"], settings, lambda count: None)
    return {"loss": found.loss, "gain": found.image_gain, "reports": found.reports}


class Killed(BaseException):
    """Plays a kill: nothing catches it."""


def dies(config: RunConfig, data: Path, run: Path) -> None:
    """A run that dies on every rank at the same step."""
    real, taken = Trainer._step, []

    def step(self, *given):
        taken.append(given)
        if len(taken) > DEATH:
            raise Killed
        real(self, *given)

    Trainer._step = step
    try:
        train(config, data, run, reporter=Silence())
    except Killed:
        return
    finally:
        Trainer._step = real
    raise AssertionError("it should have died")


def threads() -> list[str]:
    """Names of this process's threads."""
    return [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]


def main(data: Path, settings: Path, out: Path, only: Path | None = None) -> None:
    join()
    config = RunConfig.model_validate(json.loads(settings.read_text()))
    objective, builder = parts(config, PreparedDataset.open(data), out / "processor")
    save_file(updates(config, builder, objective), out / f"updates-{ranks.own()}")
    if only is not None:
        leave()
        return
    found = validation(config, builder, objective.model)
    (out / f"validation-{ranks.own()}.json").write_text(json.dumps(found))

    in_parts = config.model_copy(
        update={"train": config.train.model_copy(update={"accumulate": 2})}
    )
    train(in_parts, data, out / "run", reporter=Silence())
    dies(in_parts, data, out / "killed")
    train(in_parts, data, out / "killed", resume=True, reporter=Silence())
    words = ("--data", str(data), "--split", "val", "--out", str(out / "several" / "reports.jsonl"))
    assert kia(["generate", str(out / "run"), *words]) == 0
    assert any("gloo" in name for name in threads())
    leave()
    assert not any("gloo" in name for name in threads())


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*map(Path, sys.argv[1:]))
