"""Checkpoints: whole or absent, without pickles, exact."""

import errno
import hashlib
import json
import shutil

import pytest
import torch
from torch import nn

from kia.config import StageConfig, TrainConfig
from kia.errors import RunError
from kia.training import checkpoint
from kia.training.checkpoint import (
    Progress,
    checkpoints,
    load_checkpoint,
    read_progress,
    save_checkpoint,
)
from kia.training.optim import build_optimizer

WHOLE = {"module.safetensors", "optimizer.safetensors", "progress.json", "sha256.json"}


def made(seed: int = 0) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(5, 7), nn.LayerNorm(7), nn.Linear(7, 2))
    stage = StageConfig(epochs=1, learning_rate=1e-2)
    return module, build_optimizer(module, TrainConfig(), stage)


def learn(module: nn.Module, optimizer: torch.optim.Optimizer, steps: int, seed: int = 0) -> None:
    torch.manual_seed(seed)
    for _ in range(steps):
        optimizer.zero_grad()
        module(torch.randn(3, 5)).square().sum().backward()
        optimizer.step()


def test_module_optimizer_and_progress_come_back_bit_for_bit(tmp_path):
    module, optimizer = made()
    learn(module, optimizer, 8)
    progress = Progress(
        *("generation", 3, 4, 55, 1, 22, 0.1 + 0.2, 2, 5, 6, 777, {"rg": 1 / 3}),
        scaler={"scale": 4.0},
    )
    path = save_checkpoint(tmp_path, module, optimizer, progress)
    other, its_optimizer = made(seed=1)
    assert load_checkpoint(path, other, its_optimizer) == progress
    learn(module, optimizer, 5, seed=2)
    learn(other, its_optimizer, 5, seed=2)
    assert all(map(torch.equal, module.state_dict().values(), other.state_dict().values()))
    states = optimizer.state_dict()["state"], its_optimizer.state_dict()["state"]
    for number, slots in states[0].items():
        assert slots.keys() == states[1][number].keys()
        assert all(torch.equal(slots[name], states[1][number][name]) for name in slots)


def test_a_checkpoint_holds_safetensors_and_json_only(tmp_path):
    path = save_checkpoint(tmp_path, *made(), Progress(step=3))
    assert {file.name for file in path.iterdir()} == WHOLE


def test_the_last_two_are_kept_and_nothing_else(tmp_path):
    parts = made()
    for step in (2, 4, 6, 6, 8):
        save_checkpoint(tmp_path, *parts, Progress(step=step))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000006", "step-00000008"]
    assert len(list(tmp_path.iterdir())) == 2


def test_the_best_is_kept_beside_the_last_two_until_there_is_a_better_one(tmp_path):
    parts, kept = made(), []
    for epoch, best_epoch in ((1, 1), (2, 1), (3, 1), (4, 4), (5, 4)):
        best = float(best_epoch)
        for batch in (0, 3):  # the end of an epoch, and a step of the next
            step = 10 * epoch + batch
            where = Progress(epoch=epoch, batch=batch, step=step, best=best, best_epoch=best_epoch)
            save_checkpoint(tmp_path, *parts, where)
        kept.append([int(path.name.removeprefix("step-")) for path in checkpoints(tmp_path)])
    assert kept == [[10, 13], [10, 20, 23], [10, 30, 33], [40, 43], [40, 50, 53]]


def test_the_same_step_is_replaced(tmp_path):
    parts = made()
    save_checkpoint(tmp_path, *parts, Progress(step=2, stage="joint"))
    save_checkpoint(tmp_path, *parts, Progress(step=2, stage="generation"))
    assert [read_progress(path).stage for path in checkpoints(tmp_path)] == ["generation"]


