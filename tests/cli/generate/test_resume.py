"""Predictions of a split survive whatever ends the process: bytes as of an undisturbed run."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kia.cli.main import main
from kia.data.store.dataset import PreparedDataset
from kia.generation import load_model
from kia.predictions import record_of
from kia.predictions.origin import model_hash
from kia.predictions.unfinished import Unfinished

KILLED = """
import os, signal, sys
from pathlib import Path
from kia.data.store.dataset import PreparedDataset
from kia.generation import generation_settings, load_model
from kia.predictions import write_predictions

model, data, out, batch, what, after = sys.argv[1:]
out = Path(out)
loaded, processor = load_model(model)
dataset = PreparedDataset.open(data)
steps = iter(range(int(after)))

def track(name, total):
    def advance(count):
        if name == what and next(steps, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
    return advance

settings = generation_settings(loaded, batch_size=int(batch))
numbers = dataset.indices("train")
write_predictions(loaded, processor, dataset, numbers, out, settings, resume=True, track=track)
"""


def words(model: Path, data: Path, out: Path, *more: str) -> list[str]:
    return [
        "generate",
        str(model),
        "--data",
        str(data),
        "--split",
        "train",
        "--out",
        str(out),
        *more,
    ]


def content(folder: Path) -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    record = json.loads(found.pop("p.jsonl.run.json"))
    assert record.pop("source")
    return {**found, "record": json.dumps(record).encode()}


@pytest.fixture(scope="module")
def undisturbed(model, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert main(words(model, data, folder / "p.jsonl")) == 0
    return content(folder)


def kill(model: Path, data: Path, out: Path, batch: int, what: str, after: int) -> None:
    given = (model, data, out, batch, what, after)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, given)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_killed_twice_and_continued_with_other_batches(
    model, data, undisturbed, tmp_path, kia_command
):
    out = tmp_path / "p.jsonl"
    kill(model, data, out, 3, "reports", 1)
    kill(model, data, out, 2, "image features", 0)
    assert not out.exists()
    half = Unfinished(out).folder / "reports-0-1.jsonl"
    half.write_text('[0, "cut in the mid')  # as of a process that died while it wrote
    assert len(Unfinished(out).reports()) == len(PreparedDataset.open(data).indices("train"))
    (rows,) = Unfinished(out).folder.glob("features-*.rows")
    rows.write_bytes(rows.read_bytes()[:-5])
    code, said, err = kia_command(*words(model, data, out, "--resume", "--batch-size", "5"))
    assert code == 0, err
    assert "of them from before" in said
    assert content(tmp_path) == undisturbed


def test_what_was_begun_otherwise_is_not_continued(model, data, tmp_path, one_line, make_model):
    out = tmp_path / "p.jsonl"
    kill(model, data, out, 3, "reports", 1)
    before = content_of_pieces(out)
    assert "--resume" in one_line(2, *words(model, data, out))
    line = one_line(2, *words(model, data, out, "--resume", "--beams", "2"))
    assert "other settings (beams 1)" in line
    assert "another seed" in one_line(2, *words(model, data, out, "--resume", "--seed", "7"))
    split = [word if word != "train" else "val" for word in words(model, data, out, "--resume")]
    assert "other studies" in one_line(2, *split)
    other = make_model(tmp_path / "other", positions=80)
    assert "another model" in one_line(2, *words(other, data, out, "--resume"))
    (Unfinished(out).folder / "origin.json").write_text("{")
    assert "something else" in one_line(2, *words(model, data, out, "--resume"))
    assert content_of_pieces(out) == before
    assert not out.exists()


def content_of_pieces(out: Path) -> dict[str, bytes]:
    pieces = Unfinished(out).folder.glob("*-*")
    return {path.name: path.read_bytes() for path in pieces}


def test_images_are_written_at_once(model, pictures, one_line):
    assert "--resume goes with --data" in one_line(
        2, "generate", str(model), pictures[0][0], "--resume"
    )


def test_a_model_is_the_same_wherever_it_lies(model, tmp_path):
    shutil.copytree(model, tmp_path / "copy")
    here, there = load_model(model), load_model(tmp_path / "copy")
    assert model_hash(*here) == model_hash(*there)
    weight = next(there[0].parameters())
    first = weight.data.view(-1)[:1]
    first.copy_(torch.nextafter(first, torch.tensor([9.0])))
    assert model_hash(*here) != model_hash(*there)


@pytest.mark.slow
def test_the_record_names_the_model_whose_ceiling_is_scored(
    model, data, tmp_path, kia_command, one_line
):
    out, scores = tmp_path / "p.jsonl", tmp_path / "s.json"
    assert kia_command(*words(model, data, out))[0] == 0
    given = ("evaluate", str(out), "--data", str(data), "--split", "train", "--resamples", "100")
    code, _, err = kia_command(*given, "--tokenizer", "record", "--json", str(scores))
    assert code == 0, err
    assert json.loads(scores.read_text())["ceilings"]["tokenizer"]
    record_of(out).unlink()
    assert "p.jsonl.run.json" in one_line(1, *given, "--tokenizer", "record")
