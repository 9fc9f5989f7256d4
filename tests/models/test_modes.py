"""One set of weights in three modes; views, masks and stems let through only what they should."""

from typing import Any

import numpy as np
import pytest
import torch

from kia.models.image_encoder import patches_to_pixels

SHARING = pytest.mark.parametrize("shared", [True, False], ids=["shared", "separate"])
STEMS = pytest.mark.parametrize(
    "image", [{}, {"stem": "conv", "patch_size": 16}], ids=["patch", "conv"]
)


def ids(rows: int = 2, tokens: int = 8) -> torch.Tensor:
    return torch.randint(4, 50, (rows, tokens), generator=torch.Generator().manual_seed(5))


def image_context(model: Any, tower: Any) -> Any:
    pixels = torch.randn(2, 1, 1, 32, 32, generator=torch.Generator().manual_seed(6))
    features = model.encode_images(pixels, torch.zeros(2, 1, dtype=torch.long))
    return tower.stack.context(features.sequence)


@SHARING
@STEMS
def test_both_sharing_modes_build_and_run(image: Any, shared: bool, build: Any) -> None:
    model = build(share_parameters=shared, image=image)
    components = {
        *(model.image_encoder, model.image_cross_encoder),
        *(model.text_encoder, model.text_cross_encoder, model.text_decoder),
    }
    assert len(components) == (2 if shared else 5)
    with torch.no_grad():
        logits = model(ids(), image_context(model, model.text_decoder)).logits
    assert logits.shape == (2, 8, 50)
    assert logits.isfinite().all()


@SHARING
def test_decoder_prefix_does_not_depend_on_what_follows(shared: bool, build: Any) -> None:
    model = build(share_parameters=shared)
    context = image_context(model, model.text_decoder)
    whole = ids()
    with torch.no_grad():
        long = model(whole, context).logits
        for length in range(1, 8):
            changed = torch.cat([whole[:, :length], 53 - whole[:, length:]], dim=1)
            assert (model(changed, context).logits - long)[:, :length].abs().max() < 1e-5
            assert (model(whole[:, :length], context).logits - long[:, :length]).abs().max() < 1e-5
        # without the causal mask the same weights look ahead
        features = model.text_cross_encoder(whole, context=context)
        changed = torch.cat([whole[:, :3], 53 - whole[:, 3:]], dim=1)
        ahead = model.text_cross_encoder(changed, context=context)
    assert (ahead - features)[:, :3].abs().max() > 1e-2


def test_three_modes_of_one_tower_differ_and_leave_it_as_it_was(build: Any) -> None:
    model = build()
    context = image_context(model, model.text_tower)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with torch.no_grad():
        alone = model.text_encoder(ids())
        cross = model.text_cross_encoder(ids(), context=context)
        decoded = model.text_decoder(ids(), causal=True, context=context)
        again = model.text_encoder(ids())
    assert torch.equal(alone, again)
    assert min((alone - cross).abs().max(), (cross - decoded).abs().max()) > 1e-2
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_cross_attention_weights_matter_only_with_a_context(build: Any, scramble: Any) -> None:
    model = build()
    pixels = torch.randn(2, 1, 32, 32)

    def outputs() -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        with torch.no_grad():
            text, image = model.text_tower(ids()), model.image_tower(pixels)
            read_image = model.text_tower.stack.context(image)
            read_text = model.image_tower.stack.context(text)
            return [text, image], [
                model.text_tower(ids(), context=read_image),
                model.image_tower(pixels, context=read_text),
            ]

    alone, modal = outputs()
    for tower in (model.text_tower, model.image_tower):
        for block in tower.stack.blocks:
            scramble(block.cross_attention, seed=9)
            scramble(block.cross_norm, seed=9)
    alone_now, modal_now = outputs()
    assert all(torch.equal(a, b) for a, b in zip(alone, alone_now, strict=True))
    assert all((a - b).abs().max() > 1e-2 for a, b in zip(modal, modal_now, strict=True))


def test_each_study_reads_its_own_image(build: Any) -> None:
    model = build()
    pixels = torch.randn(2, 1, 1, 32, 32)
    views = torch.zeros(2, 1, dtype=torch.long)
    changed = pixels.clone()
    changed[1] += 1
    with torch.no_grad():
        logits = []
        for images in (pixels, changed):
            features = model.encode_images(images, views).sequence
            logits.append(model(ids(), model.text_decoder.stack.context(features)).logits)
    difference = (logits[0] - logits[1]).abs().amax((1, 2))
    assert difference[0] == 0
    assert difference[1] > 1e-2


def test_separate_towers_do_not_touch_each_other(build: Any, scramble: Any) -> None:
    model = build(share_parameters=False)
    context = image_context(model, model.text_cross_encoder)
    with torch.no_grad():
        before = model.text_encoder(ids()), model.text_cross_encoder(ids(), context=context)
        scramble(model.text_decoder, seed=9)
        scramble(model.image_cross_encoder, seed=9)
        after = model.text_encoder(ids()), model.text_cross_encoder(ids(), context=context)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_heads_are_built_for_the_tasks_only(build: Any) -> None:
    def heads(tasks: list[str]) -> set[str]:
        return {n for n, _ in build(tasks=tasks).named_children() if "tion" in n}

    assert heads(["rg"]) == {"word_prediction"}
    assert heads(["rg", "mim"]) == {"word_prediction", "pixel_prediction"}
    assert heads(["rg", "irm"]) == {"word_prediction", "match_prediction"}
    contrastive = {"word_prediction", "image_projection", "text_projection"}
    assert heads(["rg", "irc"]) == contrastive


