"""The built-in labeler against the human labels of IU X-Ray (docs/labeler.md reads the result).

Labels: Open-i, 14 classes of ChestX-ray14 and "normal", from the MeSH terms that two coders gave
each report. The rules were written on studies outside the R2Gen test split. Prints both parts:
pytest -s.
"""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kia.knowledge.chexpert import OBSERVATIONS
from kia.knowledge.labels.rules import Reason, explain_report

pytestmark = pytest.mark.iu_xray

# Human class → observation, and which of its mentions the class covers. CheXpert's observations
# are wider than four of the classes, and calcified nodules, which its labeler leaves out, are
# nodules to the coders.
MAP: dict[str, tuple[tuple[str, ...], str, str]] = {
    "Atelectasis": (("Atelectasis",), "Atelectasis", ""),
    "Cardiomegaly": (("Cardiomegaly",), "Cardiomegaly", ""),
    "Effusion": (("Effusion",), "Pleural Effusion", ""),
    "Nodule, Mass": (("Nodule", "Mass"), "Lung Lesion", r"nodul(e|ar?ity)|mass|metasta|tumou?r|can"
                     r"cer|carcinoma|neoplasm|malignan|lesion"),
    "Infiltration": (("Infiltration",), "Lung Opacity", r"infiltrat"),
    "Pneumonia": (("Pneumonia",), "Pneumonia", ""),
    "Pneumothorax": (("Pneumothorax",), "Pneumothorax", ""),
    "Consolidation": (("Consolidation",), "Consolidation", ""),
    "Edema": (("Edema",), "Edema", ""),
    "Pleural_Thickening": (("Pleural_Thickening",), "Pleural Other", r"thick|cap"),
    "normal": (("normal",), "No Finding", ""),
}  # fmt: skip
CALCIFIED = re.compile(r"calcif.*(nodul|mass)|(nodul|mass)")  # among other abnormalities
# Coders call no report normal that names a device, a clip or an implant; CheXpert does.
MATERIAL = re.compile(r"clip|suture|implant|prosthes| leads ", re.IGNORECASE)
# Hedges that the coders read as present, 163 of 179; of all others 17 of 292 (development part).
COUNTED = re.compile(r"alternative|borderline|probabl|favor")


def counted(value: int, hedge: bool) -> bool:
    return value == 1 or (value == -1 and hedge)


class Study:
    """A report's labels and reasons, seen through the classes of the coders."""

    def __init__(self, text: str, gold: dict[str, str]) -> None:
        self.text, self.gold = text, gold
        self.labels, reasons = explain_report(text)
        self.reasons: dict[str, list[Reason]] = {}
        for reason in reasons:
            self.reasons.setdefault(reason.observation, []).append(reason)

    def human(self, name: str) -> bool:
        return any(self.gold[column] == "1" for column in MAP[name][0])

    def compared(self, name: str) -> bool:
        return name != "normal" or not (
            self.labels["Support Devices"] or MATERIAL.search(self.text)
        )

    def machine(self, name: str, hedge: bool) -> bool:
        _, observation, words = MAP[name]
        value = self.labels[observation]
        mentions = self.reasons.get(observation, [])
        if words:
            covered = [r for r in mentions if re.search(words, r.phrase) and r.value != 0]
            found = counted(value or 0, hedge) and bool(covered)
            if name == "Infiltration":  # opacities of other names do not make one certain
                found = found and any(counted(r.value, hedge) for r in covered)
        else:
            found = counted(value or 0, hedge)
        if name == "Nodule, Mass":
            others = self.reasons.get("Other abnormality", [])
            calcified = (r for r in others if CALCIFIED.search(r.phrase))
            found = found or any(counted(r.value, hedge) for r in calcified)
        return found

    def by_kind(self, name: str) -> bool:
        """Hedges read as the coders do: alternatives and probable ones as present."""
        sure, maybe = self.machine(name, False), self.machine(name, True)
        hedges = [r for r in self.reasons.get(MAP[name][1], []) if r.value == -1]
        return sure or (maybe and any(COUNTED.search(r.rule + r.phrase) for r in hedges))


