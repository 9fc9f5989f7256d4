"""Learning at all: 64 real studies are learnt by heart by all five tasks."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kia.config import load_config
from kia.data.prepare import write_studies
from kia.data.readers.iu_xray.studies import read_iu_xray
from kia.data.store.dataset import DatasetWriter
from kia.studies import Study
from kia.training import train

STUDIES = 64
EPOCHS = 80  # of 8 steps


def learnable(studies: list[Study]) -> Iterator[Study]:
    """Training studies with both views and a report of their own that is not cut."""
    seen: set[str] = set()
    for study in studies:
        words = study.report.split()
        whole = study.split == "train" and len(study.images) == 2 and 10 <= len(words) <= 50
        if whole and study.report not in seen:
            seen.add(study.report)
            yield study


@pytest.fixture(scope="module")
def learnt_data(iu_xray: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 training studies, which are also the validation split."""
    tables = (iu_xray / name for name in ("indiana_reports.csv", "indiana_projections.csv"))
    studies, _ = read_iu_xray(iu_xray / "images", iu_xray / "annotation.json", *tables)
    found = learnable(studies)
    chosen = [study for study, _ in zip(found, range(STUDIES), strict=False)]
    again = [replace(study, id=f"{study.id} again", split="val") for study in chosen]
    folder = tmp_path_factory.mktemp("overfit") / "data"
    with DatasetWriter(folder, image_size=128, source="IU X-Ray") as writer:
        assert write_studies(writer, [[study] for study in [*chosen, *again]], workers=2) == []
    return folder


@pytest.mark.slow
@pytest.mark.iu_xray
def test_64_real_studies_are_learnt_by_heart(learnt_data, tmp_path, listener):
    still = [f"data.{change}=0" for change in ("shift", "scale", "brightness", "contrast")]
    settings = [
        *still,
        "tasks.mlm.masking=general",
        "tasks.mlm.p_mask=0.4",
        "model.image_encoder.dropout=0",
        "model.text_encoder.dropout=0",
        f"train.joint.epochs={EPOCHS}",
        "train.joint.learning_rate=1.0e-3",
        "train.batch_size=8",
        "train.decay_per_epoch=0.98",
        "train.weight_decay=0",
        "train.generation.epochs=1",
        "train.generation.learning_rate=2.0e-4",
        "train.validate_every=40",
        "train.precision=float32",
        "train.threads=1",
    ]
    config = load_config("tiny", settings)
    run = tmp_path / "run"
    train(config, learnt_data, run, reporter=listener())
    lines = [json.loads(line) for line in (run / "log.jsonl").open()]
    validations = [line for line in lines if line["kind"] == "validation"]
    joint = [line for line in lines if line["kind"] == "train" and line["stage"] == "joint"]
    assert validations[-1]["cider"] > 3, validations
    assert validations[-1]["image_gain"] > 0.3, validations  # nats a token: it looks
    assert validations[-1]["unique_reports"] > STUDIES // 2, validations
    for task in ("mim", "mlm", "irc", "irm", "rg"):
        assert joint[-1][task] < joint[0][task], task
