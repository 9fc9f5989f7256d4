"""Training on a mix of studies with reports and of studies that have labels alone."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.data.store.mix import mix_datasets
from kia.errors import DataError
from kia.phantoms.studies import phantom_study
from kia.training import train
from kia.training.build import label_shares

SCRIPT = Path(__file__).with_name("several_ranks.py")
specification = importlib.util.spec_from_file_location("several_ranks", SCRIPT)
several_ranks = importlib.util.module_from_spec(specification)
specification.loader.exec_module(several_ranks)

SIZE = 64


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """Twelve phantoms without their reports, of which edema and fractures are not annotated."""
    folder = tmp_path_factory.mktemp("bare") / "bare"
    with DatasetWriter(folder, image_size=SIZE, source="labels") as writer:
        for number in range(12):
            made = phantom_study(7, number, size=SIZE)
            labels = {**(made.study.labels or {}), "Edema": None, "Fracture": None}
            study = replace(
                made.study,
                id=f"bare-{number}",
                split="train",
                report="",
                sections={},
                labels=labels,
                graph=None,
                landmarks=None,
            )
            writer.add(study, made.pixels)
    return folder


@pytest.fixture(scope="module")
def mixed(phantoms: Path, bare: Path, tmp_path_factory) -> PreparedDataset:
    """39 training studies with reports and 12 without, 6 and 2 a batch."""
    out = tmp_path_factory.mktemp("mixed") / "mix"
    return mix_datasets([phantoms, bare], out, ratio=(3, 1))


@pytest.fixture(scope="module")
def config(configured):
    return configured(
        model__initializer_range=0.2,
        model__standardise_projections=True,
        model__image_encoder__standardise=True,
        model__text_encoder__dropout=0.0,
        tasks__mlm={"masking": "label"},
        tasks__mim={"masking": "anatomy"},
        train__joint__epochs=1,
        data__workers=0,
    )


def test_a_run_on_a_mix_learns_from_both_and_writes_reports(
    config, mixed, tmp_path, listener, phantoms
):
    heard = listener()
    train(config, mixed.path, tmp_path / "run", reporter=heard)
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    losses = [line for line in lines if line["kind"] == "train"]
    assert losses and all(task in losses[0] for task in ("mim", "mlm", "irc", "irm", "rg"))
    # 39 reports, 6 a batch, and as many batches with 2 films; then 39 reports, 8 a batch
    assert [total for what, total, _ in heard.begun if "joint" in what] == [39 + 13]
    assert [total for what, total, _ in heard.begun if "generation" in what] == [39]
    alone = PreparedDataset.open(phantoms)
    assert label_shares(config, mixed) == label_shares(config, alone)


def test_labels_alone_make_no_model(config, bare, tmp_path, listener):
    with pytest.raises(DataError, match="no training study with a report: kia data mix"):
        train(config, bare, tmp_path / "run", reporter=listener())


@pytest.mark.slow
def test_two_processes_in_parts_compute_what_one_does(config, mixed, tmp_path):
    """Also where a rank has films without reports alone (see test_ranks.py)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    shared |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    (tmp_path / "config.json").write_text(json.dumps(config.model_dump()))
    words = [sys.executable, str(SCRIPT), str(mixed.path), str(tmp_path / "config.json")]
    processes = [
        subprocess.Popen(
            [*words, str(tmp_path), "updates"],
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    found = load_file(tmp_path / "updates-0")
    objective, builder = several_ranks.parts(config, mixed, tmp_path / "processor")
    expected = several_ranks.updates(config, builder, objective)
    for name in (name for name in expected if name.startswith("0 ") and "irm" not in name):
        most = expected[name].abs().max()
        assert (found[name] - expected[name]).abs().max() <= 1e-4 * most + 1e-6, name
    assert torch.equal(
        found["after momentum.queue.report_ids"],
        expected["after momentum.queue.report_ids"],
    )