@STEMS
def test_absent_view_changes_nothing(image: Any, build: Any) -> None:
    model = build(image=image)
    pixels = torch.randn(2, 2, 1, 32, 32)
    views = torch.tensor([[0, 1], [0, 1]])
    mask = torch.tensor([[True, True], [True, False]])
    with torch.no_grad():
        both = model.encode_images(pixels, views, mask)
        context = model.text_decoder.stack.context(both.sequence, both.mask)
        padded = model(ids(), context).logits
        for study, count in ((0, 2), (1, 1)):
            one = slice(study, study + 1)
            alone = model.encode_images(pixels[one, :count], views[one, :count])
            context = model.text_decoder.stack.context(alone.sequence)
            logits = model(ids()[one], context).logits
            assert (padded[one] - logits).abs().max() < 1e-5
            assert (both.pooled[one] - alone.pooled).abs().max() < 1e-5


def test_view_embedding_tells_frontal_from_lateral(build: Any) -> None:
    model = build()
    pixels = torch.randn(1, 1, 1, 32, 32)
    with torch.no_grad():
        frontal, lateral = (
            model.encode_images(pixels, torch.tensor([[view]])).sequence for view in (0, 1)
        )
        difference = model.view_embedding.weight[1] - model.view_embedding.weight[0]
    assert torch.allclose(lateral - frontal, difference.expand_as(frontal), atol=1e-5)


@STEMS
def test_hidden_patches_never_reach_the_output(image: Any, build: Any) -> None:
    model = build(image=image, image_size=64)
    patch, grid = model.image_tower.patch_size, model.config.grid
    generator = torch.Generator().manual_seed(7)
    mask = torch.rand(3, grid**2, generator=generator) < 0.5
    pixels = torch.randn(3, 1, 64, 64)
    changed = pixels.clone()
    for row in range(3):
        for number in mask[row].nonzero().flatten().tolist():
            top, left = number // grid * patch, number % grid * patch
            changed[row, :, top : top + patch, left : left + patch] = 9.0
    with torch.no_grad():
        before, after = (model.image_tower(x, mask) for x in (pixels, changed))
        seen = model.image_tower(changed, ~mask)
    assert torch.equal(before, after)
    assert (model.image_tower(pixels, ~mask) - seen).abs().max() > 1e-2


@SHARING
def test_blanked_images_leave_the_statistics_of_whole_ones_alone(shared: bool, build: Any) -> None:
    model = build(share_parameters=shared, image={"stem": "conv", "patch_size": 16}).train()
    norm = model.image_cross_encoder.stem.layers[0].norm
    pixels = torch.randn(6, 1, 32, 32, generator=torch.Generator().manual_seed(6))
    hidden = torch.tensor([[True, False, True, True]]).expand(6, -1)
    before = norm.running_mean.clone()
    masked = model.image_cross_encoder(pixels, hidden)
    # a tower of its own sees nothing but blanked images, so these are its statistics
    assert torch.equal(norm.running_mean, before) == shared
    if shared:  # and a study's features do not depend on its batch
        alone = model.image_cross_encoder(pixels[:2], hidden[:2])
        torch.testing.assert_close(alone, masked[:2], atol=1e-5, rtol=0)
        model.image_encoder(pixels)
        assert not torch.equal(norm.running_mean, before)


def test_mask_token_stands_in_for_hidden_patches(build: Any) -> None:
    model = build()
    tower = model.image_tower
    pixels, mask = torch.randn(1, 1, 32, 32), torch.zeros(1, 16, dtype=torch.bool)
    mask[0, 5] = True
    with torch.no_grad():
        plain = tower(pixels)
        assert torch.equal(tower(pixels, torch.zeros_like(mask)), plain)
        masked = tower(pixels, mask)
        tower.mask_token *= -2.0
        assert torch.equal(tower(pixels), plain)
        assert (tower(pixels, mask) - masked).abs().max() > 1e-2


@pytest.mark.parametrize(("channels", "patch", "side"), [(1, 4, 12), (3, 2, 6)])
def test_patches_to_pixels_equals_a_loop(channels: int, patch: int, side: int) -> None:
    images = torch.randn(2, channels, side, side)
    grid = side // patch
    expected = np.empty((2, grid * grid, channels * patch * patch), np.float32)
    for row in range(2):
        for number in range(grid * grid):
            top, left = number // grid * patch, number % grid * patch
            cut = images[row, :, top : top + patch, left : left + patch]
            expected[row, number] = cut.numpy().ravel()
    assert np.array_equal(patches_to_pixels(images, patch).numpy(), expected)


def test_patches_are_numbered_row_by_row(build: Any) -> None:
    model = build(image_size=64)
    stem, patch, grid = model.image_tower.stem, model.image_tower.patch_size, model.config.grid
    with torch.no_grad():
        blank = stem(torch.zeros(1, 1, 64, 64))
        for row, column in ((0, grid - 1), (grid - 1, 0), (1, grid - 1)):
            lit = torch.zeros(1, 1, 64, 64)
            down = slice(row * patch, (row + 1) * patch)
            across = slice(column * patch, (column + 1) * patch)
            lit[0, 0, down, across] = 5.0
            changed = (stem(lit) - blank).abs().sum(-1)[0]
            assert changed.nonzero().tolist() == [[row * grid + column]]
