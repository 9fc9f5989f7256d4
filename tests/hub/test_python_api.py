"""Five lines of Python, round trips, and transformers' Auto classes after `import kia`."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, GenerationConfig

from kia import KIAForReportGeneration, KIAProcessor
from kia.generation import generation_settings, load_model, write_reports
from kia.readable import readable

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(make_model: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("hub") / "model")


def test_the_readme_s_lines_print_a_report(
    folder: Path,
    pictures: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## In Python")[2]
    code, around = re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    monkeypatch.chdir(Path(pictures[0]).parent)
    names: dict[str, Any] = {}
    exec(code.replace("kia-small-iu-xray", str(folder)), names)
    model, processor = load_model(folder)
    settings = generation_settings(model)
    written = write_reports(model, processor, processor(images=pictures), settings)
    assert capsys.readouterr().out.splitlines() == [readable(one) for one in written]
    exec(around.replace("DIR", str(Path(pictures[0]).parent)), names)
    assert names["labels"][0]["Pleural Effusion"] == 1
    assert len(names["studies"]) > 0
    assert names["scores"]


def test_a_model_saved_and_loaded_is_the_same_bit_for_bit(folder: Path, tmp_path: Path) -> None:
    KIAForReportGeneration.from_pretrained(folder).save_pretrained(tmp_path)
    KIAProcessor.from_pretrained(folder).save_pretrained(tmp_path)
    names = {file.name for file in folder.iterdir()}
    assert {file.name for file in tmp_path.iterdir()} == names
    for name in names:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_the_tokenizer_is_that_of_transformers(folder: Path, tmp_path: Path) -> None:
    """transformers reads its two files, writes the same, and adds notes of how it read them."""
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    before, after = (
        json.loads((f / "tokenizer_config.json").read_text("utf-8")) for f in (folder, tmp_path)
    )
    assert before.items() <= after.items()
    noted = {"is_local", "local_files_only", "model_max_length"}
    assert set(after) - set(before) <= noted
    before, after = (
        json.loads((f / "tokenizer.json").read_text("utf-8")) for f in (folder, tmp_path)
    )
    assert before | {"post_processor": None} == after | {"post_processor": None}  # theirs: nothing


def test_generate_follows_the_folder_s_defaults(folder: Path, pictures: list[str]) -> None:
    model = KIAForReportGeneration.from_pretrained(folder)
    processor = KIAProcessor.from_pretrained(folder)
    inputs = processor(images=pictures)
    by_hand = model.generate(
        **inputs, generation_config=GenerationConfig(num_beams=2, max_new_tokens=30)
    )
    assert torch.equal(model.generate(**inputs), by_hand)
    ours, _ = load_model(folder)
    assert processor.decode(ours.generate(**inputs)) == processor.decode(by_hand)
    assert model.generate(**inputs, min_new_tokens=5, max_new_tokens=5).shape == (1, 6)
    assert model.generate(**inputs, max_length=4).shape[1] <= 4
    several = model.generate(**inputs, num_return_sequences=2)
    assert processor.batch_decode(several) == processor.decode(several)
    assert len(processor.batch_decode(several)) == 2


def test_a_batch_of_studies_is_read_as_each_alone(folder: Path, pictures: list[str]) -> None:
    model = KIAForReportGeneration.from_pretrained(folder)
    processor = KIAProcessor.from_pretrained(folder)
    studies = [pictures[:1], pictures[:2], pictures[1:2]]
    together = processor.decode(model.generate(**processor(studies)))
    alone = [processor.decode(model.generate(**processor(study))) for study in studies]
    assert [[report] for report in together] == alone


AUTO = """
import sys
{first}
from transformers import AutoConfig, AutoModel, AutoProcessor
found = [auto.from_pretrained(sys.argv[1]) for auto in (AutoProcessor, AutoModel, AutoConfig)]
print(*(type(one).__name__ for one in found))
"""
FIRST = (
    "import kia",
    # the same, while the last module is half loaded
    "import kia; from transformers import GenerationMixin",
    # transformers' registries are there already
    "from transformers import AutoModel, AutoProcessor; import kia",
)


@pytest.mark.slow
@pytest.mark.parametrize("first", FIRST)
def test_auto_classes_know_kia(first: str, folder: Path) -> None:
    code = AUTO.format(first=first)
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split() == ["KIAProcessor", "KIAForReportGeneration", "KIAConfig"], done


def test_auto_classes_know_kia_here(folder: Path) -> None:
    from transformers import AutoConfig, AutoModel, AutoProcessor

    assert type(AutoModel.from_pretrained(folder)).__name__ == "KIAForReportGeneration"
    assert type(AutoProcessor.from_pretrained(folder)) is KIAProcessor
    assert type(AutoConfig.from_pretrained(str(folder))).__name__ == "KIAConfig"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("the heart is normal").input_ids
    assert ids == KIAProcessor.from_pretrained(folder).tokenizer("the heart is normal").input_ids


INSTALLED = """
import sys, socket
import kia
def refuse(*_, **__): raise SystemExit("asked the network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from transformers import AutoConfig, AutoModel, AutoProcessor
name = sys.argv[1]
own = (kia.KIAForReportGeneration, kia.KIAProcessor, kia.KIAConfig)
found = [one.from_pretrained(name) for one in (AutoProcessor, AutoModel, AutoConfig, *own)]
from kia.models import KIAModel
KIAModel.from_pretrained(name), kia.load(name)
print(kia.KIA(name, device="cpu").writer.name, *(type(one).__name__ for one in found))
"""


def test_an_installed_model_loads_by_its_name_everywhere_without_the_network(
    folder: Path, tmp_path: Path
) -> None:
    package = tmp_path / "some_weights"
    shutil.copytree(folder, package / "model")
    (package / "__init__.py").write_text("raise SystemExit('was run')")
    about = tmp_path / "some_weights-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: some-weights\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[kia.models]\nsome-model = some_weights\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", INSTALLED, "some-model"],
        **{"capture_output": True, "text": True, "timeout": 120, "cwd": tmp_path},
        env={**os.environ, "PYTHONPATH": path},
    )
    processor, model, config = "KIAProcessor", "KIAForReportGeneration", "KIAConfig"
    expected = ["some-model", processor, model, config, model, processor, config]
    assert done.stdout.split() == expected, done


def test_import_kia_alone_imports_nothing_large() -> None:
    code = "import sys, kia; print(sorted({'torch', 'transformers', 'numpy'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_commands_do_without_transformers(folder: Path, pictures: list[str]) -> None:
    code = (
        "import sys; import kia.cli.generate.command, kia.training.loop; "
        "from kia.explain.describe import describe; "
        "from kia.generation import generation_settings, load_model; "
        "model, processor = load_model(sys.argv[1]); "
        "inputs = processor(images=sys.argv[2:]); "
        "assert describe(model, processor, inputs, generation_settings(model))[0]['report']; "
        "print([m for m in ('transformers', 'torch._dynamo', 'scipy') if m in sys.modules])"
    )
    words = [sys.executable, "-c", code, str(folder), *pictures]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
