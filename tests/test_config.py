"""Presets, overrides, and what a user is told about a mistake in them."""

from pathlib import Path

import pytest
import yaml

from kia.config import RunConfig, fields, load_config, preset_names, preset_text
from kia.errors import ConfigError


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_and_opens_with_its_purpose(name: str) -> None:
    assert isinstance(load_config(name), RunConfig)
    assert preset_text(name).startswith(f"# {name}: ")


@pytest.mark.parametrize("name", preset_names())
def test_a_resolved_preset_loads_to_the_same_configuration(name: str, tmp_path: Path) -> None:
    config = load_config(name)
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    assert load_config(str(file)) == config


def test_paper_presets_hold_the_numbers_of_section_4_2() -> None:
    iu, mimic = load_config("paper-iu-xray"), load_config("paper-mimic-cxr")
    assert (iu.train.joint.epochs, iu.train.generation.epochs) == (40, 5)
    assert (mimic.train.joint.epochs, mimic.train.generation.epochs) == (10, 5)
    assert (iu.data.max_words, mimic.data.max_words) == (60, 100)
    for config in (iu, mimic):
        assert config.model.image_size == 224
        assert config.train.batch_size == 32
        assert config.train.joint.learning_rate == 1e-4
        assert config.train.decay_per_epoch == 0.98
        assert config.train.weight_decay == 0.05
        tasks = config.tasks
        weights = [t.weight for t in (tasks.mim, tasks.mlm, tasks.irc, tasks.irm, tasks.rg)]
        assert weights == [1, 1, 1, 1, 1]
        assert (tasks.mim.masking, tasks.mlm.masking) == ("anatomy", "graph")
        assert (tasks.mim.p_total, tasks.mim.p_key) == (0.6, 0.9)
        assert not tasks.irc.same_report_is_positive


def test_every_field_says_what_it_means() -> None:
    for path, info in fields():
        assert info.description, path


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("tasks.irc.weigth=2", ["tasks.irc.weigth", "tasks.irc.weight"]),
        ("trian.seed=1", ["trian", "train"]),
        ("train.batch_size=0", ["train.batch_size", "greater than 0"]),
        ("train.batch_size=many", ["train.batch_size", "integer"]),
        ("model.image_size=100", ["not a multiple of patch_size"]),
        ("model.text_encoder.heads=7", ["not a multiple of heads"]),
        ("train.seed", ["key.path=value"]),
        ("train.seed={", ["not valid YAML"]),
        ("train.seed.x.y=1", ["train.seed"]),
    ],
)
def test_a_wrong_override_is_refused_in_one_line(override: str, told: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("tiny", [override])
    message = str(caught.value)
    assert "\n" not in message
    for part in told:
        assert part in message


def test_overrides_apply_in_order_and_read_yaml_values() -> None:
    config = load_config(
        "tiny", ["train.seed=1", "train.seed=7", "tasks.mim.weight=0", "train.threads=null"]
    )
    assert (config.train.seed, config.tasks.mim.weight, config.train.threads) == (7, 0, None)


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [1\n", "model: 3\n", "\x00"])
def test_a_broken_file_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(str(file))
    assert "\n" not in str(caught.value)


def test_a_file_takes_the_rest_from_what_it_extends(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("extends: small\ntasks: {mlm: {masking: label}}\n")
    expected = load_config("small", ["tasks.mlm.masking=label"])
    assert load_config(str(file)) == expected
    file.write_text("extends: smal\n")
    with pytest.raises(ConfigError, match="extends: smal is no preset"):
        load_config(str(file))


def test_a_misspelt_preset_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'small'"):
        load_config("smal")


def test_a_configuration_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_config("tiny").train.seed = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train.frozen=[]"], r"needs model\.image_encoder\.stem"),
        (["model.image_encoder.stem=conv", "model.image_encoder.patch_size=16"], "needs model"),
        (["data.shift=0.1"], "needs images that come again"),
    ],
)
def test_features_are_kept_only_where_they_come_again(overrides, message):
    still = [f"data.{name}=0" for name in ("shift", "scale", "brightness", "contrast")]
    fits = [
        *("model.image_encoder.stem=efficientnet-lite0", "model.image_encoder.patch_size=32"),
        *("train.frozen=[image_stem]", "train.keep_frozen_features=true", *still),
    ]
    load_config("base", fits)
    with pytest.raises(ConfigError, match=message):
        load_config("base", [*fits, *overrides])
