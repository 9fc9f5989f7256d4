"""Parity with the ViTModel and BertModel of `transformers`, carrying the same random weights."""

from typing import Any

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertModel, ViTConfig, ViTModel

from kia.models.pretrained import load_image_tower, load_text_tower

SHARING = pytest.mark.parametrize("shared", [True, False], ids=["shared", "separate"])


def vit(channels: int = 1) -> Any:
    config = ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        image_size=32,
        patch_size=8,
        num_channels=channels,
    )
    return ViTModel(config, add_pooling_layer=False).eval()


def bert_config(**more: Any) -> BertConfig:
    return BertConfig(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=40,
        vocab_size=50,
        max_position_embeddings=24,
        **more,
    )


def tokens() -> tuple[torch.Tensor, torch.Tensor]:
    """Two rows of 7 tokens; the second ends in 3 of padding."""
    ids = torch.randint(4, 50, (2, 7), generator=torch.Generator().manual_seed(3))
    mask = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
    return ids.masked_fill(~mask, 0), mask


@SHARING
@pytest.mark.parametrize("channels", [1, 3])
def test_image_tower_equals_vit(channels: int, shared: bool, build: Any, scramble: Any) -> None:
    theirs = vit(channels)
    scramble(theirs, seed=1)
    model = build(share_parameters=shared, image={"channels": channels})
    load_image_tower([model.image_encoder, model.image_cross_encoder], theirs, "a ViT")
    pixels = torch.randn(3, channels, 32, 32)
    with torch.no_grad():
        expected = theirs(pixels).last_hidden_state
        for tower in (model.image_encoder, model.image_cross_encoder):
            assert (tower(pixels) - expected).abs().max() < 1e-5


@SHARING
def test_text_tower_equals_bert(shared: bool, build: Any, scramble: Any) -> None:
    theirs = BertModel(bert_config(), add_pooling_layer=False).eval()
    scramble(theirs, seed=1)
    model = build(share_parameters=shared)
    towers = [model.text_encoder, model.text_cross_encoder, model.text_decoder]
    load_text_tower(towers, theirs, "a BERT")
    ids, mask = tokens()
    with torch.no_grad():
        expected = theirs(ids, attention_mask=mask.long()).last_hidden_state
        for tower in towers:
            assert (tower(ids, mask[:, None, None, :]) - expected)[mask].abs().max() < 1e-5


@pytest.mark.parametrize("decoder", [False, True], ids=["T-CMEnc", "T-Dec"])
def test_text_tower_with_context_equals_bert_with_cross_attention(
    decoder: bool, build: Any, scramble: Any
) -> None:
    config = bert_config(is_decoder=True, add_cross_attention=True)
    theirs = BertModel(config, add_pooling_layer=False).eval()
    scramble(theirs, seed=1)
    theirs.config.is_decoder = decoder
    model = build(image={"width": 24, "heads": 2})
    copy_with_cross_attention(theirs, model.text_tower)
    ids, _ = tokens()
    features, mask = torch.randn(2, 9, 24), torch.rand(2, 9) < 0.6
    mask[:, 0] = True
    allowed = torch.ones(2, 1, 7, 7, dtype=torch.bool)
    allowed = allowed.tril() if decoder else allowed
    context = model.text_tower.stack.context(features, mask)
    with torch.no_grad():
        expected = theirs(
            ids,
            attention_mask=torch.zeros(allowed.shape).masked_fill(~allowed, -1e9),
            encoder_hidden_states=features,
            encoder_attention_mask=mask.long(),
            use_cache=False,
        ).last_hidden_state
        ours = model.text_tower(ids, causal=decoder, context=context)
    assert (ours - expected).abs().max() < 1e-5


def copy_with_cross_attention(theirs: Any, tower: Any) -> None:
    state = theirs.state_dict()
    cross = {k: v for k, v in state.items() if ".crossattention." in k}

    class WithoutCross:
        config = theirs.config

        def state_dict(self) -> dict[str, torch.Tensor]:
            return {k: v for k, v in state.items() if k not in cross}

    load_text_tower([tower], WithoutCross(), "a BERT")  # type: ignore[arg-type]
    for layer, block in enumerate(tower.stack.blocks):
        prefix = f"encoder.layer.{layer}.crossattention."
        ours = {"query": ["query"], "key_value": ["key", "value"]}
        for kind in ("weight", "bias"):
            for name, parts in ours.items():
                joined = torch.cat([cross[f"{prefix}self.{part}.{kind}"] for part in parts])
                getattr(block.cross_attention, name).get_parameter(kind).data = joined
            output = cross[f"{prefix}output.dense.{kind}"]
            block.cross_attention.output.get_parameter(kind).data = output
            norm = cross[f"{prefix}output.LayerNorm.{kind}"]
            block.cross_norm.get_parameter(kind).data = norm


def test_word_prediction_equals_the_head_of_bert(build: Any, scramble: Any) -> None:
    theirs = BertForMaskedLM(bert_config()).eval()
    scramble(theirs, seed=1)
    model = build()
    load_text_tower([model.text_tower], theirs.bert, "a BERT")
    head = theirs.cls.predictions
    model.word_prediction.dense.load_state_dict(head.transform.dense.state_dict())
    model.word_prediction.norm.load_state_dict(head.transform.LayerNorm.state_dict())
    model.word_prediction.bias.data = head.bias.data
    ids, mask = tokens()
    with torch.no_grad():
        expected = theirs(ids, attention_mask=mask.long()).logits
        features = model.text_tower(ids, mask[:, None, None, :])
        ours = model.word_logits(features, model.text_tower)
    assert (ours - expected)[mask].abs().max() < 1e-5
