"""Figure 7's numbers against NumPy on a random model, and against the row and answers of MLM."""

import math

import numpy as np
import pytest
import torch

from kia.config import MaskedLanguageConfig, validate
from kia.data.batches.masked_text import TextMasker
from kia.errors import ModelError
from kia.explain.attention.weights import label_attention, report_attention
from kia.knowledge.chexpert import OBSERVATIONS
from kia.models.transformer_block import BlockStack, Context, CrossAttention, KeysValues
from kia.processing import KIAProcessor, train_tokenizer
from kia.studies import Study
from kia.tasks.text_rows import TextRows, encode_rows
from kia.training.build import build_model

REPORTS = ["Small left pleural effusion. The heart is normal."] * 3
VIEWS, GRID = 2, 4


@pytest.fixture(scope="module")
def processor():
    return KIAProcessor(train_tokenizer(REPORTS, 300), image_size=32)


@pytest.fixture(scope="module", params=[True, False], ids=["shared", "five towers"])
def model(request, processor):
    image = {"width": 16, "depth": 2, "heads": 2, "ffn_width": 24, "patch_size": 8}
    text = {"width": 24, "depth": 3, "heads": 3, "ffn_width": 32, "max_positions": 200}
    parts = {"image_encoder": image, "text_encoder": text | {"vocab_size": 300}}
    parts |= {"image_size": 32, "initializer_range": 0.3, "share_parameters": request.param}
    torch.manual_seed(0)
    return build_model(validate({"model": parts}, "test"), processor).eval()


@pytest.fixture(scope="module")
def inputs():
    torch.manual_seed(1)
    return {
        "pixel_values": torch.randn(3, VIEWS, 1, 32, 32),
        "view_ids": torch.tensor([[0, 1]] * 3),
        "view_mask": torch.tensor([[True, True], [True, False], [True, True]]),
    }


def label_rows(processor):
    """The label report as Label-MLM hides it, of a study with every kind of label."""
    labels = dict(zip(OBSERVATIONS, [1, 0, -1, None] * 4, strict=False))
    masker = TextMasker(processor, MaskedLanguageConfig(masking="label"), seed=3)
    study = Study("s", "train", (), REPORTS[0], labels=labels)
    encoded = processor.encode_spans(REPORTS[:1], max_words=9, max_tokens=9)
    return masker.rows([study], np.array([5]), encoded, epoch=2)


def linear(x, layer):
    return x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


def softmax(scores):
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


@pytest.mark.parametrize("masked", [False, True])
def test_the_weights_of_a_module_give_its_output(masked):
    torch.manual_seed(0)
    stack = BlockStack(
        2,
        **{"width": 12, "heads": 3, "ffn_width": 8, "context_width": 20, "dropout": 0.0},
        **{"norm_position": "post", "norm_eps": 1e-5},
    ).double()
    x, features = torch.randn(2, 5, 12).double(), torch.randn(2, 7, 20).double()
    mask = torch.tensor([[True] * 7, [True, False, True, True, False, False, True]])
    context = stack.context(features, mask if masked else None)
    for layer, block in enumerate(stack.blocks):
        weights = block.cross_attention.weights(x, context, layer)
        assert weights.shape == (2, 3, 5, 7)
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 5).double())
        if masked:
            assert weights.movedim(-1, 1)[~mask].max() == 0
        mixed = weights @ context.layers[layer].values
        output = block.cross_attention.output(mixed.transpose(1, 2).flatten(2))
        torch.testing.assert_close(output, block.cross_attention(x, context, layer))


@torch.no_grad()
def test_attention_is_that_of_the_mask_tokens_in_numpy(model, processor, inputs):
    found = label_attention(model, processor, inputs)
    assert found.maps.shape == (3, 14, VIEWS, GRID**2)
    rows = label_rows(processor)
    places = np.flatnonzero(rows.chosen[0])
    tower, features = model.text_cross_encoder, model.encode_images(**inputs)
    for study in range(3):
        seen = features.mask[study]
        source = features.sequence[study][seen]
        context = tower.stack.context(source[None])
        ids = torch.from_numpy(rows.input_ids)
        x = tower.norm(tower.word(ids) + tower.position(torch.arange(ids.shape[1])))
        layers = []
        for layer, block in enumerate(tower.stack.blocks):
            read = block.self_norm(x + block.self_attention(x, None, False, None, layer))[0]
            cross, keys = block.cross_attention, block.cross_attention.key_value
            query = linear(read.numpy()[places], cross.query)
            key = linear(source.numpy(), keys)[:, :24]
            heads = [slice(8 * head, 8 * head + 8) for head in range(3)]
            layers += [softmax(query[:, h] @ key[:, h].T / math.sqrt(8)) for h in heads]
            x = block(x, layer=layer, context=context)
        mean = np.mean(layers, axis=0).reshape(14, -1, 1 + GRID**2)
        shares = mean[..., 1:] / mean[..., 1:].sum((1, 2), keepdims=True)
        ours = found.maps[study].numpy()
        np.testing.assert_allclose(ours[:, : mean.shape[1]], shares, rtol=1e-4, atol=1e-7)
        assert not ours[:, mean.shape[1] :].any()  # the view that does not exist
        np.testing.assert_allclose(ours.sum((1, 2)), 1, rtol=1e-5)
        np.testing.assert_allclose(found.class_share[study], mean[..., 0].sum(1), rtol=1e-4)
    assert found.maps.std(dim=1).max() > 1e-3  # not the same for every observation


