"""Save, load, and what comes out of a file that lacks weights or holds a pickle."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel

from kia import KIAConfig, KIAForReportGeneration
from kia.errors import ModelError
from kia.generation import load_model
from kia.models import KIAModel

HEADS = (
    *("pixel_prediction.", "match_prediction.", "word_prediction."),
    *("image_projection.", "text_projection.", "view_embedding."),
)
VARIANTS = pytest.mark.parametrize(
    "parts",
    [
        {},
        {"share_parameters": False},
        {"image": {"stem": "conv", "patch_size": 16}},
        {"image": {"standardise": True}, "standardise_projections": True},
    ],
    ids=["shared", "separate", "conv", "standardised"],
)


def outputs(model: Any) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    pixels = torch.randn(2, 1, 1, 32, 32, generator=generator)
    ids = torch.randint(4, 50, (2, 6), generator=generator)
    with torch.no_grad():
        images = model.encode_images(pixels, torch.zeros(2, 1, dtype=torch.long))
        text = model.text_encoder(ids)
        image_context = model.text_decoder.stack.context(images.sequence)
        text_context = model.image_cross_encoder.stack.context(text)
        return {
            "words": model(ids, image_context).logits,
            "pixels": model.pixel_prediction(
                model.image_cross_encoder(pixels.flatten(0, 1), context=text_context)
            ),
            "match": model.match_prediction(text[:, 0]),
            "images": model.image_projection(images.pooled),
            "reports": model.text_projection(text[:, 0]),
        }


@VARIANTS
def test_a_saved_model_computes_the_same(parts: Any, build: Any, tmp_path: Path) -> None:
    model = build(**parts)
    model.save_pretrained(tmp_path / "ours")
    files = {file.name for file in (tmp_path / "ours").iterdir()}
    assert files == {"config.json", "generation_config.json", "model.safetensors"}
    theirs = KIAForReportGeneration.from_pretrained(tmp_path / "ours")
    theirs.generation_config.max_new_tokens = 7
    theirs.save_pretrained(tmp_path / "theirs")
    for kind, again in {
        KIAModel: KIAModel.from_pretrained(tmp_path / "theirs"),
        KIAForReportGeneration: AutoModel.from_pretrained(tmp_path / "theirs"),
    }.items():
        assert type(again) is kind
        assert not again.training
        assert model.config.to_dict().items() <= again.config.to_dict().items()
        found = outputs(again)
        for name, expected in outputs(model).items():
            assert torch.equal(found[name], expected), name
    assert again.generation_config.eos_token_id == model.config.eos_token_id
    assert again.generation_config.max_new_tokens == 7


@VARIANTS
def test_a_folder_is_written_as_transformers_writes_it(
    parts: Any, build: Any, tmp_path: Path
) -> None:
    build(**parts).save_pretrained(tmp_path / "ours")
    KIAForReportGeneration.from_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    for file in (tmp_path / "ours").iterdir():
        assert file.read_bytes() == (tmp_path / "theirs" / file.name).read_bytes(), file.name


@VARIANTS
def test_a_new_model_is_initialised_as_by_transformers(parts: Any, build: Any) -> None:
    model = build(fresh=True, **parts)
    torch.manual_seed(0)
    theirs = KIAForReportGeneration(KIAConfig(**model.config.to_dict()))
    expected = theirs.state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value, expected.pop(name)), name
    assert not expected


@VARIANTS
def test_loading_draws_nothing(parts: Any, build: Any, tmp_path: Path) -> None:
    build(**parts).save_pretrained(tmp_path)
    before = torch.get_rng_state()
    KIAModel.from_pretrained(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_every_weight_is_stored_once(build: Any, tmp_path: Path) -> None:
    model = build()
    model.save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    assert set(stored) == {name for name, _ in model.named_parameters()}


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that is not set reads as NaN, as it may at any time on any machine."""

    def poison(function: Any) -> Any:
        def allocate(*args: Any, **kwargs: Any) -> torch.Tensor:
            made = function(*args, **kwargs)
            return made.fill_(float("nan")) if made.is_floating_point() else made

        return allocate

    for name in ("empty", "empty_like", "empty_strided"):
        monkeypatch.setattr(torch, name, poison(getattr(torch, name)))


