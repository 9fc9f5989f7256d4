"""Will it fit: what is counted equals what a real step keeps, and the verdict follows from it."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import gelu

from kia.data.batches.batch import BatchBuilder
from kia.tasks.joint import JointLoss, JointObjective
from kia.training import estimate as module
from kia.training.build import build_model, build_processor
from kia.training.device_memory import container_room
from kia.training.estimate import Estimate, estimate
from kia.training.optim import build_optimizer
from kia.training.precision import Precision
from kia.training.probe import ShapesOnly, count, measure

CPU = torch.device("cpu")
PLAIN = Precision("float32", CPU)


@pytest.fixture
def objective(configured, dataset, tmp_path):
    """`objective(device)` and a builder of its batches."""
    config = configured(tasks__mlm__masking="label")
    processor = build_processor(config, dataset.reports("train"), tmp_path / "processor")
    settings = {"patch_size": 16, "max_tokens": 160, "seed": 0}
    builder = BatchBuilder(dataset, processor, config.data, config.tasks, **settings)

    def make(device: str) -> JointObjective:
        with torch.device(device):
            return JointObjective(build_model(config, processor), config.tasks).train()

    return make, lambda studies: builder.build(studies, 0, augment=False)


class TwoLayers(nn.Module):
    """A stand-in for an objective, small enough to count by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 16)

    def forward(self, batch: torch.Tensor, *, joint: bool) -> JointLoss:
        return JointLoss(gelu(self.linear(batch)).sum(), {})


def test_operations_and_kept_tensors_by_hand():
    found = count(TwoLayers(), torch.randn(4, 8), PLAIN)  # type: ignore[arg-type]
    assert found.operations == 2 * 4 * 8 * 16
    # the linear layer keeps its input (4 × 8), GELU its own (4 × 16), in float32; no weight counts
    assert found.kept == 4 * (4 * 8 + 4 * 16)


@pytest.mark.parametrize("joint", [True, False])
def test_shapes_alone_count_what_a_real_step_keeps(joint, objective, dataset):
    make, build = objective
    studies = dataset.indices("train")[:4]
    real = count(make("cpu"), build(studies), PLAIN, joint=joint)
    shapes = ShapesOnly(make("meta"), CPU)
    assert shapes.count(build(studies), 4, PLAIN, joint=joint) == real
    # an empty half of the memory for twice the studies: all but the queue's part is linear
    twice = shapes.count(build(studies), 8, PLAIN, joint=joint)
    assert twice.kept == pytest.approx(2 * real.kept, rel=0.02)
    assert twice.operations == pytest.approx(2 * real.operations, rel=0.02)


def test_absent_views_are_counted_as_if_they_were_there(objective, dataset):
    """Which views a study has is no shape: without contents nobody knows."""
    make, build = objective
    whole = replace(build(dataset.indices("train")[:4]), view_mask=None)
    absent = torch.ones(whole.view_ids.shape, dtype=torch.bool)
    absent[0, 1] = False
    shapes = ShapesOnly(make("meta"), CPU)
    found = shapes.count(replace(whole, view_mask=absent), 4, PLAIN, joint=True)
    assert found == count(make("cpu"), whole, PLAIN, joint=True)


def test_speed_is_measured_on_more_than_two_studies_where_they_are_quick(
    objective, dataset, configured
):
    make, build = objective
    asked: list[int] = []

    def batch(studies):
        asked.append(studies)
        return build(dataset.indices("train")[: min(studies, 6)])

    whole = make("cpu")
    optimizer = build_optimizer(whole, configured().train, configured().train.joint)
    speed = measure(whole, optimizer, batch, PLAIN, joint=True, seconds=5.0)
    assert speed.operation > 0 and speed.weight > 0
    assert asked[0] == 2 and len(asked) == 3 and asked[1] > 2


@pytest.fixture
def untimed(monkeypatch):
    """Memory alone is of interest; time is not measured."""
    monkeypatch.setattr(module._Probe, "step_seconds", lambda self, joint: 2.0)


