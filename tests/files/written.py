"""What kia writes, made once in a folder, and how each of the files is read and used."""

import contextlib
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from tests.random_model import random_model
from torch import nn

from kia.ablations.runs import Target, check_folder
from kia.ablations.stored import content_hash, read_scores, write_resampled
from kia.cli.main import main
from kia.config import StageConfig, TrainConfig, load_config
from kia.data.batches.batch import BatchBuilder
from kia.data.readers.phantoms import DrawnMasks, read_truth
from kia.data.store.check import check_dataset
from kia.data.store.chunks import Chunk
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.evaluation.inputs import read_given
from kia.explain.retrieval import index
from kia.generation import dataset_inputs, generation_settings, load_model, write_reports
from kia.hub.card import model_card
from kia.hub.publish import _stage
from kia.imaging.plausibility.reference import Reference
from kia.knowledge.atlas.boxes import read_boxes, read_contours
from kia.knowledge.atlas.places import Atlas, shipped_atlas
from kia.knowledge.atlas.rules import POINTS
from kia.knowledge.radgraph import ReportGraph, read_graphs, write_graphs
from kia.processing import Seen
from kia.studies import Study, StudyImage
from kia.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from kia.training.optim import build_optimizer
from kia.training.run_folder import RunFolder
from kia.training.run_log import read_run

LOG: list[dict[str, Any]] = [
    {"kind": "start", "what": "started from x"},
    {"kind": "knowledge", "reports_without_landmarks": 0.25, "sentences_without_entities": None},
]
for _epoch in range(1, 7):
    _place = {"stage": "joint", "epoch": _epoch, "step": 10 * _epoch}
    LOG += [
        {
            **{"kind": "train", **_place, "learning_rate": 1e-3, "studies_per_second": 4.0},
            **{"data_wait": 0.1, "rg": 3.0 - _epoch / 10, "mim": 0.5},
        },
        {
            **{"kind": "validation", **_place, "cider": 0.1 * _epoch, "unique_reports": 9},
            **{"studies": 10, "loss": 2.0, "image_gain": 0.2, "image_similarity": 0.1},
            **{"attention_entropy": 0.5, "best": _epoch % 2 == 0},
        },
    ]
LOG += [
    {"kind": "skipped", **_place, "not_finite": ["rg"], "studies": ["a", "b"]},
    {"kind": "warning", "step": 60, "rule": "starved", "text": "waits", "advice": "wait less"},
]
RESULTS: dict[str, Any] = {
    "n": 8,
    "dataset": {"hash": "1f" * 32, "split": "test", "source": "phantom"},
    "protocols": {"r2gen": {"bleu_1": 0.3, "cider": 0.2}, "coco": {"cider": None}},
    "confidence": {"r2gen": {"bleu_1": [0.2, 0.4]}},
    "baselines": {"best_constant": {"r2gen": {"bleu_1": 0.25}}},
    "diversity": {"unique_reports": 7},
    "runs": ["a", "b"],
}
PREDICTIONS = [{"id": "a", "report": "Clear.", "age": 63}, {"id": 2, "report": "", "sex": "F"}]
GRAPH = {
    "text": "clear lungs .",
    "entities": {
        "1": {
            **{"tokens": "clear", "label": "OBS-DP", "start_ix": 0, "end_ix": 0},
            "relations": [["located_at", "2"]],
        },
        "2": {
            **{"tokens": "lungs", "label": "ANAT-DP", "start_ix": 1, "end_ix": 1},
            "relations": [],
        },
    },
}
SCENE = {
    "objects": [{"bbox_name": "right lung", "x1": 10, "y1": 20, "x2": 90, "y2": 200}, {"x": 1}]
}
OF = {"model": "m", "data": "d"}


