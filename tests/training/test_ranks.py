"""Two processes (gloo, CPU) compute what one does with the batch of both."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from kia.config import TrainConfig
from kia.errors import ConfigError, RunError
from kia.models import ranks
from kia.training import distributed

SCRIPT = Path(__file__).with_name("several_ranks.py")
specification = importlib.util.spec_from_file_location("several_ranks", SCRIPT)
several_ranks = importlib.util.module_from_spec(specification)
specification.loader.exec_module(several_ranks)


def places(count: int = 2) -> list[dict[str, str]]:
    """What a launcher sets for each process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    shared |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    return [os.environ | shared | {"RANK": str(r), "LOCAL_RANK": str(r)} for r in range(count)]


@pytest.fixture(scope="module")
def config(configured):
    """Everything that looks across studies, and weights large enough for losses to differ."""
    return configured(
        model__initializer_range=0.2,
        model__standardise_projections=True,
        model__image_encoder__standardise=True,
        model__text_encoder__dropout=0.0,
        train__joint__epochs=1,
        data__workers=0,
    )


@pytest.fixture(scope="module")
def two(tmp_path_factory, phantoms, config) -> Path:
    """The folder of what two processes have computed, see several_ranks.py."""
    out = tmp_path_factory.mktemp("two")
    settings = out / "config.json"
    settings.write_text(json.dumps(config.model_dump()))
    words = [sys.executable, str(SCRIPT), str(phantoms), str(settings), str(out)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    processes = [subprocess.Popen(words, env=place, **pipes) for place in places()]
    said = [process.communicate(timeout=540)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    return out


@pytest.fixture(scope="module")
def pair(two) -> list[dict[str, torch.Tensor]]:
    """The updates as each process saw them."""
    return [load_file(two / f"updates-{rank}") for rank in range(2)]


@pytest.fixture(scope="module")
def one(tmp_path_factory, dataset, config):
    """The same updates in one process, and their objective."""
    objective, builder = several_ranks.parts(config, dataset, tmp_path_factory.mktemp("one") / "p")
    return several_ranks.updates(config, builder, objective), objective, builder


def test_losses_gradients_weights_statistics_and_queues_are_the_same_on_both(pair):
    first, second = pair
    names = first.keys() - {"studies"}
    assert {"0 irm", "3 gradient_norm", "after momentum.queue.images"} <= names
    assert [name for name in names if not torch.equal(first[name], second[name])] == []


def test_every_study_comes_once_and_ranks_may_have_none(pair, one):
    first, second = (each["studies"].tolist() for each in pair)
    whole = one[0]["studies"].tolist()
    assert sorted(first + second) == sorted(whole) and len(set(whole)) == len(whole)
    assert (len(first), len(second)) == (4 + 4 + 1 + 2, 4 + 4 + 0 + 1)


def test_losses_and_gradients_equal_those_of_one_process_with_the_whole_batch(pair, one):
    """Rounding grows from step to step: statistics divide by small deviations."""
    found, expected = pair[0], one[0]
    assert found.keys() == expected.keys()
    for step, near in enumerate((1e-4, 1e-3, 5e-3, 2e-2)):
        compared = [name for name in expected if name.startswith(f"{step} ")]
        assert len(compared) > 20
        away = {
            name: (found[name] - expected[name]).abs().max() / expected[name].abs().max()
            for name in compared
            if expected[name].abs().max() > 1e-4
        }
        assert max(away.values()) < near, sorted(away.items(), key=lambda item: -item[1])[:5]


def test_queues_and_running_statistics_equal_those_of_one_process(pair, one):
    found, expected = pair[0], one[0]
    for name in ("queue.images", "queue.reports"):
        name = f"after momentum.{name}"
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-2)
    whole = [n for n in expected if n.startswith("after") and not expected[n].is_floating_point()]
    assert any("report_ids" in name for name in whole)
    assert all(torch.equal(found[name], expected[name]) for name in whole)
    running = [name for name in expected if "running" in name]
    assert any("momentum" in name for name in running)
    for name in running:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=1e-3, msg=name)


