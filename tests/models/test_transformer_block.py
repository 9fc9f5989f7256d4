"""The block against Eq. 1a-1c in NumPy; folded contexts and masks against loops."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from kia.models.text_transformer import attention_rows
from kia.models.transformer_block import BlockStack, TransformerBlock

D, C, F, EPS = 12, 20, 28, 1e-5


def block_settings(heads: int, norm_position: str, context_width: int | None = C) -> dict[str, Any]:
    return {
        "width": D,
        "heads": heads,
        "ffn_width": F,
        "context_width": context_width,
        "norm_position": norm_position,
        "norm_eps": EPS,
        "dropout": 0.0,
    }


def stack(scramble: Callable[..., None], depth: int, heads: int, norm_position: str) -> BlockStack:
    made = BlockStack(depth, **block_settings(heads, norm_position)).double()
    scramble(made)
    return made


@pytest.mark.parametrize("with_context", [False, True])
@pytest.mark.parametrize("norm_position", ["pre", "post"])
@pytest.mark.parametrize("heads", [1, 3])
def test_block_computes_equation_1(
    heads: int, norm_position: str, with_context: bool, scramble: Any, numpy_block: Any
) -> None:
    layers = stack(scramble, 1, heads, norm_position)
    reference = numpy_block(layers.blocks[0], heads=heads, pre=norm_position == "pre", eps=EPS)
    x, features = torch.randn(2, 5, D).double(), torch.randn(2, 7, C).double()
    with torch.no_grad():
        ours = layers(x, context=layers.context(features) if with_context else None)
    for row in range(2):
        context = features[row].numpy() if with_context else None
        expected = reference(x[row].numpy(), context=context)
        np.testing.assert_allclose(ours[row].numpy(), expected, rtol=0, atol=1e-10)


def test_causal_block_attends_to_itself_and_before(scramble: Any, numpy_block: Any) -> None:
    layers = stack(scramble, 1, 3, "post")
    reference = numpy_block(layers.blocks[0], heads=3, pre=False, eps=EPS)
    x = torch.randn(1, 6, D).double()
    with torch.no_grad():
        ours = layers(x, causal=True)
    allowed = np.array([[key <= query for key in range(6)] for query in range(6)])
    np.testing.assert_allclose(
        ours[0].numpy(), reference(x[0].numpy(), allowed=allowed), atol=1e-10
    )


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("norm_position", ["pre", "post"])
def test_folded_and_chosen_rows_equal_rows_alone(
    norm_position: str, masked: bool, scramble: Any, numpy_block: Any
) -> None:
    contexts, group, chosen = 3, 2, torch.tensor([2, 0, 0, 1])
    layers = stack(scramble, 2, 3, norm_position)
    features = torch.randn(contexts, 7, C).double()
    mask = torch.rand(contexts, 7) < 0.5 if masked else None
    if mask is not None:
        mask[:, 0] = True
    rows = contexts * group + len(chosen)
    x = torch.randn(rows, 4, D).double()
    with torch.no_grad():
        ours = layers(x, context=layers.context(features, mask, chosen))
    reads = [b for b in range(contexts) for _ in range(group)] + chosen.tolist()
    for row, source in enumerate(reads):
        readable = features[source] if mask is None else features[source][mask[source]]
        expected = x[row].numpy()
        for block in layers.blocks:
            reference = numpy_block(block, heads=3, pre=norm_position == "pre", eps=EPS)
            expected = reference(expected, context=readable.numpy())
        np.testing.assert_allclose(ours[row].numpy(), expected, rtol=0, atol=1e-9)


def test_what_the_context_mask_hides_is_not_read(scramble: Any) -> None:
    layers = stack(scramble, 2, 3, "post")
    x, features = torch.randn(2, 4, D).double(), torch.randn(2, 7, C).double()
    mask = torch.tensor([[True] * 5 + [False] * 2, [False] * 3 + [True] * 4])
    other = torch.where(mask[..., None], features, 1e3 * torch.randn_like(features))
    with torch.no_grad():
        before = layers(x, context=layers.context(features, mask))
        after = layers(x, context=layers.context(other, mask))
        unmasked = layers(x, context=layers.context(features))
    assert torch.equal(before, after)
    assert not torch.allclose(before, unmasked)


def test_attention_rows_equal_a_loop() -> None:
    generator = torch.Generator().manual_seed(1)
    attention_mask = torch.rand(6, 5, generator=generator) < 0.6
    attention_mask[0], attention_mask[1] = True, False
    causal = torch.tensor([True, True, False, False, True, False])
    expected = np.zeros((6, 1, 5, 5), bool)
    for row in range(6):
        for query in range(5):
            for key in range(5):
                readable = attention_mask[row, key] and (key <= query or not causal[row])
                expected[row, 0, query, key] = readable or key == query
    assert np.array_equal(attention_rows(attention_mask, causal).numpy(), expected)


@pytest.mark.parametrize(
    ("width", "context", "hidden"), [(12, 20, 28), (16, 16, 64), (768, 768, 3072)]
)
def test_parameter_count_is_the_printed_formula(width: int, context: int, hidden: int) -> None:
    settings = block_settings(4, "post") | {"width": width, "ffn_width": hidden}
    attend, feed = 4 * width**2 + 4 * width, 2 * width * hidden + width + hidden
    cross = 2 * width**2 + 2 * context * width + 4 * width
    with torch.device("meta"):
        modal = TransformerBlock(**settings | {"context_width": context})
        alone = TransformerBlock(**settings | {"context_width": None})
    count = {m: sum(p.numel() for p in m.parameters()) for m in (modal, alone)}
    assert count[modal] == attend + cross + feed + 6 * width
    assert count[alone] == attend + feed + 4 * width
