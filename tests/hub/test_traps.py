"""A model folder from a stranger: pickles and code in it are never run."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, AutoModel, AutoProcessor

from kia import KIAForReportGeneration, KIAProcessor
from kia.errors import ModelError
from kia.generation import load_model


class Trap:
    """A pickle that makes a file when it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


LOADERS: dict[str, Callable[[Path], Any]] = {
    "model": KIAForReportGeneration.from_pretrained,
    "trusting model": lambda f: KIAForReportGeneration.from_pretrained(f, trust_remote_code=True),
    "pickles wanted": lambda f: KIAForReportGeneration.from_pretrained(f, use_safetensors=False),
    "processor": KIAProcessor.from_pretrained,
    "commands": load_model,
    "AutoConfig": AutoConfig.from_pretrained,
    "AutoModel": AutoModel.from_pretrained,
    "AutoProcessor": AutoProcessor.from_pretrained,
    "trusting AutoModel": lambda f: AutoModel.from_pretrained(f, trust_remote_code=True),
}
PICKLES = ("pytorch_model.bin", "model.pt", "training_args.bin", "optimizer.pt", "scheduler.pkl")


@pytest.fixture
def folder(make_model: Callable[[Path], Path], tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


@pytest.fixture
def sprung(folder: Path, tmp_path: Path) -> Path:
    """Makes everything in the folder a trap that would create this file."""
    file = tmp_path / "sprung"
    for name in PICKLES:
        (folder / name).write_bytes(pickle.dumps(Trap(file), protocol=2))
    code = f"open({str(file)!r}, 'w')\n"
    names = ("modeling_x", "configuration_x", "processing_x", "__init__", "generate", "kia")
    for name in names:
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(code, encoding="utf-8")
    maps = {
        "config.json": {"AutoConfig": "configuration_x.Config", "AutoModel": "modeling_x.Model"},
        "processor_config.json": {"AutoProcessor": "processing_x.Processor"},
        "tokenizer_config.json": {"AutoTokenizer": ["processing_x.Slow", "processing_x.Fast"]},
    }
    for name, classes in maps.items():
        settings = json.loads((folder / name).read_text(encoding="utf-8"))
        settings["auto_map"] = classes
        (folder / name).write_text(json.dumps(settings), encoding="utf-8")
    return file


@pytest.mark.parametrize("loader", LOADERS)
def test_nothing_in_a_folder_is_run(loader: str, folder: Path, sprung: Path) -> None:
    found = LOADERS[loader](folder)
    assert type(found if loader != "commands" else found[0]).__module__.startswith("kia.")
    assert not sprung.exists()


def test_the_traps_work(folder: Path, sprung: Path) -> None:
    pickle.loads((folder / "pytorch_model.bin").read_bytes())
    assert sprung.exists()


@pytest.mark.parametrize("loader", [name for name in LOADERS if "rocessor" not in name])
def test_a_folder_with_pickled_weights_alone_is_refused(
    loader: str, folder: Path, sprung: Path
) -> None:
    (folder / "model.safetensors").unlink()
    if loader == "AutoConfig":
        return
    with pytest.raises(ModelError) as caught:
        LOADERS[loader](folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value) and "pytorch_model.bin" in str(caught.value)
    assert not sprung.exists()


def test_a_command_says_so_in_one_line(
    folder: Path, sprung: Path, pictures: list[str], kia_command: Callable[..., Any]
) -> None:
    (folder / "model.safetensors").unlink()
    code, out, err = kia_command("generate", str(folder), pictures[0])
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("error: ") and "pickles are not read: " in line
    assert not sprung.exists()


def test_config_cannot_name_code_or_weights_elsewhere(folder: Path, tmp_path: Path) -> None:
    file = folder / "config.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(settings | {"attn_implementation": "somebody/kernel"}))
    model = KIAForReportGeneration.from_pretrained(folder)
    assert model.config._attn_implementation == "sdpa"
    for name in ("../x.safetensors", "pytorch_model.bin"):
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(tmp_path / "sprung"), 2))
        file.write_text(json.dumps(settings | {"transformers_weights": name}))
        with pytest.raises(Exception, match=r".+"):
            KIAForReportGeneration.from_pretrained(folder)
        assert not (tmp_path / "sprung").exists()
