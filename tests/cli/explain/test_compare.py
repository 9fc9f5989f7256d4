"""`kia explain compare`, `match` and `gallery` as a user meets them."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from kia.data.store.dataset import PreparedDataset
from kia.explain.match import PAIRS, match_scores
from kia.explain.words import other_studies
from kia.generation import dataset_inputs, load_model
from kia.matching import matching_degree


@pytest.fixture(scope="module")
def model(make_model, tmp_path_factory):
    """With room for the label report."""
    return make_model(tmp_path_factory.mktemp("compare") / "model", positions=160)


@pytest.fixture
def reports(tmp_path):
    """Three studies; the other system lacks one."""
    references = {"a": "Heart size is normal. No effusion.", "b": "The lungs are clear.", "c": "X."}
    systems = {
        "ours": {"a": "The heart is normal. Left effusion.", "b": "Lungs are clear.", "c": "X."},
        "other": {"b": "Left lower lobe opacity.", "a": "No effusion."},
    }
    files = {}
    for name, found in {"references": references, **systems}.items():
        files[name] = tmp_path / f"{name}.jsonl"
        lines = (json.dumps({"id": id, "report": text}) for id, text in found.items())
        files[name].write_text("\n".join(lines))
    return {name: str(file) for name, file in files.items()}


def test_systems_stand_beside_the_reference(reports, tmp_path, kia_command):
    page, picture, numbers = (tmp_path / "new" / f"c.{kind}" for kind in ("html", "png", "json"))
    code, out, err = kia_command(
        *("explain", "compare", reports["ours"], f"gpt4={reports['other']}"),
        *("--references", reports["references"], "--html", str(page)),
        *("--out", str(picture), "--json", str(numbers)),
    )
    assert code == 0, err
    assert "gpt4 lacks 1 of the 3 references" in err
    assert "Left effusion. [≠2 presence]" in out and "Lungs are clear. [1]" in out
    found = json.loads(numbers.read_text())
    assert found["studies"] == 2
    assert found["sentences"]["a"]["ours"] == [
        {"same": [1], "against": {}},
        {"same": [], "against": {"2": "presence"}},
    ]
    ours, other = found["scores"]["ours"], found["scores"]["gpt4"]
    assert ours["said"]["share"] == pytest.approx(2 / 3)  # of three sentences
    assert other["contradicting"]["share"] == pytest.approx(1 / 2)
    assert "heart" not in numbers.read_text().lower()
    html = page.read_text()
    assert html.count("background:#77AADD") == 4 and "patient data" in html
    drawn = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    assert drawn.shape[1] > 1200
    for colour in ((0x77, 0xAA, 0xDD), (0xEE, 0x88, 0x66), (0xA4, 0x0E, 0x26)):
        assert (np.abs(drawn - colour).sum(-1) < 10).sum() > 100


def test_only_the_studies_that_are_asked_for_are_shown(reports, kia_command, one_line):
    words = ("explain", "compare", reports["ours"], "--references", reports["references"])
    code, out, _ = kia_command(*words, "--id", "b")
    assert code == 0 and "Lungs are clear" in out and "Left effusion" not in out
    assert "no such reference" in one_line(1, *words, "--id", "z")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("OURS",), "name the references"),
        (("OURS", "--references", "REFERENCES", "--data", "DATA"), "not both"),
        (("OURS", "OURS", "--references", "REFERENCES"), "a name of its own"),
        (("OURS", "--references", "REFERENCES", "--html", "a.pdf"), "ends in .html"),
        (("OURS", "--references", "REFERENCES", "--out", "a.svg"), "ends in .png"),
        (("OURS", "--data", "DATA", "--split", "dev"), "train, val or test"),
    ],
)
def test_wrong_usage_of_compare_is_one_line(words, said, reports, data, one_line):
    known = {"OURS": reports["ours"], "REFERENCES": reports["references"], "DATA": str(data)}
    assert said in one_line(2, "explain", "compare", *(known.get(word, word) for word in words))


def test_reports_of_another_split_are_one_line(reports, data, one_line):
    line = one_line(1, "explain", "compare", reports["ours"], "--data", str(data))
    assert "is it the split?" in line


def test_matching_degrees_of_a_split_are_those_of_each_pair(
    model, data, tmp_path, kia_command, monkeypatch
):
    dataset = PreparedDataset.open(data)
    studies = dataset.indices("train")
    texts = [dataset.study(int(study)).report for study in studies]
    written = [f"{text} No fracture." for text in texts[:-1]] + [texts[-1].upper()]
    predictions, file = tmp_path / "p.jsonl", tmp_path / "m.json"
    ids = dataset.ids("train")
    lines = (json.dumps({"id": id, "report": r}) for id, r in zip(ids, written, strict=True))
    predictions.write_text("\n".join(lines))
    picture = tmp_path / "new" / "m.png"
    words = ("explain", "match", str(model), "--data", str(data), "--split", "train")
    words = (*words, "--predictions", str(predictions), "--json", str(file), "--out", str(picture))
    code, out, err = kia_command(*words)
    assert code == 0, err
    assert "the same with another study's image" in out
    found = json.loads(file.read_text())
    loaded, processor = load_model(model)
    others = other_studies(dataset, studies)
    for place in (0, len(ids) - 1):
        own, other = studies[[place]], others[[place]]
        pairs = [
            (own, texts[place]),
            (own, written[place]),
            (own, dataset.study(int(other[0])).report),
            (other, texts[place]),
            (other, written[place]),
        ]
        for name, (image, text) in zip(PAIRS, pairs, strict=True):
            inputs = dataset_inputs(dataset, processor, image)
            expected = matching_degree(loaded, processor, inputs, [text]).item()
            assert found["each"][place][name] == pytest.approx(expected, abs=1e-5)
    last = found["each"][-1]
    assert last["reference"] == last["generated"]  # the model reads the same
    preferred = [o["id"] for o in found["each"] if o["reference"] > o["generated"]]
    assert sorted(found["prefers_reference"]) == sorted(preferred) and ids[-1] not in preferred
    assert found["share"]["prefers_reference"]["share"] == len(preferred) / len(ids)
    assert "fracture" not in file.read_text().lower()
    assert np.asarray(Image.open(picture).convert("L")).std() > 10
    kia_command(*words, "--texts")
    assert json.loads(file.read_text())["each"][0]["generated_report"] == written[0]


def test_shares_of_matching_degrees_are_counted_by_hand():
    degrees = np.array(
        [  # reference, generated, another, the first two elsewhere
            [0.9, 0.1, 0.2, 0.3, 0.4],
            [0.6, 0.6, 0.7, 0.2, 0.1],
            [0.4, 0.3, 0.1, 0.2, 0.2],
            [0.8, 0.9, 0.5, 0.6, 0.7],
        ]
    )
    found = match_scores(degrees)
    shares = {name: one["share"] for name, one in found["share"].items()}
    assert shares == {
        "prefers_reference": 0.5,
        "prefers_reference_elsewhere": 0.25,
        "reference_matches_alone": 0.25,
        "reference_beats_another": 0.75,
        "generated_beats_another": 0.5,
    }
    assert found["mean"]["reference"] == pytest.approx(0.675)


def test_one_study_is_matched_with_reports(model, pictures, tmp_path, kia_command, one_line):
    report, file = tmp_path / "r.txt", tmp_path / "m.json"
    report.write_text("The heart is large.")
    words = ("explain", "match", str(model), *pictures[0], "--report", str(report))
    code, _, err = kia_command(*words, "--report", "generated", "--json", str(file))
    assert code == 0, err
    found = json.loads(file.read_text())
    assert [one["report"] for one in found] == [str(report), "generated"]
    loaded, processor = load_model(model)
    inputs = processor(pictures[0])
    expected = matching_degree(loaded, processor, inputs, ["The heart is large."]).item()
    assert found[0]["match"] == pytest.approx(expected, abs=1e-5)
    assert "with --data" in one_line(2, *words, "--texts")


def test_predictions_that_lack_studies_are_one_line(model, data, reports, one_line):
    words = ("explain", "match", str(model), "--data", str(data))
    assert "is it of this split?" in one_line(1, *words, "--predictions", reports["ours"])
    assert "not both" in one_line(2, "explain", "match", str(model))


def test_a_model_without_match_is_one_line(model, data, one_line, monkeypatch, reports):
    import kia.generation

    load = kia.generation.load_model

    def without(source):
        loaded, processor = load(source)
        loaded.config.tasks = ["rg"]
        return loaded, processor

    monkeypatch.setattr(kia.generation, "load_model", without)
    words = ("explain", "match", str(model), "--data", str(data), "--split", "val")
    assert "tasks.irm.weight" in one_line(1, *words)


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [None, ["rg"]])
def test_the_gallery_has_every_figure_that_the_model_can_show(
    tasks, model, data, reports, tmp_path, kia_command, monkeypatch
):
    import kia.generation

    load = kia.generation.load_model

    def some(source):
        loaded, processor = load(source)
        loaded.config.tasks = tasks or loaded.config.tasks
        return loaded, processor

    monkeypatch.setattr(kia.generation, "load_model", some)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    page = tmp_path / "new" / "g.html"
    code, _, err = kia_command(
        *("explain", "gallery", str(model), "--data", str(data), "--split", "train"),
        *("--count", "2", "--reports", f"gpt4={reports['ours']}", "--out", str(page)),
    )
    assert code == 0, err
    text = page.read_text()
    assert "patient data" in text and text.count("<h2>") == 2 and text.count("gpt4") == 2
    assert not re.search(r'(?:src|href)="(?!data:image/|#s\d)', text) and "<script" not in text
    left_out = re.findall(r"Left out: ([^<]*)", text)
    pictures = text.count('src="data:image/webp')
    if tasks:
        wanted = ("masked language", "masked image", "image-report matching", "contrast")
        assert all(any(why in line for line in left_out) for why in wanted)
        assert pictures == 1 + 2 * 2  # landmarks; sentences and masked versions of each study
    else:
        assert all("cardiac silhouette" in line for line in left_out)
        assert pictures == 1 + 2 * 6 - len(left_out)
        assert text.count("words hidden") == 4 and "this study's image" in text


def test_wrong_usage_of_the_gallery_is_one_line(model, data, one_line):
    words = ("explain", "gallery", str(model), "--data", str(data))
    assert "ends in .html" in one_line(2, *words, "--out", "a.pdf")
    assert "train, val or test" in one_line(2, *words, "--split", "dev")
