"""A model folder of a stranger that asks for too much, or cannot work, is refused at once.

A table of folders, each loaded in a process of its own: at most 400 MB and 5 s, what Python and
torch take before they open it included.
"""

import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from kia import KIAForReportGeneration
from kia.errors import ModelError
from kia.generation import load_model
from kia.models import CheckpointConfig, KIAModel
from kia.models.folder import NothingDrawn

MEGABYTES, SECONDS = 400, 5
SCRIPT = Path(__file__).with_name("load_each.py")
Change = Callable[[Path], object]


def edit(name: str, change: Callable[[Any], object]) -> Change:
    """Changes what a JSON file says."""

    def apply(folder: Path) -> None:
        said = json.loads((folder / name).read_text())
        change(said)
        (folder / name).write_text(json.dumps(said))

    return apply


def config(path: str, value: Any) -> Change:
    """Sets a value of config.json by its dotted path."""
    *parents, last = path.split(".")

    def change(said: Any) -> None:
        for parent in parents:
            said = said[parent]
        said[last] = value

    return edit("config.json", change)


def text(name: str, content: str) -> Change:
    return lambda folder: (folder / name).write_text(content)


def sparse(name: str, size: int) -> Change:
    """A large file that takes no room on the disk."""

    def apply(folder: Path) -> None:
        with (folder / name).open("wb") as file:
            file.truncate(size)

    return apply