def initialised(model: nn.Module, name: str, parameter: nn.Parameter) -> None:
    """Asserts what `_init_weights` promises of a parameter."""
    assert parameter.isfinite().all(), name
    owner = model.get_submodule(name.rpartition(".")[0])
    if name.endswith("bias"):
        assert (parameter == 0).all(), name
    elif isinstance(owner, nn.LayerNorm | nn.BatchNorm2d):
        assert (parameter == 1).all(), name
    else:
        deviation = 0.02
        if isinstance(owner, nn.Conv2d):  # He et al. 2015
            deviation = (2 / parameter[0].numel()) ** 0.5
        assert 0.7 * deviation < parameter.std() < 1.3 * deviation, name
        assert parameter.mean().abs() < deviation, name


@VARIANTS
@pytest.mark.parametrize("missing", [HEADS, ("",)], ids=["heads", "almost everything"])
def test_missing_weights_come_out_initialised(
    missing: tuple[str, ...], parts: Any, build: Any, tmp_path: Path, poisoned: None
) -> None:
    trained = build(**parts)
    trained.save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    kept = {k: v for k, v in stored.items() if not k.startswith(missing)}
    kept = kept or {"text_tower.norm.weight": stored["text_tower.norm.weight"]}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lacks"):
        KIAModel.from_pretrained(tmp_path)
    model = KIAForReportGeneration.from_pretrained(tmp_path)
    missing_names = {name for name in model.state_dict() if name not in kept}
    assert missing_names == set(stored) - set(kept)
    for name, parameter in model.named_parameters():
        if name in kept:
            assert torch.equal(parameter, kept[name]), name
        else:
            initialised(model, name, parameter)
    if "text_tower.word.weight" not in kept:
        assert (model.text_tower.word.weight[model.config.pad_token_id] == 0).all()
    assert all(buffer.isfinite().all() for buffer in model.buffers())
    assert all(value.isfinite().all() for value in outputs(model).values())


@VARIANTS
def test_a_new_model_is_initialised(parts: Any, build: Any, poisoned: None) -> None:
    model = build(fresh=True, **parts)
    for name, parameter in model.named_parameters():
        initialised(model, name, parameter)


class Trap:
    """A pickle that writes a file when it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "training_args.bin"])
def test_a_pickle_in_a_model_folder_is_never_run(name: str, build: Any, tmp_path: Path) -> None:
    folder, sprung = tmp_path / "model", tmp_path / "sprung"
    model = build()
    model.save_pretrained(folder)
    (folder / name).write_bytes(pickle.dumps(Trap(sprung), protocol=2))
    kinds: tuple[Any, ...] = (KIAModel, KIAForReportGeneration)
    for kind in kinds:
        again = kind.from_pretrained(folder)
        assert torch.equal(again.text_tower.word.weight, model.text_tower.word.weight)
    (folder / "model.safetensors").unlink()
    for kind in kinds:
        with pytest.raises(ModelError, match="pickles are not read"):
            kind.from_pretrained(folder)
    with pytest.raises(ModelError):
        load_model(folder)
    assert not sprung.exists()
    pickle.loads((folder / name).read_bytes())
    assert sprung.exists(), "the trap would not have worked"


def test_remote_code_named_by_a_folder_is_never_run(build: Any, tmp_path: Path) -> None:
    folder, sprung = tmp_path / "model", tmp_path / "sprung"
    build().save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["auto_map"] = {"AutoModel": "own_code.Model", "AutoConfig": "own_code.Config"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "own_code.py").write_text(f"open({str(sprung)!r}, 'w')", encoding="utf-8")
    assert type(AutoModel.from_pretrained(folder)) is KIAForReportGeneration
    KIAForReportGeneration.from_pretrained(folder)
    KIAModel.from_pretrained(folder)
    assert not sprung.exists()


@pytest.mark.parametrize("damage", ["missing", "not a model", "no weights", "cut short", "hub"])
def test_an_unusable_model_is_one_clear_error(damage: str, build: Any, tmp_path: Path) -> None:
    from kia.processing import KIAProcessor, train_tokenizer

    source: Path | str = tmp_path / "model"
    if damage == "hub":
        source = "nobody/no-such-model"
    elif damage == "not a model":
        tmp_path.joinpath("model").mkdir()
    elif damage != "missing":
        build().save_pretrained(source)
        KIAProcessor(train_tokenizer(["clear lungs"], 200), image_size=32).save_pretrained(source)
        weights = tmp_path / "model" / "model.safetensors"
        if damage == "no weights":
            weights.unlink()
        else:
            weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError) as caught:
        load_model(source)
    assert "\n" not in str(caught.value)
    assert str(source) in str(caught.value)
