"""Training steps with attention fused and written out, in turns in one run.

    python benchmarks/attention.py DATA [--preset tiny] [--rounds 20] [--generation]

DATA is a prepared data set of the preset's image size. A step is losses and gradients of one batch,
of all tasks or of report generation alone; every batch is used by both forms.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from kia.config import load_config
from kia.data.batches import BatchBuilder, EpochBatches
from kia.data.store import PreparedDataset
from kia.tasks.joint import JointObjective
from kia.training.build import build_model, build_processor

FORMS = {
    "fused": [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH],
    "written out": [SDPBackend.MATH],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--generation", action="store_true")
    given = parser.parse_args()
    config = load_config(given.preset)
    dataset = PreparedDataset.open(given.data)
    with tempfile.TemporaryDirectory() as folder:
        processor = build_processor(config, dataset.reports("train"), Path(folder) / "processor")
    torch.manual_seed(0)
    objective = JointObjective(build_model(config, processor), config.tasks).train()
    builder = BatchBuilder(
        dataset,
        processor,
        config.data,
        config.tasks,
        patch_size=config.model.image_encoder.patch_size,
        max_tokens=objective.model.config.max_tokens,
        seed=0,
    )
    joint = not given.generation
    size = config.train.batch_size
    batches = EpochBatches(builder, dataset.indices("train"), batch_size=size, epoch=0, joint=joint)
    seconds = dict.fromkeys(FORMS, 0.0)
    for number in range(-2, given.rounds):  # two to warm up
        batch = batches[number % len(batches)]
        for form, backends in FORMS.items():
            since = time.perf_counter()
            with sdpa_kernel(backends):
                total = objective(batch, joint=joint).total
            total.backward()
            objective.zero_grad(set_to_none=True)
            seconds[form] += (time.perf_counter() - since) * (number >= 0)
    rates = {form: given.rounds * size / spent for form, spent in seconds.items()}
    print(
        f"{given.preset}, {'all tasks' if joint else 'report generation'}, "
        f"{torch.get_num_threads()} threads: "
        + ", ".join(f"{form} {rate:.1f} studies/s" for form, rate in rates.items())
        + f", ratio {rates['written out'] / rates['fused']:.2f}"
    )


if __name__ == "__main__":
    main()
