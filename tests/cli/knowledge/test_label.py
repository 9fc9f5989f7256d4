"""`kia knowledge label` as its user meets it."""

import json

import pytest

from kia.knowledge.chexpert import OBSERVATIONS, read_labels

LINES = "The heart is enlarged.\n\nPossible pneumonia, no effusion.\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports.txt").write_text(LINES, encoding="utf-8")
    return tmp_path


def stated(path):
    return {
        key: {name: value for name, value in labels.items() if value is not None}
        for key, labels in read_labels(path).items()
    }


def test_lines_of_a_text_file(kia_command, folder):
    code, printed, _ = kia_command("knowledge", "label", "reports.txt", "--out", "o/labels.csv")
    assert code == 0 and "3 reports" in printed and "wrote o/labels.csv" in printed
    header, first, *_ = (folder / "o" / "labels.csv").read_text().splitlines()
    assert header == "id," + ",".join(OBSERVATIONS)
    assert first == "1,,1,,,,,,,,,,,,"
    assert stated("o/labels.csv") == {
        "1": {"Cardiomegaly": 1},
        "2": {},
        "3": {"Pneumonia": -1, "Pleural Effusion": 0},
    }


def test_a_column_of_a_csv(kia_command, folder):
    (folder / "a.csv").write_text('study_id,words\ns7,"No edema,\nclear lungs."\ns8,\n')
    assert kia_command("knowledge", "label", "a.csv", "--out", "o.csv", "--column", "words")[0] == 0
    assert stated("o.csv") == {"s7": {"Edema": 0, "Lung Opacity": 0, "No Finding": 1}, "s8": {}}


def test_a_folder_of_files(kia_command, folder):
    (folder / "in" / "p1").mkdir(parents=True)
    (folder / "in" / "p1" / "s1.txt").write_text("HISTORY: CHF\n\nFINDINGS: Rib fracture.\n")
    assert kia_command("knowledge", "label", "in", "--out", "o.csv")[0] == 0
    assert stated("o.csv") == {"p1/s1": {"Fracture": 1}}


def test_counts_as_json(kia_command, folder):
    words = ("knowledge", "label", "reports.txt", "--out", "o.csv", "--json", "c.json")
    assert kia_command(*words)[0] == 0
    counts = json.loads((folder / "c.json").read_text())
    assert counts["reports"] == 3
    assert list(counts["observations"]) == list(OBSERVATIONS)
    expected = {"present": 0, "uncertain": 1, "absent": 0, "unmentioned": 2}
    assert counts["observations"]["Pneumonia"] == expected


def test_explain_prints_sentence_phrase_and_rule(kia_command, folder):
    (folder / "a.csv").write_text("id,report\n[red],Clear. No new effusion [/x].\nb,Hello.\n")
    code, printed, _ = kia_command("knowledge", "label", "a.csv", "--out", "o.csv", "--explain")
    assert code == 0
    assert "[red]" in printed.splitlines()
    (line,) = (line for line in printed.splitlines() if "negation: no" in line)
    for part in ("Pleural Effusion", " 0 ", " effusion ", "No new effusion [/x]."):
        assert part in line
    assert "nothing abnormal is stated" in printed
    assert "nothing is mentioned" in printed


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["none.txt", "--out", "o.csv"], 1, "no such file"),
        (["reports.txt", "--out", "."], 2, "--out . is a folder"),
        (["reports.txt", "--out", "o.csv", "--json", "."], 2, "--json . is a folder"),
        (["reports.txt", "--out", "reports.txt"], 2, "name another"),
        (["reports.txt", "--out", "o.csv", "--column", "a"], 2, "--report-column"),
        (["reports.txt", "--out", "o.csv", "--labeler", "chexbert"], 2, "--weights FILE"),
        (["reports.txt", "--out", "o.csv", "--weights", "a"], 2, "--labeler chexbert"),
        (
            ["reports.txt", "--out", "o.csv", "--labeler", "chexbert", "--weights", "a"],
            *(1, "no such file"),
        ),
        (
            ["reports.txt", "--out", "o", "--labeler", "chexbert", "--weights", "a", "--explain"],
            *(2, "gives no reasons"),
        ),
    ],
)
def test_wrong_use_is_one_line(one_line, folder, words, code, said):
    assert said in one_line(code, "knowledge", "label", *words)
    assert (folder / "reports.txt").read_text() == LINES
    assert [path.name for path in folder.iterdir()] == ["reports.txt"]


def test_chexbert_labels_with_the_user_s_weights(kia_command, folder, monkeypatch):
    """What its labels are is tested with the model; here that they reach the file."""

    class Model:
        def label_reports(self, texts, advance):
            advance(len(texts))
            return [dict.fromkeys(OBSERVATIONS) | {"Edema": -1} for _ in texts]

    monkeypatch.setattr("kia.models.chexbert.load_chexbert", lambda weights: Model())
    words = ("knowledge", "label", "reports.txt", "--out", "o.csv", "--labeler", "chexbert")
    assert kia_command(*words, "--weights", "w.pth")[0] == 0
    assert stated("o.csv") == {key: {"Edema": -1} for key in "123"}


def test_reports_in_other_languages_are_left_out_with_a_line_and_a_count(kia_command, folder):
    (folder / "mixed.txt").write_text("No edema.\nKein Pneumothorax.\nPas de pneumothorax.\n")
    command = ("knowledge", "label", "mixed.txt", "--out", "l.csv", "--json", "l.json")
    code, printed, said = kia_command(*command)
    assert code == 0 and "3 reports" in printed
    assert "2 of 3 reports are not in English (1 German, 1 French) and are left out" in said
    assert stated("l.csv") == {"1": {"Edema": 0, "No Finding": 1}, "2": {}, "3": {}}
    assert json.loads((folder / "l.json").read_text())["left_out"] == {"de": 1, "fr": 1}
    code, _, said = kia_command(*command, "--language", "any")
    assert code == 0 and "not in English" not in said
    assert stated("l.csv")["2"] == {"Pneumothorax": 1}  # by the rules of English
    code, _, said = kia_command(*command, "--language", "de")
    assert "1 of 3 reports" in said and stated("l.csv")["3"] == {}


def test_an_unknown_language_is_one_line(kia_command, folder):
    command = ("knowledge", "label", "reports.txt", "--out", "l.csv", "--language", "klingon")
    code, _, said = kia_command(*command)
    assert code != 0 and "the language 'klingon' is not known" in said