def f1(hits: int, wrong: int, missed: int) -> float:
    return 2 * hits / max(1, 2 * hits + wrong + missed)


Counts = dict[str, tuple[int, int, int]]


def count(studies: list[Study], answer: Callable[[Study, str], bool | None]) -> Counts:
    """Class → hits, false and missed ones; studies without an answer are left out."""
    counts = {}
    for name in MAP:
        pairs = [(s.human(name), answer(s, name)) for s in studies if s.compared(name)]
        hits = sum(truth and found is True for truth, found in pairs)
        wrong = sum(not truth and found is True for truth, found in pairs)
        missed = sum(truth and found is False for truth, found in pairs)
        counts[name] = (hits, wrong, missed)
    return counts


def micro(counts: Counts, without: str = "") -> float:
    rows = [row for name, row in counts.items() if name != without]
    return f1(*(sum(column) for column in zip(*rows, strict=True)))


def only_sure(study: Study, name: str) -> bool | None:
    sure, maybe = study.machine(name, False), study.machine(name, True)
    return sure if sure == maybe else None


READINGS: dict[str, Callable[[Study, str], bool | None]] = {
    "uncertain as absent": lambda study, name: study.machine(name, False),
    "uncertain as present": lambda study, name: study.machine(name, True),
    "hedges by kind": lambda study, name: study.by_kind(name),
    "uncertain left out": only_sure,
}


@pytest.fixture(scope="module")
def parts(iu_xray: Path) -> dict[str, list[Study]]:
    """Studies that coders have read, outside and inside the R2Gen test split."""
    splits = json.loads((iu_xray / "annotation.json").read_text())
    test = {re.match(r"CXR(\d+)", study["id"])[1] for study in splits["test"]}  # type: ignore[index]
    with (iu_xray / "openi_gold_labels.csv").open(newline="") as file:
        gold = {row["filename"].removeprefix("CXR"): row for row in csv.DictReader(file)}
    found: dict[str, list[Study]] = {"development": [], "test": []}
    with (iu_xray / "indiana_reports.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            text = f"{row['findings']} {row['impression']}".strip()
            if text and row["MeSH"] != "No Indexing":  # these were never coded
                part = "test" if row["uid"] in test else "development"
                found[part].append(Study(text, gold[row["uid"]]))
    return found


@pytest.fixture(scope="module")
def scores(parts: dict[str, list[Study]]) -> dict[str, dict[str, Counts]]:
    scores = {
        part: {reading: count(studies, answer) for reading, answer in READINGS.items()}
        for part, studies in parts.items()
    }
    for part, readings in scores.items():
        print(f"\n{part}: {len(parts[part])} studies")
        for reading, counts in readings.items():
            print(f"  {reading}: micro F1 {micro(counts):.3f}, ", end="")
            print(f"{micro(counts, without='normal'):.3f} without normal")
            for name, row in counts.items():
                print("    {:20} hits {:4} false {:3} missed {:3}".format(name, *row), end=" ")
                print(f"F1 {f1(*row):.3f}")
    return scores


@pytest.mark.parametrize("part", ["development", "test"])
def test_micro_f1(scores: dict[str, dict[str, Counts]], part: str) -> None:
    found = {reading: micro(counts) for reading, counts in scores[part].items()}
    assert max(found["uncertain as absent"], found["uncertain as present"]) >= 0.90
    assert found["uncertain left out"] >= 0.95


def test_every_class_where_the_labeler_is_sure(scores: dict[str, dict[str, Counts]]) -> None:
    for name, row in scores["development"]["uncertain left out"].items():
        assert f1(*row) >= 0.75, name


def test_the_map_names_observations() -> None:
    assert {observation for _, observation, _ in MAP.values()} <= set(OBSERVATIONS)