def test_validation_is_shared_and_merged_in_order(two, pair, one, config):
    _, objective, builder = one
    weights = {n.removeprefix("after "): v for n, v in pair[0].items() if n.startswith("after ")}
    objective.load_state_dict(weights)
    expected = several_ranks.validation(config, builder, objective.model)
    assert len(set(expected["reports"])) > 1
    for rank in range(2):
        found = json.loads((two / f"validation-{rank}.json").read_text())
        assert found["reports"] == expected["reports"]
        assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)
        assert found["gain"] == pytest.approx(expected["gain"], abs=1e-5)


def test_killed_and_continued_equals_uninterrupted_also_in_parts(two, outcome_of):
    assert outcome_of(two / "killed") == outcome_of(two / "run")
    kept = [sorted((two / run / "checkpoints").iterdir())[-1] for run in ("run", "killed")]
    for file in ("module.safetensors", "optimizer.safetensors"):
        first, second = (load_file(path / file) for path in kept)
        assert all(torch.equal(first[name], second[name]) for name in first)
    assert not list(two.rglob(".*"))


def test_generation_is_shared_and_merged_in_order(two, phantoms, kia_command, tmp_path):
    words = ("--data", str(phantoms), "--split", "val", "--out", str(tmp_path / "reports.jsonl"))
    code, _, err = kia_command("generate", str(two / "run"), *words)
    assert code == 0, err
    several = two / "several"
    assert sorted(p.name for p in several.iterdir()) == sorted(p.name for p in tmp_path.iterdir())
    assert (several / "reports.jsonl").read_text() == (tmp_path / "reports.jsonl").read_text()
    features = [path.name for path in tmp_path.glob("*.npy")]
    assert len(features) == 2
    for name in features:
        found, expected = np.load(several / name), np.load(tmp_path / name)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_batch_too_small_for_the_processes_is_refused(monkeypatch):
    monkeypatch.setattr(ranks, "count", lambda: 3)
    distributed.check_batch(TrainConfig(batch_size=6, accumulate=2))
    with pytest.raises(ConfigError, match=r"train\.batch_size 5 in 2 part.*3 processes"):
        distributed.check_batch(TrainConfig(batch_size=5, accumulate=2))


def test_what_fails_on_the_first_process_ends_the_others(monkeypatch):
    def fails():
        raise RunError("no room")

    with pytest.raises(RunError, match="no room"):
        distributed.on_first(fails, lambda: None)
    monkeypatch.setattr(ranks, "own", lambda: 1)
    monkeypatch.setattr(ranks, "any_of", lambda flag: True)  # as process 0 says
    with pytest.raises(RunError, match="process 0 has stopped"):
        distributed.on_first(fails, lambda: None)


def launched(*words: str) -> list[str]:
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    return [*launch, "--num_processes", "2", "--module", "kia.cli.main", *words]


@pytest.mark.slow
def test_accelerate_launch_stops_by_signal_and_kill_and_resumes(
    tmp_path, phantoms, configured, listener, outcome_of, processes
):
    """SIGTERM saves on one process for both; then kill -9 of all; then the rest."""

    def start(run: Path) -> subprocess.Popen[str]:
        words = ("train", str(processes.yaml), "--data", str(phantoms), "--out", str(run))
        environment = places()[0]
        for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
            environment.pop(name)
        return subprocess.Popen(
            launched(*words, "--resume"),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def wait(run: Path, steps: int, process: subprocess.Popen[str]) -> None:
        limit = time.monotonic() + 240
        while not any(int(p.name[5:]) >= steps for p in (run / "checkpoints").glob("step-*")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < limit
            time.sleep(0.01)

    peace, run = tmp_path / "peace", tmp_path / "run"
    said = start(peace).communicate(timeout=300)[0]
    assert (peace / "model").is_dir(), said
    assert said.count("best model:") == 1
    stopped = start(run)
    wait(run, 3, stopped)
    stopped.send_signal(signal.SIGTERM)
    said = stopped.communicate(timeout=120)[0]
    assert "continue with --resume" in said
    killed = start(run)
    wait(run, 9, killed)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=60)
    assert start(run).wait(timeout=300) == 0
    assert outcome_of(run) == outcome_of(peace)