def contours() -> dict[str, list[list[float]]]:
    """Ellipses where lungs, heart and clavicles are."""
    centres = {
        **{"right_lung": (0.3, 0.5, 0.15, 0.3), "left_lung": (0.7, 0.5, 0.15, 0.3)},
        **{"cardiac_silhouette": (0.55, 0.65, 0.15, 0.12)},
        **{"right_clavicle": (0.3, 0.2, 0.12, 0.02), "left_clavicle": (0.7, 0.2, 0.12, 0.02)},
    }
    found = {}
    for name, (x, y, width, height) in centres.items():
        turn = np.linspace(0, 2 * np.pi, POINTS[name], endpoint=False)
        outline = np.stack([x + width * np.cos(turn), y + height * np.sin(turn)], 1)
        found[name] = outline.round(4).tolist()
    return found


class Written:
    """All of it in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config, _, self.processor, model = random_model(folder, 80)
        data = folder / "data"
        for file in data.iterdir():
            file.chmod(0o644)
        rejects = [{"what": "s1 (frontal)", "why": "no such image"}, {"what": "2", "why": "lost"}]
        (data / "rejects.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rejects))
        said = json.loads((data / "dataset.json").read_text()) | {"rejects": len(rejects)}
        (data / "dataset.json").write_text(json.dumps(said, indent=2))
        size_settled(self)
        self.dataset = PreparedDataset.open(data)
        self.inputs = dataset_inputs(self.dataset, self.processor, np.arange(2))
        self.model = folder / "run" / "model"
        model.save_pretrained(self.model)
        self.processor.save_pretrained(self.model)
        small = np.random.default_rng(0).integers(0, 256, (240, 16, 16), dtype=np.uint8)
        Reference.learn({"frontal": small}).save(self.model)
        Seen.learn(small, ["clear lungs", "clear lungs"]).save(self.model)
        self._run()
        self._others()

    def _run(self) -> None:
        run = self.folder / "run"
        folder = RunFolder(run)
        folder._describe(self.config, self.dataset, None)
        for line in LOG:
            with (run / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
        (run / "results.json").write_text(json.dumps(RESULTS))
        self.module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        self.optimizer = build_optimizer(
            self.module, TrainConfig(), StageConfig(epochs=1, learning_rate=1e-2)
        )
        self.module(torch.ones(2, 3)).square().sum().backward()
        self.optimizer.step()
        progress = Progress("joint", 1, 2, 3, 1, 3, 0.5, 1, 0, 0, 77, {"rg": 0.1}, {"scale": 2.0})
        self.checkpoint = save_checkpoint(
            run / "checkpoints", self.module, self.optimizer, progress
        )

    def _others(self) -> None:
        others = self.folder / "others"
        others.mkdir()
        tree = self.config.model_dump(mode="json")
        (others / "mine.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))
        (others / "ablation").mkdir()
        (others / "ablation" / "ablation.yaml").write_text(yaml.safe_dump(self.target.record()))
        (others / "predictions.jsonl").write_text("\n".join(map(json.dumps, PREDICTIONS)))
        for name in ("predictions.embeddings.npy", "train-embeddings.npy"):
            np.save(others / name, np.ones((2, 4), np.float32))
        write_graphs(others / "graphs.json", {"a": ReportGraph.from_record(GRAPH)})
        (others / "scene.json").write_text(json.dumps(SCENE))
        shipped_atlas().save(others / "atlas.npz")
        (others / "contours.json").write_text(json.dumps({"image": contours()}))
        write_resampled(others / "scores.json", {"a": np.arange(3.0)})
        said = {"of": OF, "parameters": 5, "result": RESULTS}
        said["sha256"] = content_hash(said, others / "scores.json")
        (others / "scores.json").write_text(json.dumps(said))
        (others / "index").mkdir()
        (others / "index" / "index.json").write_text(json.dumps(self.recipe))
        for name in ("images", "reports"):
            np.save(others / "index" / f"{name}.npy", np.ones((3, 2), np.float32))
        study = Study("a", "train", (StudyImage("a", "frontal"),), "Clear.", labels={"Edema": 1})
        self.begin_preparation(study)

    @property
    def target(self) -> Target:
        return Target(
            *(self.folder / "others" / "ablation", self.config, self.folder / "data"),
            *("f" * 64, "test", "iu"),
        )

    recipe = {"version": 1, "studies": 3, "width": 2, "split": "train"}  # noqa: RUF012

    def begin_preparation(self, study: Study) -> None:
        """A preparation that was interrupted after its first chunk."""
        writer = DatasetWriter(self.folder / "others" / "set", image_size=8, source="x", inputs="i")
        try:
            with writer:
                writer.add(study, np.zeros((1, 8, 8), np.uint8))
                writer._finish_chunk()
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        file: Its path among what is written.
        form: How it is changed, see `mutations`.
        use: Reads it and uses what it says, as kia does.
        settle: Makes what other files say of it true again.
    """

    file: str
    form: str
    use: Callable[[Written], object]
    settle: Callable[[Written], object] = lambda written: None


