"""Whether a report is in English; short English reports and anonymised ones are."""

import csv

import pytest

from kia.errors import UsageError
from kia.knowledge.graphs.rules import extract_graphs
from kia.knowledge.labels.label import label
from kia.knowledge.labels.rules import label_reports
from kia.knowledge.language import check_language, language_of, left_out

FOREIGN = [
    ("Kein Pneumothorax.", "de"),
    ("Kein Nachweis eines Pleuraergusses. Herz nicht vergrößert.", "de"),
    ("Herz grenzwertig groß, keine Stauung, kein Infiltrat.", "de"),
    ("Pas de pneumothorax.", "fr"),
    ("Silhouette cardiaque de taille normale. Pas d'épanchement pleural.", "fr"),
    ("Sin evidencia de neumotórax.", "es"),
    ("Silueta cardíaca de tamaño normal. No se observa derrame pleural.", "es"),
    ("Non si osservano versamenti. Ombra cardiaca nei limiti.", "it"),
    ("Lieve versamento pleurico a sinistra.", "it"),
    ("Não há derrame pleural. Área cardíaca normal.", "pt"),
    ("Geen pneumothorax. Geen pleuravocht.", "nl"),
    ("Hart niet vergroot, geen infiltraten in de longvelden.", "nl"),
    ("Inga tecken på pneumothorax.", "sv"),
    ("Brak zmian ogniskowych w płucach.", "pl"),
    ("Очаговых теней нет.", "other"),
    ("肺部清晰。", "other"),
]
ENGLISH = [
    "No pneumothorax",
    "Cardiomegaly",
    "PA and lateral",
    "XXXX XXXX.",
    "",
    "… ___",
    "Non-displaced rib fracture.",
    "ET tube in situ. DES in LAD. LA enlarged.",
    "OG tube. Post-op.",
    "Cor pulmonale; pectus excavatum; situs inversus.",
    "Discussed with Dr. de la Cruz and Dr. van der Berg.",
    "Naïve façade, Swan–Ganz 2 µm.",
    "Para-aortic density. Cardiomegaly per se. Hay fever.",
    "DIE LUNGS ARE CLEAR",
]


@pytest.mark.parametrize(("text", "code"), FOREIGN)
def test_other_languages_are_recognised(text, code):
    assert language_of(text) == code
    assert language_of(text.upper()) == code


@pytest.mark.parametrize("text", ENGLISH)
def test_english_reports_are_taken_for_english(text):
    assert language_of(text) == "en"


@pytest.mark.iu_xray
def test_no_report_of_iu_xray_is_taken_for_another_language(iu_xray):
    with (iu_xray / "indiana_reports.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    texts = [row[part] for row in rows for part in ("findings", "impression")]
    assert len(texts) > 7000
    assert [text for text in texts if language_of(text) != "en"] == []


def test_other_languages_have_no_labels_and_no_graph_unless_they_are_meant():
    german = "Kein Pneumothorax."
    assert set(label_reports([german])[0].values()) == {None}
    assert extract_graphs([german])[0].entities == {}
    assert extract_graphs([german])[0].text == "Kein Pneumothorax ."
    for language in ("de", "any"):
        assert label([german], language)[0]["Pneumothorax"] == 1  # by the rules of English
        assert extract_graphs([german], language)[0].entities
    assert set(label([german], "fr")[0].values()) == {None}
    assert label(["No pneumothorax."], "fr")[0]["Pneumothorax"] == 0


def test_an_unknown_language_is_refused():
    with pytest.raises(UsageError, match="the language 'xx' is not known; known are en, any, de"):
        check_language("xx")


def test_what_is_left_out_is_counted():
    assert left_out(["fr", "de", "de"]) == "2 German, 1 French"
    assert left_out([]) == ""
