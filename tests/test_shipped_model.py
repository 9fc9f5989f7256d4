"""The model that comes with the repository: small, without code, and usable at once."""

import json
from importlib import resources
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from kia.cli.main import main
from kia.config import load_config
from kia.installed import installed_models

NAME = "kia-small-iu-xray"
PROJECT = Path(__file__).parents[1] / "models" / NAME
FOLDER = PROJECT / "src" / "kia_small_iu_xray" / "model"
EXAMPLE = "pneumocystis-1.jpg"

installed = pytest.mark.skipif(
    NAME not in installed_models(), reason=f"pip install ./models/{NAME} (make does it)"
)


def test_it_is_small_and_holds_no_code() -> None:
    names = {file.name for file in FOLDER.iterdir()}
    assert names == {
        *("README.md", "failure-missed.jpg", "failure-named-otherwise.jpg"),
        *("config.json", "generation_config.json", "model.safetensors"),
        *("plausibility.safetensors", "processor_config.json", "results.json", "seen.safetensors"),
        *("tokenizer.json", "tokenizer_config.json"),
    }
    assert (FOLDER / "model.safetensors").stat().st_size <= 32 * 10**6
    with safe_open(FOLDER / "model.safetensors", framework="pt") as weights:
        names = set(weights.keys())
        assert {weights.get_tensor(name).dtype for name in names} == {torch.bfloat16}


def test_it_names_nobody_and_no_place() -> None:
    for file in FOLDER.iterdir():
        content = file.read_bytes()
        assert b"CXR1" not in content and b"/tmp/" not in content and b"/home/" not in content


def test_its_recipe_is_what_it_was_built_with() -> None:
    recipe = load_config(str(PROJECT / "recipe.yaml"))
    built = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    assert recipe.model.image_encoder.model_dump() == built["image_tower"]
    assert recipe.model.text_encoder.model_dump() == built["text_tower"]
    assert recipe.generation.model_dump() == built["generation_defaults"]


def test_its_card_says_what_was_measured() -> None:
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    scores = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))
    cider = scores["protocols"]["r2gen"]["cider"]
    assert f"| {cider:.3f} |" in card
    for words in ("Not for clinical use", "CC BY-NC-ND 4.0", "cc-by-nc-4.0", "IU X-Ray"):
        assert words in card


@installed
def test_a_published_x_ray_gives_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    example = resources.files("kia") / "serving" / "assets" / "examples" / EXAMPLE
    with resources.as_file(example) as path:
        assert main(["generate", NAME, str(path), "--jsonl", "-"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["report"][0].isupper() and record["report"].rstrip().endswith(".")
    assert record["images"]


@installed
def test_heat_maps_are_of_the_report_that_is_shown(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The choice among candidates included."""
    example = resources.files("kia") / "serving" / "assets" / "examples" / "pneumocystis-cyst.jpg"
    with resources.as_file(example) as path:
        assert main(["generate", NAME, str(path), "--jsonl", "-"]) == 0
        record = json.loads(capsys.readouterr().out)
        file = tmp_path / "maps.png"
        words = ["explain", "attention", NAME, str(path), "--report", "generated"]
        assert main([*words, "--out", str(file)]) == 0
    assert len(record["candidates"]) > 1
    assert capsys.readouterr().out.splitlines()[0] == record["raw"]


def test_load_is_one_call_from_a_name_to_a_report() -> None:
    import kia

    model, processor = kia.load(NAME)
    assert not model.training
    assert model.config.vocab_size == processor.vocab_size