def use_data(written: Written) -> None:
    """Makes the training batches of a data set for all tasks, and checks it."""
    dataset = PreparedDataset.open(written.folder / "data")
    dataset.rejects()
    dataset.ids("train"), list(dataset.label_sets("train")), list(dataset.reports())
    dataset_inputs(dataset, written.processor, np.arange(len(dataset)))
    config = load_config("kia-graph", ["tasks.mlm.masking=graph+label"])
    settings = {"patch_size": 16, "max_tokens": 80, "seed": 0}
    builder = BatchBuilder(dataset, written.processor, config.data, config.tasks, **settings)
    builder.build(dataset.indices("train"), 0, augment=True)
    check_dataset(dataset)


def use_phantoms(written: Written) -> None:
    dataset = PreparedDataset.open(written.folder / "data")
    truth, masks = read_truth(dataset), DrawnMasks(dataset)
    for said in truth.values():
        for finding in said["findings"]:
            for row in finding["masks"].values():
                masks.mask(row)


def use_model(written: Written) -> None:
    """Loads a model and writes reports."""
    model, processor = load_model(written.folder / "run")
    settings = generation_settings(model, max_tokens=3, candidates=1, beams=1, rerank="none")
    if processor.image_size == written.processor.image_size:
        write_reports(model, processor, written.inputs, settings)
    if processor.image_size <= 256:
        processor.checked([np.arange(400, dtype=np.uint8).reshape(20, 20)])


def use_upload(written: Written) -> None:
    staged = written.folder / "staged"
    staged.mkdir(exist_ok=True)
    load_model(written.folder / "run")
    _stage(written.model, staged)


def use_run(written: Written) -> None:
    """What `kia runs` shows, and what a resumed run looks at."""
    run = written.folder / "run"
    read_run(run)
    for words in (["show", str(run)], ["list", str(run.parent)]):
        shown(["runs", *words])
    folder = RunFolder(run)
    folder._check(written.config, written.dataset, None)
    folder.threads, folder.start()
    model_card(run)


