"""`kia bench step` on a toy: the numbers fit together. What they are is for docs/performance.md."""

import json

import pytest
import torch
from torch import nn

from kia.bench.operations import Product
from kia.bench.step import _speeds, bench, bench_step, matmul_peak
from kia.bench.where import where
from kia.config import load_config
from kia.errors import ConfigError

TOY = [
    *("model.image_size=64", "model.image_encoder.width=32", "model.text_encoder.width=32"),
    *("model.image_encoder.ffn_width=64", "model.text_encoder.ffn_width=64"),
    *("train.batch_size=4", "train.threads=1"),
]


def test_time_goes_where_the_work_is():
    """One module multiplies 64 times as much as the other, forward and backward."""
    small, large = nn.Linear(128, 128), nn.Linear(1024, 1024)
    x, y = torch.randn(512, 128), torch.randn(512, 1024)
    optimizer = torch.optim.RAdam([*small.parameters(), *large.parameters()])

    def step() -> None:
        (small(x).sum() + large(y).sum()).backward()
        optimizer.step()

    step()
    shares = where(step, {"small": [small], "large": [large]})
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["large"] > 4 * shares["small"] > 0
    assert shares["optimiser"] > 0


def test_the_innermost_part_counts():
    inner = nn.Linear(512, 512)
    outer = nn.Sequential(inner, nn.ReLU())
    shares = where(
        lambda: outer(torch.randn(256, 512)).sum().backward(), {"outer": [outer], "inner": [inner]}
    )
    assert shares["inner"] > shares["outer"]


def test_the_peak_is_that_of_the_shapes():
    """Twice as many of the same products take twice as long: the rate stays."""
    one, two = (Product("rg", "heads", 256, 256, 256, times) for times in (1, 2))
    peaks = [matmul_peak([each], torch.float32, torch.device("cpu")) for each in (one, two)]
    assert all(1e8 < peak < 1e13 for peak in peaks)


def test_both_steps_train_the_same_batch():
    with bench(load_config("tiny", TOY)) as made:
        before = {name: p.clone() for name, p in made.objective.named_parameters()}
        losses = made.ours()()
        made.plain()()
        assert {"mim", "mlm", "irc", "irm", "rg"} <= set(losses)
        moved = made.objective.named_parameters()
        changed = [name for name, p in moved if (p != before[name]).any()]
        assert "model.text_tower.word.weight" in changed
        assert made.batch.view_ids.shape == (4, 2)


def test_reports_can_be_longer():
    """Three times the words; the images stay."""
    settings = ["model.text_encoder.max_positions=640", "data.max_words=1000"]
    config = load_config("tiny", [*TOY, *settings])
    with bench(config) as made, bench(config, longer=3) as longer:
        one, three = made.sizes, longer.sizes
        # a report has its end to predict too
        assert three.next_words - 4 == 3 * (one.next_words - 4)
        assert three.images == one.images == 8


def test_all_tasks_are_needed():
    with pytest.raises(ConfigError, match="irm has weight 0"):
        bench_step(load_config("tiny", [*TOY, "tasks.irm.weight=0"]), rounds=1)


def test_a_stem_whose_operations_are_not_counted_is_refused():
    stem = ["model.image_encoder.stem=efficientnet-lite0", "model.image_encoder.patch_size=32"]
    with pytest.raises(ConfigError, match="efficientnet-lite0"):
        bench_step(load_config("tiny", [*TOY, *stem]), rounds=1)


def test_shares_and_ratios_are_of_what_was_timed_in_the_same_round():
    """A machine that is half as fast in the second round: by hand, in operations and seconds."""
    seconds = {"ours": [1.0, 2.0], "plain": [3.0, 4.0], "load": [0.1, 0.1]}
    (mine,), (theirs,) = ([Product("rg", "text tower", 1, 2, n, backward=0)] for n in (2, 6))
    found = _speeds(seconds, [mine], [theirs], 4, [16.0, 8.0])
    assert (mine.operations, theirs.operations) == (8, 24)
    assert found["peak_share"] == 0.5
    assert found["plain_peak_share"] == (24 / 3 / 16 + 24 / 4 / 8) / 2
    assert (found["ratio"], found["ratio_bound"]) == (2.5, 3.0)
    assert found["load_share"] == pytest.approx((0.1 + 0.05) / 2)
    assert found["studies_per_second"] == pytest.approx(4 / 1.5)


@pytest.mark.slow
def test_the_command(kia_command, tmp_path):
    settings = [word for value in TOY[:-2] for word in ("--set", value)]
    file = tmp_path / "bench.json"
    code, out, err = kia_command(
        "bench", "step", "tiny", "--batch", "4", "--rounds", "1", *settings, "--json", str(file)
    )
    assert code == 0 and "share of the bound" in out, err
    found = json.loads(file.read_text())
    keys = ("studies_per_second", "ratio", "ratio_bound", "peak_share", "memory_ratio")
    assert all(found[key] > 0 for key in keys)
    plain, ours = found["plain_operations_per_study"], found["operations_per_study"]
    assert found["ratio_bound"] == pytest.approx(plain / ours)
    assert sum(found["operations_by_task"].values()) == pytest.approx(ours)
    for name in ("time_by_part", "time_by_task"):
        assert sum(found[name].values()) == pytest.approx(1)
    assert found["time_by_part"]["text tower"] > 0
