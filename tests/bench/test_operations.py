"""Operations counted from shapes are those that torch counts, forward and backward."""

import pytest
import torch
from tests.bench.test_plain import SIZES, made
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from kia.bench.operations import Product, Sizes, by, plain_products, step_products
from kia.bench.plain import PlainObjective
from kia.config import load_config


def counted(module, batch) -> int:
    """Under the math backend: the counter knows no fused attention of CPUs."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(batch).total.backward()
    return counter.get_total_flops()


@pytest.mark.parametrize(
    "more",
    [
        ["model.image_encoder.stem=conv"],
        ["model.image_encoder.stem=patch", "tasks.irc.soft_targets=0.4"],
        ["tasks.mlm.masking=label", "model.image_encoder.ffn_width=48"],
    ],
    ids=str,
)
def test_operations_are_those_of_torch(more, tmp_path):
    config = load_config("small", [*SIZES, *more])
    objective, batch = made(config, tmp_path)
    sizes = Sizes.of(objective.model.config, config.tasks, batch)
    plain = PlainObjective(objective).train()
    for module, products in (
        (objective, step_products(sizes)),
        (plain, plain_products(sizes)),
    ):
        assert sum(product.operations for product in products) == counted(module, batch)


def test_a_linear_layer_by_hand():
    """(3, 4) × (4, 5): 60 multiply-adds forward, 60 each for input and weight backward."""
    product = Product("rg", "heads", 3, 4, 5)
    assert product.operations == 2 * 60 * 3
    assert by([product, product], "task") == {"rg": 720}
    assert torch.ones(3, 4).matmul(torch.ones(4, 5)).shape == (3, 5)