def shown(words: list[str]) -> None:
    """Runs a command; AssertionError if it fails by anything but an error of kia's."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = main(words)
    assert code in (0, 1, 2) and "unexpected" not in said.getvalue(), said.getvalue()
    assert "Traceback" not in said.getvalue()


def use_checkpoint(written: Written) -> None:
    load_checkpoint(written.checkpoint, written.module, written.optimizer)
    for parameter in written.module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    written.optimizer.step()


def use_preparation(written: Written) -> None:
    """Goes on with an interrupted preparation, and makes it anew."""
    place = written.folder / "others" / ".set.preparing"
    for chunk in sorted(place.glob("chunk-*.arrow")):
        Chunk.read(chunk)
    with DatasetWriter(
        written.folder / "others" / "set", image_size=8, source="x", inputs="i"
    ) as writer:
        writer.rejects()
        raise KeyboardInterrupt


def use_scores(written: Written) -> None:
    found = read_scores(written.folder / "others" / "scores.json", OF)
    assert found is None or (found.parameters, found.result) == (5, RESULTS)


def use_index(written: Written) -> None:
    found = index._read(written.folder / "others" / "index", written.recipe)
    assert found is None or all(part.shape == (3, 2) for part in found)


def use_predictions(written: Written) -> None:
    read_given(written.folder / "others" / "predictions.jsonl", "predictions")


def size_settled(written: Written) -> None:
    """dataset.json says how large the files are now."""
    file = written.folder / "data" / "dataset.json"
    said = json.loads(file.read_text())
    said["files"] = {n: (file.parent / n).stat().st_size for n in said["files"]}
    file.write_text(json.dumps(said))


def hash_settled(written: Written) -> None:
    """sha256.json says what the files of the checkpoint are now."""
    said = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in written.checkpoint.iterdir()
        if file.name != "sha256.json"
    }
    (written.checkpoint / "sha256.json").write_text(json.dumps(said))


_CHECKPOINT = "run/checkpoints/step-00000003"
KINDS = {
    "data set": Kind("data/dataset.json", "json", use_data),
    "rejects": Kind("data/rejects.jsonl", "jsonl", use_data, size_settled),
    "images": Kind("data/images-00000.npy", "npy", use_data, size_settled),
    "studies": Kind("data/studies.arrow", "arrow", use_data, size_settled),
    "truth": Kind("data/truth.jsonl", "jsonl", use_phantoms, size_settled),
    "masks": Kind("data/masks.npy", "npy", use_phantoms, size_settled),
    "recipe": Kind("others/.set.preparing/recipe.json", "json", use_preparation),
    "chunk": Kind("others/.set.preparing/chunk-00000.arrow", "bytes", use_preparation),
    "model": Kind("run/model/config.json", "json", use_model),
    "processor": Kind("run/model/processor_config.json", "json", use_model),
    "tokenizer": Kind("run/model/tokenizer.json", "json", use_model),
    "weights": Kind("run/model/model.safetensors", "safetensors", use_model),
    "plausibility": Kind("run/model/plausibility.safetensors", "safetensors", use_model),
    "seen": Kind("run/model/seen.safetensors", "safetensors", use_model),
    "generation": Kind("run/model/generation_config.json", "json", use_upload),
    "transformers' tokenizer": Kind("run/model/tokenizer_config.json", "json", use_upload),
    "run": Kind("run/run.yaml", "yaml", use_run),
    "log": Kind("run/log.jsonl", "jsonl", use_run),
    "results": Kind("run/results.json", "json", lambda w: model_card(w.folder / "run")),
    "progress": Kind(f"{_CHECKPOINT}/progress.json", "json", use_checkpoint, hash_settled),
    "hashes": Kind(f"{_CHECKPOINT}/sha256.json", "json", use_checkpoint),
    "module": Kind(
        f"{_CHECKPOINT}/module.safetensors", "safetensors", use_checkpoint, hash_settled
    ),
    "optimizer": Kind(
        f"{_CHECKPOINT}/optimizer.safetensors", "safetensors", use_checkpoint, hash_settled
    ),
    "configuration": Kind(
        "others/mine.yaml", "yaml", lambda w: load_config(str(w.folder / "others" / "mine.yaml"))
    ),
    "ablation": Kind("others/ablation/ablation.yaml", "yaml", lambda w: check_folder(w.target)),
    "scores": Kind("others/scores.json", "json", use_scores),
    "resamples": Kind("others/scores.npz", "bytes", use_scores),
    "index": Kind("others/index/index.json", "json", use_index),
    "embeddings": Kind("others/index/images.npy", "npy", use_index),
    "predictions": Kind("others/predictions.jsonl", "jsonl", use_predictions),
    "their embeddings": Kind("others/train-embeddings.npy", "npy", use_predictions),
    "graphs": Kind(
        "others/graphs.json", "json", lambda w: read_graphs(w.folder / "others" / "graphs.json")
    ),
    "boxes": Kind(
        "others/scene.json", "json", lambda w: list(read_boxes(w.folder / "others" / "scene.json"))
    ),
    "atlas": Kind(
        "others/atlas.npz", "bytes", lambda w: Atlas.read(w.folder / "others" / "atlas.npz")
    ),
    "contours": Kind(
        "others/contours.json",
        "json",
        lambda w: list(read_contours(w.folder / "others" / "contours.json")),
    ),
}