def test_memory_of_weights_is_counted_exactly(untimed, configured, dataset, tmp_path):
    config = configured()
    found = estimate(config, dataset)
    processor = build_processor(config, dataset.reports("train"), tmp_path / "processor")
    whole = JointObjective(build_model(config, processor), config.tasks)
    model = sum(t.numel() * t.element_size() for t in whole.model.state_dict().values())
    everything = sum(t.numel() * t.element_size() for t in whole.state_dict().values())
    trained = 4 * sum(p.numel() for p in whole.parameters() if p.requires_grad)
    assert found.memory["weights"] == model
    assert found.memory["momentum encoders, queue"] == everything - model
    assert found.memory["gradients"] == trained
    assert found.memory["optimiser (two moments)"] == 2 * trained
    assert found.studies == len(dataset.indices("train"))
    assert found.epoch_seconds(80)["joint"] == pytest.approx(10 * found.step_seconds["joint"])


def test_frozen_parts_need_no_gradients_and_parts_of_a_batch_fewer_activations(
    untimed, configured, dataset
):
    whole = estimate(configured(), dataset)
    frozen = estimate(configured(train__frozen=["image_tower", "text_tower"]), dataset)
    assert frozen.memory["gradients"] < whole.memory["gradients"]
    assert frozen.memory["weights"] == whole.memory["weights"]
    parts = estimate(configured(train__accumulate=4), dataset)
    assert (parts.batch_size, parts.at_once) == (8, 2)
    assert parts.memory["activations"] < whole.memory["activations"]


def test_the_largest_batch_fits_and_one_more_does_not(untimed, configured, dataset, monkeypatch):
    monkeypatch.setattr(module, "memory_in_use", lambda _: 0)
    monkeypatch.setattr(module, "available_memory", lambda _: 10_000_000)

    def estimated(studies: int) -> Estimate:
        return estimate(configured(train__batch_size=studies), dataset)

    found = estimated(30)
    assert not found.fits and 0 < found.largest < 30
    assert estimated(found.largest - 1).fits  # reports of its longest batch may be longer
    assert not estimated(found.largest + 2).fits


def test_a_container_leaves_what_its_limit_says(tmp_path):
    assert container_room(tmp_path) == float("inf")
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 150\n")
    assert container_room(tmp_path) == 1000 - 700 + 150
    (tmp_path / "memory.max").write_text("max\n")
    assert container_room(tmp_path) == float("inf")
    old = tmp_path / "old" / "memory"
    old.mkdir(parents=True)
    (old / "memory.limit_in_bytes").write_text("900\n")
    (old / "memory.usage_in_bytes").write_text("950\n")
    (old / "memory.stat").write_text("total_inactive_file 20\n")
    assert container_room(tmp_path / "old") == 0


COUNTED = """
import torch
from kia.training.device_memory import available_memory, memory_in_use

CPU = torch.device("cpu")
held = memory_in_use(CPU)
block = torch.ones(2**25)  # 128 MiB
assert memory_in_use(CPU) - held > 0.9 * block.numel() * 4
assert available_memory(CPU) > memory_in_use(CPU)
"""


def test_this_process_is_counted():
    """A new one: where a test has trained, freed memory is kept, and may be the block's."""
    subprocess.run([sys.executable, "-c", COUNTED], check=True)


def test_an_estimate_fits_or_not():
    found = Estimate(8, 8, None, 60, {"weights": 60, "activations": 40}, 100, 8, {"joint": 2.0})
    assert found.fits and found.needed == 100
    assert not replace(found, available=99).fits
    assert found.epoch_seconds(1000) == {"joint": 250.0}


@pytest.mark.slow
def test_a_measured_step_takes_as_long_as_it_was_said_to(configured, dataset, monkeypatch):
    """Processor time of one thread, so that a busy machine does not matter."""
    import time
    from types import SimpleNamespace

    from kia.training import probe
    from kia.training.update import update

    clock = SimpleNamespace(perf_counter=time.process_time)
    for place in (module, probe):
        monkeypatch.setattr(place, "time", clock)
    wider = {"width": 128, "depth": 3, "heads": 4, "ffn_width": 512}
    changes = {
        f"model__{tower}_encoder__{name}": value
        for tower in ("image", "text")
        for name, value in wider.items()
    }
    config = configured(train__batch_size=16, **changes)
    said = estimate(config, dataset).step_seconds["joint"]
    built = module._Probe(config, dataset, own=True, device=CPU)
    whole = built._objective(config, "cpu").train()
    optimizer = build_optimizer(whole, config.train, config.train.joint)
    batch = built._built(built.usual)
    took = []
    for _ in range(3):
        began = time.process_time()
        update(whole, optimizer, [batch], built.precision, joint=True, clip=1.0)
        took.append(time.process_time() - began)
    assert said == pytest.approx(min(took), rel=0.4)