@pytest.mark.parametrize("call", ["mkdir", "rename", "rmtree", "save_tensors"])
@pytest.mark.parametrize("number", [1, 2])
def test_killed_at_any_point_every_checkpoint_in_sight_is_whole(
    tmp_path, monkeypatch, call, number
):
    """A kill is played by an exception that nothing catches, at each change of the disk."""

    class Killed(BaseException):
        pass

    parts = made()
    for step in (2, 4):
        save_checkpoint(tmp_path, *parts, Progress(step=step))
    home = {"mkdir": checkpoint.Path, "rename": checkpoint.Path, "rmtree": shutil}
    place = home.get(call, checkpoint)
    real, calls = getattr(place, call), []

    def killing(*args, **options):
        calls.append(args)
        if len(calls) == number:
            if call == "rmtree":  # it dies half-way through
                next(checkpoint.Path(args[0]).glob("*.safetensors"), args[0]).unlink()
            raise Killed
        return real(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(place, call, killing)
        with pytest.raises(Killed):
            save_checkpoint(tmp_path, *parts, Progress(step=4, epoch=1))
            save_checkpoint(tmp_path, *parts, Progress(step=6))
    assert checkpoints(tmp_path)
    for path in checkpoints(tmp_path):
        load_checkpoint(path, *made())
    save_checkpoint(tmp_path, *parts, Progress(step=8))
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_is_one_line_and_leaves_what_was_there(tmp_path, monkeypatch):
    parts = made()
    before = save_checkpoint(tmp_path, *parts, Progress(step=2))
    real, calls = checkpoint.save_file, []

    def full(tensors, path):
        calls.append(path)
        if len(calls) == 2:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(RunError, match=r"No space left on device.*--resume") as raised:
        save_checkpoint(tmp_path, *parts, Progress(step=4))
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == [before]
    load_checkpoint(before, *made())


@pytest.mark.parametrize("file", ["module.safetensors", "optimizer.safetensors", "progress.json"])
@pytest.mark.parametrize("damage", ["cut", "absent", "empty", "one bit"])
def test_a_damaged_checkpoint_is_one_line(tmp_path, file, damage):
    path = save_checkpoint(tmp_path, *made(), Progress(step=2))
    content = (path / file).read_bytes()
    (path / file).unlink()
    if damage == "one bit":  # of a number in a tensor, or a digit: still a file that can be read
        place = content.index(b": 2,") + 2 if file.endswith("json") else len(content) - 9
        flipped = bytes([content[place] ^ 1])
        (path / file).write_bytes(content[:place] + flipped + content[place + 1 :])
    elif damage != "absent":
        (path / file).write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    with pytest.raises(RunError, match="damaged") as raised:
        load_checkpoint(path, *made())
    assert "\n" not in str(raised.value) and str(path) in str(raised.value)


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", "5", '{"progress.json": 7}'])
def test_without_the_hashes_a_checkpoint_is_damaged(tmp_path, content):
    """One bit could have changed, and nobody would know."""
    path = save_checkpoint(tmp_path, *made(), Progress(step=2))
    (path / checkpoint.HASHES).unlink()
    if content is not None:
        (path / checkpoint.HASHES).write_text(content)
    for read in (read_progress, lambda path: load_checkpoint(path, *made())):
        with pytest.raises(RunError, match="damaged") as raised:
            read(path)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("file", sorted(WHOLE))
def test_a_flipped_byte_anywhere_is_seen(tmp_path, file):
    path = save_checkpoint(tmp_path, *made(), Progress(step=2))
    content = (path / file).read_bytes()
    for place in range(0, len(content), max(1, len(content) // 97)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        (path / file).write_bytes(changed)
        with pytest.raises(RunError, match="damaged") as raised:
            load_checkpoint(path, *made())
        assert "\n" not in str(raised.value)
    (path / file).write_bytes(content)
    load_checkpoint(path, *made())


@pytest.mark.parametrize(
    "change",
    [
        *({"step": -1}, {"step": "2"}, {"step": 2.0}, {"stage": "third"}, {"more": 1}),
        *({"window": []}, {"best": "0.1"}, {"epoch": True}, {"scaler": {"scale": None}}),
    ],
)
def test_progress_of_another_kind_is_damaged_though_its_hash_is_right(tmp_path, change):
    path = save_checkpoint(tmp_path, *made(), Progress(step=2))
    said = json.loads((path / "progress.json").read_text()) | change
    (path / "progress.json").write_text(json.dumps(said))
    hashes = json.loads((path / checkpoint.HASHES).read_text())
    hashes["progress.json"] = hashlib.sha256((path / "progress.json").read_bytes()).hexdigest()
    (path / checkpoint.HASHES).write_text(json.dumps(hashes))
    with pytest.raises(RunError, match="damaged") as raised:
        load_checkpoint(path, *made())
    assert "\n" not in str(raised.value)


def test_a_folder_that_is_only_named_like_a_checkpoint_is_none(tmp_path):
    for name in ("step-x", "step-", "step-1", "step-٣٣٣٣٣٣٣٣"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "progress.json").write_text("{}")
    assert checkpoints(tmp_path) == []


def test_a_checkpoint_of_another_module_is_refused(tmp_path):
    path = save_checkpoint(tmp_path, *made(), Progress(step=2))
    with pytest.raises(RunError, match="of another run"):
        load_checkpoint(path, nn.Linear(5, 8), None)
