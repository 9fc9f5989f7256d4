"""Which landmarks a report mentions: the rules of the lexicon, and 100 reports read by hand."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kia.knowledge.atlas.landmarks import LANDMARKS, mentioned_landmarks

FIXTURE = Path(__file__).parent / "fixtures" / "landmark-mentions.json"


def both(name: str) -> list[str]:
    return [f"right {name}", f"left {name}"]


AORTA = ["aortic arch", "descending aorta"]
CASES = [
    # words and synonyms
    ("The lungs are clear.", both("lung")),
    ("No acute cardiopulmonary abnormality.", [*both("lung"), "cardiac silhouette"]),
    ("Cardiomediastinal silhouette normal.", ["mediastinum", "cardiac silhouette"]),
    ("Cardio mediastinal silhouette normal.", ["mediastinum", "cardiac silhouette"]),
    ("Stable cardiomegaly.", ["cardiac silhouette"]),
    ("Right heart border obscured.", ["cardiac silhouette"]),
    ("Cardiac monitor leads.", ["cardiac silhouette"]),
    ("Retrocardiac opacity.", ["cardiac silhouette"]),
    ("Prosthetic aortic valve.", ["cardiac silhouette"]),
    ("Widened superior mediastinum.", ["upper mediastinum"]),
    ("Tortuous thoracic aorta.", AORTA),
    ("The aortic knob is calcified.", ["aortic arch"]),
    ("Ectatic descending thoracic aorta.", ["descending aorta"]),
    ("Calcified abdominal aorta.", ["abdomen"]),
    ("Trachea is midline.", ["trachea"]),
    ("Endotracheal tube above the carina.", ["trachea", "carina"]),
    ("Calcified subcarinal nodes.", ["carina"]),
    ("PICC tip in the distal SVC.", ["svc"]),
    ("Tip at the SVC/RA junction.", ["cavoatrial junction"]),
    ("Tip at the caval atrial junction.", ["cavoatrial junction"]),
    ("Tip in the right atrium.", ["right atrium"]),
    ("Left atrial enlargement.", ["cardiac silhouette"]),
    ("T-spine osteophytes.", ["spine"]),
    ("Degenerative disc disease.", ["spine"]),
    ("Prominent pulmonary arteries.", both("hilar structures")),
    ("Biapical scarring.", both("apical zone")),
    ("Sulci are sharp.", both("costophrenic angle")),
    ("CP angles are sharp.", both("costophrenic angle")),
    ("Flattened diaphragms.", both("hemidiaphragm")),
    ("Free subdiaphragmatic air.", both("hemidiaphragm")),
    ("Acromioclavicular arthritis.", both("clavicle")),
    ("Upper abdomen unremarkable.", both("upper abdomen")),
    ("Free intraperitoneal air.", ["abdomen"]),
    ("Gas in the stomach.", ["left upper abdomen"]),
    ("Azygos lobe.", ["right upper lung zone"]),
    ("RUL nodule, LLL scar.", ["right upper lung zone", "left lower lung zone"]),
    # no mention
    ("No pleural effusion or pneumothorax.", []),
    ("No focal airspace consolidation.", []),
    ("Bony thorax and ribs intact. Median sternotomy. XXXX.", []),
    ("Apical lordotic view of the chest.", []),
    ("Scoliosis; degenerative changes at T12.", []),
    ("Subclavian line, nasogastric tube.", []),
    ("", []),
    # sides
    ("Left base atelectasis.", ["left lower lung zone"]),
    ("Left lung base atelectasis.", ["left lower lung zone"]),
    ("Atelectasis at the base of the left lung.", ["left lower lung zone"]),
    ("Bibasilar atelectasis.", both("lower lung zone")),
    ("Bases clear.", both("lower lung zone")),
    ("Opacities in the bases, left worse than right.", both("lower lung zone")),
    ("Right greater than left basilar opacities.", both("lower lung zone")),
    ("Left small apical pneumothorax.", ["left apical zone"]),
    ("Right-sided perihilar opacity.", ["right hilar structures"]),
    ("Opacity in the perihilar right lung.", ["right lung", "right hilar structures"]),
    ("Blunted costophrenic angle on the left.", ["left costophrenic angle"]),
    ("Left effusion with basilar atelectasis.", both("lower lung zone")),
    ("Left pleural effusion and basilar atelectasis.", both("lower lung zone")),
    ("Bilateral hilar adenopathy.", both("hilar structures")),
    ("Both hemidiaphragms are flat.", both("hemidiaphragm")),
    ("Right paratracheal stripe.", ["trachea"]),
    ("Trachea shifts rightward; hilar nodes.", ["trachea", *both("hilar structures")]),
    # levels and lists
    ("Right upper lobe granuloma.", ["right upper lung zone"]),
    ("Left midlung granuloma.", ["left mid lung zone"]),
    ("Mid right lung scar.", ["right mid lung zone"]),
    ("Middle lobe collapse.", ["right mid lung zone"]),
    ("Lingular scar.", ["left mid lung zone"]),
    ("Left upper and lower lobes.", ["left upper lung zone", "left lower lung zone"]),
    ("Left upper and right lower lobes.", ["left upper lung zone", "right lower lung zone"]),
    ("Right middle and lower lobes.", ["right mid lung zone", "right lower lung zone"]),
    ("Left lower lobe and lingula.", ["left lower lung zone", "left mid lung zone"]),
    ("Right apex and base.", ["right apical zone", "right lower lung zone"]),
    (
        "Right apex, hilum, and base.",
        ["right apical zone", "right hilar structures", "right lower lung zone"],
    ),
    ("Right hilum and lung bases.", ["right hilar structures", *both("lower lung zone")]),
    ("Upper and lower thoracic spine.", ["spine"]),
    ("Lower lung volumes.", both("lung")),
    ("Pulmonary nodule in the right upper lobe.", [*both("lung"), "right upper lung zone"]),
]


@pytest.mark.parametrize(("text", "names"), CASES, ids=[text for text, _ in CASES])
def test_a_sentence_mentions(text, names):
    assert set(mentioned_landmarks(text)) == set(names)


def test_case_and_line_breaks_do_not_matter():
    expected = ("left lower lung zone",)
    for text in ("LEFT LOWER LOBE", "left\n  lower\tlobe", "Left Lower-Lobe"):
        assert mentioned_landmarks(text) == expected


def test_every_landmark_is_found_by_its_own_name():
    for name in LANDMARKS:
        assert mentioned_landmarks(f"The {name} is seen.") == (name,)


@settings(max_examples=100, deadline=None)
@given(st.text() | st.lists(st.sampled_from(" ".join(t for t, _ in CASES).split())).map(" ".join))
def test_any_text_gives_landmarks_in_their_order_once(text):
    found = mentioned_landmarks(text)
    assert list(found) == [name for name in LANDMARKS if name in set(found)]


@pytest.mark.parametrize(
    "unit",
    ["upper ", "left ", "upper and ", "lung ", "a", "left a than ", "base of the ", " ", "\0"],
)
def test_long_reports_take_linear_time(unit):
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        start = time.process_time()
        mentioned_landmarks(text)
        return time.process_time() - start

    seconds(1000)
    assert seconds(200_000) < 60 * max(seconds(10_000), 0.001)  # 20 times the text


def test_100_reports_read_by_hand(iu_xray):
    # annotated from the written rules alone, without seeing the program or its output
    annotated = json.loads(FIXTURE.read_text(encoding="utf-8"))
    splits = json.loads((iu_xray / "annotation.json").read_text(encoding="utf-8"))
    reports = {study["id"]: study["report"] for part in splits.values() for study in part}
    assert len(annotated) == 100
    hits = extra = missed = 0
    for study, names in annotated.items():
        found = set(mentioned_landmarks(reports[study]))
        hits += len(found & set(names))
        extra += len(found - set(names))
        missed += len(set(names) - found)
    assert 2 * hits / (2 * hits + extra + missed) >= 0.95