@torch.no_grad()
def test_answers_are_those_of_masked_language_modelling(model, processor, inputs):
    rows = label_rows(processor)
    images = model.encode_images(**inputs)
    batch = [torch.from_numpy(part).expand(3, -1) for part in (rows.input_ids, rows.real)]
    features = encode_rows(model, images, {"mlm": TextRows(*batch)})["mlm"]
    logits = model.word_logits(
        features[:, np.flatnonzero(rows.chosen[0])], model.text_cross_encoder
    )
    present, absent = (logits[..., processor.token_id(word)] for word in ("present", "absent"))
    found = label_attention(model, processor, inputs)
    torch.testing.assert_close(found.present, torch.sigmoid(present - absent))
    assert found.present.std(dim=0).max() > 1e-3  # not the same for every study


def test_a_study_does_not_depend_on_its_batch_and_no_hook_is_left(model, processor, inputs):
    found = label_attention(model, processor, inputs)
    alone = label_attention(
        model,
        processor,
        {"pixel_values": inputs["pixel_values"][1:2, :1], "view_ids": inputs["view_ids"][1:2, :1]},
    )
    torch.testing.assert_close(found.present[1:2], alone.present)
    torch.testing.assert_close(found.maps[1:2, :, :1], alone.maps)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_vocabulary_without_the_two_words_is_refused_in_one_line(processor, model, inputs):
    from tokenizers import Tokenizer, models

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[MATCH]", "[START]", "present"]
    bare = models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]")
    other = KIAProcessor(Tokenizer(bare), image_size=32)
    with pytest.raises(ModelError, match="its vocabulary needs both words"):
        label_attention(model, other, inputs)


@torch.no_grad()
def test_words_have_the_probabilities_of_report_generation(model, processor, inputs):
    reports = ["Small left effusion.", "The heart is normal. Small.", ""]
    found = report_attention(model, processor, inputs, reports)
    images = model.encode_images(**inputs)
    for row, (report, one) in enumerate(zip(reports, found, strict=True)):
        ids = processor.encode([report], max_words=50, max_tokens=50)[0]
        assert [one.text[a:b].lower() for a, b in one.spans] == [
            token.removeprefix("##") for token in processor.tokenizer.convert_ids_to_tokens(ids)
        ]
        start = [processor.token_id("[START]"), *ids]
        context = model.text_decoder.stack.context(images.sequence, images.mask)
        own = context_of(context, row)
        logits = model(torch.tensor([start]), own).logits[0].softmax(-1)
        expected = [logits[place, token].item() for place, token in enumerate(ids)]
        np.testing.assert_allclose(one.probability.numpy(), expected, rtol=1e-4)
        assert one.maps.shape == (len(ids), VIEWS, GRID**2)
        np.testing.assert_allclose(one.maps.sum((1, 2)), np.ones(len(ids)), rtol=1e-5)
    assert not found[1].maps[:, 1].any()  # the view that does not exist


def context_of(context, row):
    """The context of one study."""
    layers = tuple(
        KeysValues(layer.keys[row : row + 1], layer.values[row : row + 1])
        for layer in context.layers
    )
    return Context(layers, context.mask[row : row + 1])


def test_attention_finds_the_patch_whose_key_answers_the_words(
    model, processor, inputs, monkeypatch
):
    view, patch = 1, 6
    place = view * (1 + GRID**2) + 1 + patch
    project, ask = CrossAttention.keys_values, CrossAttention._queries

    def planted(attention, context):
        values = project(attention, context).values
        keys = torch.zeros_like(values)
        keys[:, :, place] = 50.0
        return KeysValues(keys, values)

    monkeypatch.setattr(CrossAttention, "keys_values", planted)
    monkeypatch.setattr(CrossAttention, "_queries", lambda own, x: torch.ones_like(ask(own, x)))
    found = report_attention(model, processor, inputs, ["heart"] * 3)
    for row in (0, 2):  # study 1 has no second view
        np.testing.assert_allclose(found[row].maps[:, view, patch], 1, rtol=1e-5)
