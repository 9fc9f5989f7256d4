"""Parameter counts against the arithmetic that `kia info` prints, without allocating a weight."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from kia.config import ModelConfig, load_config, preset_names
from kia.models import KIAModel
from kia.models.sizes import model_sizes, preset_configuration


def layers(tower: Any, context: int | None) -> int:
    width, hidden = tower.width, tower.ffn_width
    count = 4 * width**2 + 4 * width + 2 * width * hidden + width + hidden + 4 * width
    if context is not None:
        count += 2 * width**2 + 2 * context * width + 4 * width + 2 * width
    return tower.depth * count


def towers(model: ModelConfig, *, with_context: bool) -> tuple[int, int]:
    """(image tower, text tower), with a patch stem, pre-norm images and post-norm texts."""
    image, text = model.image_encoder, model.text_encoder
    patches = (model.image_size // image.patch_size) ** 2
    pixels = image.channels * image.patch_size**2
    around_image = pixels * image.width + image.width  # patch projection
    around_image += 2 * image.width + (patches + 1) * image.width  # [CLS], mask token, positions
    around_image += 2 * image.width  # final norm
    around_text = (text.vocab_size + text.max_positions + 2) * text.width
    return (
        around_image + layers(image, text.width if with_context else None),
        around_text + layers(text, image.width if with_context else None),
    )


def heads(model: ModelConfig) -> int:
    image, text, out = model.image_encoder, model.text_encoder, model.projection_width
    pixels = image.channels * image.patch_size**2
    words = text.width**2 + text.width + 2 * text.width + text.vocab_size
    contrast = (image.width + 1) * out + (text.width + 1) * out
    match, views = 2 * text.width + 2, 2 * image.width
    return words + (image.width + 1) * pixels + contrast + match + views


@pytest.mark.parametrize("preset", ["paper-iu-xray", "paper-mimic-cxr"])
def test_counts_of_the_paper_presets_follow_from_the_formula(preset: str) -> None:
    config = load_config(preset)
    plain, modal = (towers(config.model, with_context=value) for value in (False, True))
    configuration = preset_configuration(config)
    shared = model_sizes(configuration, shared=True)
    separate = model_sizes(configuration, shared=False)
    assert shared["total"] == sum(modal) + heads(config.model)
    five = plain[0] + modal[0] + plain[1] + 2 * modal[1]
    assert separate["total"] == five + heads(config.model)
    assert separate["I-Enc"], separate["T-Enc"] == plain
    assert (separate["I-CMEnc"], separate["T-CMEnc"]) == modal == (modal[0], separate["T-Dec"])
    # ViT-B/16 and BERT-base: about 252 and 584 million
    assert round(shared["total"] / 1e6) in (252, 253)
    assert round(separate["total"] / 1e6) in (583, 584, 585)


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "separate"])
def test_every_preset_builds_without_memory(preset: str, shared: bool) -> None:
    configuration = preset_configuration(load_config(preset))
    configuration.share_parameters = shared
    with torch.device("meta"):
        model = KIAModel(configuration)
    parameters = list(model.parameters())
    assert {p.device.type for p in parameters} == {"meta"}
    sizes = model_sizes(configuration, shared=shared)
    assert sizes["total"] == sum(p.numel() for p in parameters)
    assert sizes["total"] == sum(v for k, v in sizes.items() if k != "total")
    model_sizes(configuration, shared=not shared)
    assert configuration.share_parameters is shared, "the caller's configuration was changed"


def test_counts_of_a_model_in_memory_are_the_same(build: Any) -> None:
    for shared in (True, False):
        model = build(share_parameters=shared)
        total = sum(p.numel() for p in model.parameters())
        assert model_sizes(model.config, shared=shared)["total"] == total


def test_info_prints_both_totals_and_the_formula(kia_command: Any, tmp_path: Path) -> None:
    file = tmp_path / "sizes.json"
    code, out, _ = kia_command("info", "paper-iu-xray", "--json", str(file))
    assert code == 0
    assert "4D²+4D (self) + 2D²+2CD+4D (cross) + 2DF+D+F (feed-forward) + 6D (norms)" in out
    table = json.loads(file.read_text(encoding="utf-8"))
    config = load_config("paper-iu-xray")
    expected = sum(towers(config.model, with_context=True)) + heads(config.model)
    assert table["shared"]["total"] == expected
    assert table["separate"]["total"] > 2 * expected
