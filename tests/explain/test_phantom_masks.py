"""The experiment on masking: its sentences, its labels and table by hand, and a run of seconds."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kia.data.readers.phantoms import write_phantoms
from kia.data.store.dataset import DatasetWriter, PreparedDataset
from kia.errors import DataError
from kia.explain.localisation.measure import drawn_findings
from kia.knowledge.chexpert import OBSERVATIONS

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


@pytest.fixture
def masks(monkeypatch):
    monkeypatch.syspath_prepend(EXPERIMENTS)
    import phantom_masks

    return phantom_masks


@pytest.fixture
def measures(monkeypatch):
    monkeypatch.syspath_prepend(EXPERIMENTS)
    import phantom_measures

    return phantom_measures


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms") / "data"
    with DatasetWriter(folder, image_size=128, source="phantom") as writer:
        write_phantoms(writer, 60, seed=1)
    return folder


def test_label_numbers_count_what_was_not_drawn_as_absent(measures):
    present = np.zeros((4, 14))
    place = OBSERVATIONS.index("Cardiomegaly")
    present[:, place] = [0.9, 0.4, 0.6, 0.1]
    labels = [{"Cardiomegaly": value} for value in (1, 1, 0, None)]
    found = measures.label_numbers(present, labels)
    # one of two present called; one of two absent; pairs: .9 above both, .4 above .1 only
    assert found["labels"]["Cardiomegaly"] == {
        "sensitivity": 0.5,
        "specificity": 0.5,
        "auroc": 0.75,
    }
    assert found["labels"]["Fracture"] == {"sensitivity": None, "specificity": 1, "auroc": None}
    assert found["label_accuracy"] == 0.5  # of Cardiomegaly: no other has both classes


def test_attention_on_the_finding_is_the_best_possible_and_elsewhere_nothing(measures, phantoms):
    dataset = PreparedDataset.open(phantoms)
    studies = dataset.indices("train")
    at = np.full((len(studies), 14, 64), 1e-9)
    for row, name, mask in drawn_findings(dataset, studies):
        patches = mask.reshape(8, 16, 8, 16).mean((1, 3)).ravel()
        at[row, OBSERVATIONS.index(name), patches.argmax()] = 1
    found = measures.attention_numbers(at, dataset, studies, 8)
    best = found["priors"]["best possible"]
    assert found["inside"] == pytest.approx(best["inside"]) and best["lift"] > 5
    assert 0 < found["hit"] <= best["hit"]
    uniform = found["priors"]["uniform attention"]
    assert uniform["lift"] == pytest.approx(1)
    assert found["priors"]["atlas prior"]["lift"] > 2
    assert sum(len(names) > 0 for names in found["attention"]) == len(found["attention"]) <= 9


def line(masking, seed, **numbers):
    names = ("label_accuracy", "label_auroc", "cider", "image_gain", "finding_f1")
    prior = {"inside": 0.06, "lift": 1.0, "hit": 0.05}
    return {
        **{"masking": masking, "seed": seed, "epochs": 2, "set": [], "data": "a" * 64},
        **{"measured": "b" * 64, "split": "val", "studies": 50, "findings": 40},
        **dict.fromkeys(names, 0.5),
        **prior,
        "priors": {"uniform attention": prior},
        **numbers,
    }


def test_the_table_has_means_deviations_and_priors(masks):
    lines = [line("general/general", 0, cider=0.1), line("general/general", 1, cider=0.2)]
    lines += [line("general/general", 2, cider=0.6), line("label/general", 0, label_accuracy=None)]
    title, _, head, rule, general, label, uniform = masks.table(lines).splitlines()
    assert "2 joint epochs" in title and "50 val studies, 40 findings" in title
    assert len({row.count("|") for row in (head, rule, general, label, uniform)}) == 1
    # mean .3; deviations −.2, −.1, .3: (.04 + .01 + .09) / 2 = .07, its root .265
    assert general.startswith("| general/general | 3 | 0.500 ± 0.000 |")
    assert "| 0.300 ± 0.265 |" in general
    assert label.startswith("| label/general | 1 | – | 0.500 |")
    assert uniform == "| uniform attention | – | – | – | – | – | – | 0.060 | 1.000 | 0.050 |"


def test_other_settings_make_another_table(masks):
    lines = [line("general/general", 0), line("general/general", 0, epochs=5)]
    assert masks.table(lines).count("| masking") == 2


def test_a_table_without_results_says_so(masks):
    with pytest.raises(DataError, match="no results yet"):
        masks.table([])


@pytest.mark.slow
def test_the_command_trains_measures_skips_and_prints(phantoms, tmp_path):
    def run(*words):
        script = [sys.executable, str(EXPERIMENTS / "phantom_masks.py"), str(tmp_path / "out")]
        return subprocess.run([*script, *words], capture_output=True, text=True, timeout=600)

    words = ("--data", str(phantoms), "--epochs", "1", "--seeds", "0", "--split", "test")
    words += ("--maskings", "general/general", "graph+label/anatomy")
    assert run("--table").stderr.startswith("error: no results yet")
    first = run(*words)
    assert first.returncode == 0, first.stderr
    results = tmp_path / "out" / "results.jsonl"
    found = [json.loads(text) for text in results.read_text().splitlines()]
    assert [one["masking"] for one in found] == ["general/general", "graph+label/anatomy"]
    assert all(0 <= one["label_accuracy"] <= 1 and one["studies"] == 6 for one in found)
    assert run(*words).returncode == 0
    assert len(results.read_text().splitlines()) == 2  # nothing was done twice
    assert "| graph+label/anatomy | 1 |" in run("--table").stdout
    wrong = run("--data", str(phantoms), "--maskings", "lable/general")
    assert wrong.returncode == 2 and "tasks.mlm.masking" in wrong.stderr