def pipe(name: str) -> Change:
    def apply(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return apply


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    """Changes the weights."""

    def apply(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return apply


def poisoned(value: float) -> Change:
    return weights(lambda tensors: tensors["text_tower.norm.weight"].__setitem__(3, value))


def as_type(kind: torch.dtype) -> Change:
    return weights(lambda ts: ts.update({name: value.to(kind) for name, value in ts.items()}))


def header(content: bytes, size: int = 0, length: int | None = None) -> Change:
    """A safetensors file with a header and `size` bytes of nothing behind it."""

    def apply(folder: Path) -> None:
        with (folder / "model.safetensors").open("wb") as file:
            file.write(struct.pack("<Q", len(content) if length is None else length) + content)
            file.truncate(8 + len(content) + size)

    return apply


def tensor(shape: list[int], end: int, begin: int = 0, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def one(said: dict[str, Any], size: int) -> Change:
    return header(json.dumps({"a": said}).encode(), size)


def many(count: int) -> Change:
    return header(json.dumps({f"a{n}": tensor([0], 0) for n in range(count)}).encode())


def layers(count: int) -> Change:
    """As many text layers by all that config.json says."""

    def change(said: Any) -> None:
        said["text_tower"]["depth"] = said["num_hidden_layers"] = count

    return edit("config.json", change)


def giant(width: int, depth: int) -> Change:
    """A model that fits its configuration, of weights that are all holes in the file."""

    def apply(folder: Path) -> None:
        said = json.loads((folder / "config.json").read_text())
        for tower in ("image_tower", "text_tower"):
            said[tower] |= {"width": width, "depth": depth, "ffn_width": 8 * width}
        said |= {"hidden_size": width, "num_hidden_layers": depth}
        (folder / "config.json").write_text(json.dumps(said))
        with torch.device("meta"), NothingDrawn():
            model = KIAModel(CheckpointConfig.from_file(folder / "config.json"))
        place, entries = 0, {}
        for name, value in model.state_dict().items():
            behind = place + 4 * value.numel()
            entries[name] = tensor(list(value.shape), behind, place)
            place = behind
        header(json.dumps(entries).encode(), place)(folder)

    return apply


def part(name: str, value: Any) -> Change:
    """Another part of the tokenizer."""
    return edit("tokenizer.json", lambda said: said.__setitem__(name, value))


def vocabulary(change: Callable[[dict[str, int]], object]) -> Change:
    return edit("tokenizer.json", lambda said: change(said["model"]["vocab"]))


def added(**values: Any) -> Change:
    token = {"id": 300, "content": "[X]", "special": True, **values}
    return edit("tokenizer.json", lambda said: said["added_tokens"].append(token))


def nested(kind: str, parts: str, depth: int) -> str:
    return f'{{"type": "{kind}", "{parts}": [' * depth + "]}" * depth


def plausibility(**changes: Any) -> Change:
    """What training images look like, of which some is changed."""

    def apply(folder: Path) -> None:
        arrays = {
            "frontal.mean": np.zeros(256),
            "frontal.components": np.zeros((48, 256)),
            "frontal.variances": np.ones(48),
            "frontal.noise": np.array(0.1),
            **{f"frontal.limit.{name}": np.array(1.0) for name in ("high", "changed", "mirrored")},
        } | {f"frontal.{name}": value for name, value in changes.items()}
        arrays = {name: np.asarray(value, np.float32) for name, value in arrays.items()}
        save_arrays(arrays, folder / "plausibility.safetensors")

    return apply


HOSTILE: dict[str, Change] = {
    # absurd sizes in the configuration
    "a million image layers": config("image_tower.depth", 10**6),
    "a million text layers": config("text_tower.depth", 10**6),
    "as many layers as are allowed": layers(64),
    "layers that another line denies": config("text_tower.depth", 2),
    "layers of a million features": config("image_tower.width", 10**6),
    "a billion hidden features": config("text_tower.ffn_width", 10**9),
    "a billion words": config("vocab_size", 10**9),
    "a billion positions": config("text_tower.max_positions", 10**9),
    "an image of a million pixels a side": config("image_size", 16 * 10**5),
    "patches of one pixel": config("image_tower.patch_size", 1),
    "a billion contrastive features": config("projection_width", 10**9),
    "a million candidates": config("generation_defaults.candidates", 10**6),
    "a million beams": config("generation_defaults.beams", 10**6),
    "a billion studies a batch": config("generation_defaults.batch_size", 10**9),
    "no heads": config("text_tower.heads", 0),
    "tasks without end": config("tasks", ["rg"] * 10**5),
    "a deep configuration": text("config.json", "[" * 10**5),
    "a number of 5,000 digits": text("config.json", '{"image_size": ' + "9" * 5000 + "}"),
    "a configuration of 10 GB": sparse("config.json", 10 << 30),
    # weights
    "a header of 2^63 bytes": header(b"{}", length=1 << 63),
    "a header of 90 MB": header(b"{" + b" " * (90 << 20) + b"}"),
    "a deep header": header(b'{"a":' * 10**5),
    "50,000 empty tensors": many(50_000),
    "5,000 empty tensors": many(5_000),
    "a shape that overflows": one(tensor([1 << 40] * 4, 4), 4),
    "a tensor that goes beyond the file": one(tensor([1 << 30], 1 << 32), 4),
    "a tensor of 8 GB beside the others": one(tensor([1 << 31], 8 << 30), 8 << 30),
    "holes in place of 11 GB": giant(2048, 14),
    "holes in place of 400 GB": giant(8192, 64),
    "weights that are a pipe": pipe("model.safetensors"),
    "a NaN": poisoned(float("nan")),
    "an infinity": poisoned(float("inf")),
    "whole numbers as weights": as_type(torch.int32),
    "doubles as weights": as_type(torch.float64),
    "weights that overflow": weights(
        lambda ts: [value.mul_(1e38) for name, value in ts.items() if value.ndim == 2]
    ),
    "zeros as weights": weights(lambda tensors: [value.zero_() for value in tensors.values()]),
    # the tokenizer
    "a token with the number 2^32 - 1": added(id=(1 << 32) - 1),
    "a vocabulary with gaps": vocabulary(lambda vocab: vocab.update({"zzz": 10**8})),
    "a vocabulary with one number twice": vocabulary(lambda vocab: vocab.update({"zzz": 1})),
    "a normalizer that multiplies": part(
        "normalizer", {"type": "Replace", "pattern": {"String": " "}, "content": "x" * 10**6}
    ),
    "a pattern that takes minutes": part(
        "pre_tokenizer",
        {
            "type": "Split",
            "pattern": {"Regex": "(a+)+$"},
            "behavior": "Isolated",
            "invert": False,
        },
    ),
    "another kind of model": part("model", {"type": "Unigram", "unk_id": 0, "vocab": [["a", 0.0]]}),
    "normalizers in each other": lambda folder: (folder / "tokenizer.json").write_text(
        (folder / "tokenizer.json")
        .read_text()
        .replace('"BertNormalizer"', '"BertNormalizer", "more": ' + nested("Sequence", "n", 10**4))
    ),
    "words of a billion letters": edit(
        "tokenizer.json",
        lambda said: said["model"].__setitem__("max_input_chars_per_word", 10**9),
    ),
    "a template of a million pieces": part(
        "post_processor",
        {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}] * 10**5,
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {},
        },
    ),
    "a tokenizer of 10 GB": sparse("tokenizer.json", 10 << 30),
    "a tokenizer that is a pipe": pipe("tokenizer.json"),
    # the processor
    "another image size": edit("processor_config.json", lambda s: s.update(image_size=48)),
    "other channels": edit("processor_config.json", lambda s: s.update(channels=3)),
    "a picture of 10^9 pixels": edit("processor_config.json", lambda s: s.update(image_size=10**9)),
    "a processor that is a pipe": pipe("processor_config.json"),
    "plausibility of 10 GB": sparse("plausibility.safetensors", 10 << 30),
    "plausibility that is a pipe": lambda folder: os.mkfifo(folder / "plausibility.safetensors"),
    "plausibility of another shape": plausibility(components=np.zeros((2, 2))),
    "plausibility that is NaN": plausibility(mean=np.full(256, np.nan)),
    "plausibility of negative variance": plausibility(noise=-1.0),
    "seen images of 10 GB": sparse("seen.safetensors", 10 << 30),
    "seen images that are a pipe": lambda folder: os.mkfifo(folder / "seen.safetensors"),
    "seen images of another shape": lambda folder: save_arrays(
        {"images": np.zeros((2, 2), np.int64), "reports": np.zeros(1, np.int64)},
        folder / "seen.safetensors",
    ),
}


@pytest.fixture(scope="module")
def table(
    make_model: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """What became of each folder, and of one that is as it was written."""
    place = tmp_path_factory.mktemp("hostile")
    whole, folders = make_model(place / "whole"), {}
    for number, (name, change) in enumerate([("whole", lambda _: None), *HOSTILE.items()]):
        folders[name] = shutil.copytree(whole, place / f"{number:02d}")
        change(folders[name])
    words = [sys.executable, str(SCRIPT), *map(str, folders.values())]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(words, capture_output=True, text=True, env=environment, check=True)
    lines = map(json.loads, run.stdout.splitlines())
    return dict(zip(folders, lines, strict=True))


def test_the_folder_that_all_others_are_made_of_works(table: dict[str, dict[str, Any]]) -> None:
    assert table["whole"]["outcome"].startswith("report: ")


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_in_one_line_without_memory_or_time(
    name: str, table: dict[str, dict[str, Any]]
) -> None:
    found = table[name]
    assert found["outcome"].startswith("ModelError: "), found
    assert "\n" not in found["outcome"] and len(found["outcome"]) < 700, found
    assert found["megabytes"] <= MEGABYTES and found["seconds"] <= SECONDS, found


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (poisoned(float("nan")), "text_tower.norm.weight"),
        (as_type(torch.int32), "image_tower.class_token is of the type I32"),
        (
            weights(lambda tensors: tensors["text_tower.word.weight"].zero_()),
            "text_tower.word.weight is all zeros",
        ),
    ],
)
def test_the_tensor_is_named(
    change: Change, name: str, make_model: Callable[[Path], Path], tmp_path: Path
) -> None:
    folder = make_model(tmp_path / "model")
    change(folder)
    with pytest.raises(ModelError, match=name):
        load_model(folder)


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_of_every_type_that_kia_and_transformers_write_are_read(
    kind: torch.dtype, make_model: Callable[[Path], Path], tmp_path: Path
) -> None:
    folder = make_model(tmp_path / "model")
    as_type(kind)(folder)
    model, _ = load_model(folder)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    "name",
    [
        *("a million text layers", "layers of a million features", "a million candidates"),
        *("a NaN", "an infinity", "whole numbers as weights", "50,000 empty tensors"),
        *("patches of one pixel", "a billion words", "holes in place of 400 GB"),
    ],
)
def test_transformers_classes_refuse_it_too(
    name: str, make_model: Callable[[Path], Path], tmp_path: Path
) -> None:
    folder = make_model(tmp_path / "model")
    HOSTILE[name](folder)
    with pytest.raises(ModelError) as caught:
        KIAForReportGeneration.from_pretrained(folder)
    assert "\n" not in str(caught.value)
