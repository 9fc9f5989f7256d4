"""The model card: filled from the run, silent about what must not leave the machine."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kia.data.readers.phantoms import write_phantoms
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.errors import DataError, ModelError
from kia.hub.card import model_card

REPORT = "The heart of Mrs Example is large."
RESULTS: dict[str, Any] = {
    "n": 590,
    "protocols": {
        "r2gen": {"bleu_1": 0.4, "bleu_4": 0.1234, "meteor": None, "rouge_l": 0.3, "cider": 0.5},
        "coco": {"bleu_4": 0.11, "cider": 0.45},
    },
    "clinical": {"uncertain_negative": {"micro_14": {"f1": 0.61}, "macro_14": {"f1": 0.22}}},
    "graph_f1_kia": {"simple": 0.3, "partial": 0.25},
    "diversity": {"unique_reports": 15},
    "baselines": {"best_constant": {"r2gen": {"cider": 0.49}}},
    "confidence": {"r2gen": {"cider": [0.41, 0.5912]}, "graph_f1_kia": {"partial": [0.2, 0.3]}},
    "dataset": {"hash": "1f" * 32, "split": "test", "source": "IU X-Ray, annotation.json"},
    "notes": {"baselines.constant": REPORT},
    "name": "/secret-hospital/preds.jsonl",
}


def with_results(run: Path, **changes: Any) -> Path:
    file = run / "results.json"
    file.write_text(json.dumps(RESULTS | changes), encoding="utf-8")
    return file


def test_without_scores_the_card_says_so_and_what_it_is_not_for(run: Path) -> None:
    card = model_card(run)
    head, _, text = card.removeprefix("---\n").partition("---\n")
    assert yaml.safe_load(head) == {
        "library_name": "kia",
        "tags": ["kia", "chest-x-ray", "report-generation", "medical"],
    }
    assert "**Research only. Not for clinical use.**" in text
    for title in ("How to load it", "Training data", "Scores", "Limits", "Licence", "Citation"):
        assert f"## {title}\n" in text
    assert "Not scored." in text and "Licence of the data: Not known" in text
    assert "secret-hospital" not in card


def test_the_card_claims_no_pipeline_that_transformers_lacks(run: Path) -> None:
    """Reference: the tasks that the installed transformers knows."""
    from transformers.pipelines import SUPPORTED_TASKS

    head = yaml.safe_load(model_card(run).removeprefix("---\n").partition("---\n")[0])
    assert head.get("pipeline_tag") in {None, *SUPPORTED_TASKS}
    assert head["library_name"] != "transformers"


def test_scores_come_with_intervals_and_a_baseline(run: Path) -> None:
    with_results(run)
    card = model_card(run, licence="cc-by-nc-4.0")
    assert "license: cc-by-nc-4.0\n" in card and "Weights: cc-by-nc-4.0." in card
    assert "| CIDEr (`r2gen`) | 0.500 | 0.410 – 0.591 | 0.490 |" in card
    assert "| BLEU-4 (`r2gen`) | 0.123 | – | – |" in card
    assert "| METEOR (`r2gen`) | – | – | – |" in card
    assert "| F1 of 14 observations, micro | 0.610 | – | – |" in card
    assert "| Graph-F1 by kia's extractor, partial | 0.250 | 0.200 – 0.300 | – |" in card
    assert "590 studies of IU X-Ray, split test" in card
    assert "15 different reports for 590 studies." in card
    assert "CC BY-NC-ND 4.0" in card
    assert "Example" not in card and "secret-hospital" not in card


@pytest.mark.parametrize(
    ("source", "licence"),
    [
        ("IU X-Ray, csv", "CC BY-NC-ND 4.0"),
        ("MIMIC-CXR-JPG", "PhysioNet Credentialed Health Data License"),
        ("phantom (seed 0)", "None: no patient's data."),
        ("secret-hospital.csv", "Not known to kia"),
        (None, "Not known to kia"),
    ],
)
def test_the_licence_is_that_of_the_data_that_the_run_names(
    source: str | None, licence: str, run: Path
) -> None:
    dataset = {**RESULTS["dataset"], "source": source}
    with_results(run, dataset=dataset)
    card = model_card(run)
    assert f"Licence of the data: {licence}" in card and "secret-hospital" not in card
    # scored on other data than it was trained on: they say nothing of its training
    with_results(run, dataset=dataset | {"hash": "2e" * 32})
    assert "Licence of the data: Not known" in model_card(run)


def test_the_data_set_itself_is_asked_where_it_is_there(run: Path) -> None:
    record = yaml.safe_load((run / "run.yaml").read_text(encoding="utf-8"))
    with DatasetWriter(record["data"]["path"], image_size=32, source="phantom (seed 0)") as writer:
        write_phantoms(writer, 10, seed=0)
    assert "Studies:" not in model_card(run)  # another data set lies there now
    info = PreparedDataset.open(writer.out).info
    record["data"]["hash"] = info["content_hash"]
    (run / "run.yaml").write_text(yaml.safe_dump(record), encoding="utf-8")
    card = model_card(run)
    assert "- Trained on phantoms" in card and info["content_hash"] in card
    counts = [info["counts"][split] for split in ("train", "val", "test")]
    assert sum(counts) == 10 and "Studies: {} train, {} val, {} test.".format(*counts) in card


def test_several_runs_are_called_means(run: Path) -> None:
    with_results(run, confidence=None, runs=[RESULTS, RESULTS])
    card = model_card(run)
    assert "means of 2 runs" in card
    assert "| CIDEr (`r2gen`) | 0.500 | – | 0.490 |" in card


def test_wrong_files_are_one_line(run: Path, tmp_path: Path) -> None:
    for content in ("{", "[]", '{"n": 1}'):
        (tmp_path / "other.json").write_text(content, encoding="utf-8")
        with pytest.raises(DataError, match=r"other\.json is not what"):
            model_card(run, results=tmp_path / "other.json")
    with pytest.raises(DataError, match=r"none\.json is not what"):
        model_card(run, results=tmp_path / "none.json")
    (run / "model" / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError, match="no usable model"):
        model_card(run)


def test_commands(
    run: Path, kia_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = kia_command("hub", "card", str(run), "--licence", "other")
    assert (code, out.strip()) == (0, str(run / "model" / "README.md"))
    assert "license: other" in (run / "model" / "README.md").read_text(encoding="utf-8")
    code, _, err = kia_command("hub", "card", str(run))
    assert code == 1 and "is there already" in err and len(err.splitlines()) == 1
    monkeypatch.setattr("kia.hub.publish.push", lambda *a, **k: f"{a[1]} {k}")
    code, out, _ = kia_command("hub", "push", str(run), "me/x", "--public")
    assert (code, out.strip()) == (0, "me/x {'public': True}")
