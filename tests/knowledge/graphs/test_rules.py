"""The built-in extractor: sentences of our own, read by the scheme of the annotations."""

import time
from importlib import resources
from itertools import pairwise

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kia.knowledge.graphs.lexicon import ENTITY_ROLES, lines
from kia.knowledge.graphs.rules import extract_graphs
from kia.knowledge.radgraph import ReportGraph, tokenise


def read(text):
    """{entity: label} and {"source relation target"} of a report."""
    graph = extract_graphs([text])[0]
    names = {key: entity.tokens for key, entity in graph.entities.items()}
    return (
        {entity.tokens: entity.label for entity in graph.entities.values()},
        {
            f"{e.tokens} {r} {names[target]}"
            for e in graph.entities.values()
            for r, target in e.relations
        },
    )


# Sentence, entities by label (ANAT-DP, OBS-DP, OBS-U, OBS-DA), relations. A | parts entities.
CASES = [
    # the scheme's own examples
    (
        "Mild left basilar atelectasis.",
        ("left | basilar", "Mild | atelectasis", "", ""),
        "Mild modify atelectasis | left modify basilar | atelectasis located_at basilar",
    ),
    (
        "Heart size is normal.",
        ("Heart | size", "normal", "", ""),
        "size modify Heart | normal located_at Heart",
    ),
    (
        "The cardiomediastinal silhouette is within normal limits.",
        ("cardiomediastinal | silhouette", "within normal limits", "", ""),
        "silhouette modify cardiomediastinal | within normal limits located_at cardiomediastinal",
    ),
    (
        "Osseous structures are intact.",
        ("Osseous | structures", "intact", "", ""),
        "Osseous modify structures | intact located_at structures",
    ),
    (
        "No acute cardiopulmonary abnormality.",
        ("cardiopulmonary", "", "", "acute | abnormality"),
        "acute modify abnormality | abnormality located_at cardiopulmonary",
    ),
    (
        "No effusion, consolidation or pneumothorax.",
        ("", "", "", "effusion | consolidation | pneumothorax"),
        "",
    ),
    (
        "Opacity suggesting pneumonia.",
        ("", "Opacity", "pneumonia", ""),
        "Opacity suggestive_of pneumonia",
    ),
    (
        "Scarring of the right upper and middle lobes.",
        ("right | upper | middle | lobes", "Scarring", "", ""),
        "right modify lobes | upper modify lobes | middle modify lobes | Scarring located_at lobes",
    ),
    (
        "Pleural effusion at the left base.",
        ("Pleural | left | base", "effusion", "", ""),
        "effusion located_at Pleural | effusion located_at base | left modify base",
    ),
    (
        "The heart and mediastinum are normal.",
        ("heart | mediastinum", "normal", "", ""),
        "normal located_at heart | normal located_at mediastinum",
    ),
    (
        "No focal airspace disease.",
        ("airspace", "", "", "focal | disease"),
        "focal modify disease | disease located_at airspace",
    ),
    (
        "Osseous and soft tissue structures are normal.",
        ("Osseous | soft tissue | structures", "normal", "", ""),
        "Osseous modify structures | soft tissue modify structures | normal located_at structures",
    ),
    (
        "Heart and mediastinal contours are normal.",
        ("Heart | mediastinal | contours", "normal", "", ""),
        "contours modify Heart | contours modify mediastinal | normal located_at Heart"
        " | normal located_at mediastinal",
    ),
    # certainty
    (
        "Pleural effusion is not seen.",
        ("Pleural", "", "", "effusion"),
        "effusion located_at Pleural",
    ),
    ("The pneumothorax has resolved.", ("", "", "", "pneumothorax"), ""),
    ("Endotracheal tube has been removed.", ("", "", "", "Endotracheal tube"), ""),
    ("Infection cannot be excluded.", ("", "", "Infection", ""), ""),
    (
        "No edema, but cardiomegaly is stable.",
        ("", "cardiomegaly | stable", "", "edema"),
        "stable modify cardiomegaly",
    ),
    (
        "No effusion but mild cardiomegaly.",
        ("", "mild | cardiomegaly", "", "effusion"),
        "mild modify cardiomegaly",
    ),
    (
        "There is no effusion, and the lungs are clear.",
        ("lungs", "clear", "", "effusion"),
        "clear located_at lungs",
    ),
    (
        "Lungs are clear without consolidation.",
        ("Lungs", "clear", "", "consolidation"),
        "clear located_at Lungs | consolidation located_at Lungs",
    ),
    (
        "The heart is not enlarged.",
        ("heart", "", "", "enlarged"),
        "enlarged located_at heart",
    ),
    (
        "No interval change in the right effusion.",
        ("right", "effusion", "", "interval | change"),
        "interval modify change | change modify effusion | effusion located_at right",
    ),
    ("Atelectasis versus pneumonia.", ("", "", "Atelectasis | pneumonia", ""), ""),
    ("Negative for pneumothorax.", ("", "", "", "pneumothorax"), ""),
    # sentences end at stops and blank lines, not at decimals or the ends of lines
    ("No effusion\n\nCardiomegaly", ("", "Cardiomegaly", "", "effusion"), ""),
    ("No effusion\nor edema", ("", "", "", "effusion | edema"), ""),
    ("No 2.5 cm nodule is seen.", ("", "", "", "nodule"), ""),
    # places
    (
        "Opacity in the left base consistent with atelectasis in the lingula.",
        ("left | base | lingula", "Opacity | atelectasis", "", ""),
        "Opacity located_at base | left modify base | Opacity suggestive_of atelectasis"
        " | atelectasis located_at lingula",
    ),
    (
        "Pleural effusions, left greater than right.",
        ("Pleural | left | right", "effusions | greater", "", ""),
        "effusions located_at Pleural | effusions located_at left | effusions located_at right"
        " | greater modify effusions",
    ),
    (
        "The effusion has decreased in size.",
        ("", "effusion | decreased | size", "", ""),
        "decreased modify effusion | size modify effusion",
    ),
    (
        "Lung volumes are lower.",
        ("Lung | volumes", "lower", "", ""),
        "volumes modify Lung | lower located_at Lung",
    ),
    (
        "Opacity in the lingula, not seen on the prior study.",
        ("lingula", "Opacity", "", ""),
        "Opacity located_at lingula",
    ),
    (
        "Unchanged position of the endotracheal tube.",
        ("", "Unchanged | position | endotracheal tube", "", ""),
        "Unchanged modify endotracheal tube | position modify endotracheal tube",
    ),
    (
        "Stable 8-mm calcified granuloma.",
        ("", "Stable | calcified | granuloma", "", ""),
        "Stable modify granuloma | calcified modify granuloma",
    ),
    # tubes, lines, intensive care
    (
        "ET tube terminates 2.5 cm above the carina.",
        ("carina", "ET tube", "", ""),
        "ET tube located_at carina",
    ),
    (
        "Nasogastric tube with tip in the stomach.",
        ("stomach", "Nasogastric tube | tip", "", ""),
        "tip modify Nasogastric tube | tip located_at stomach",
    ),
    (
        "Right internal jugular central venous catheter tip projects over the mid SVC.",
        ("Right | internal jugular | mid | SVC", "central venous catheter | tip", "", ""),
        "Right modify internal jugular | central venous catheter located_at internal jugular"
        " | tip modify central venous catheter | tip located_at SVC | mid modify SVC",
    ),
    (
        "Monitoring and support devices are unchanged.",
        ("", "Monitoring and support devices | unchanged", "", ""),
        "unchanged modify Monitoring and support devices",
    ),
    (
        "Pulmonary edema has worsened.",
        ("Pulmonary", "edema | worsened", "", ""),
        "edema located_at Pulmonary | worsened modify edema",
    ),
    # hedges that explain
    (
        "Bibasilar opacities likely represent mild atelectasis.",
        ("Bibasilar", "opacities", "mild | atelectasis", ""),
        "opacities located_at Bibasilar | opacities suggestive_of atelectasis"
        " | mild modify atelectasis",
    ),
    (
        "Opacity in the left lower lobe, likely pneumonia.",
        ("left | lower | lobe", "Opacity", "pneumonia", ""),
        "left modify lobe | lower modify lobe | Opacity located_at lobe"
        " | Opacity suggestive_of pneumonia",
    ),
    (
        "Flattened diaphragms consistent with emphysema.",
        ("diaphragms", "Flattened | emphysema", "", ""),
        "Flattened located_at diaphragms | Flattened suggestive_of emphysema",
    ),
    # words about the examination and headers are no entities
    ("PA and lateral views of the chest were obtained.", ("", "", "", ""), ""),
    (
        "INDICATION: pneumonia, effusion.\nFINDINGS: Clear lungs.",
        ("lungs", "Clear", "", ""),
        "Clear located_at lungs",
    ),
    # but what a heading names is what the statement is about
    (
        "FINDINGS: HEART: Mildly enlarged. Bones: Osteopenic.",
        ("HEART | Bones", "Mildly | enlarged | Osteopenic", "", ""),
        "Mildly modify enlarged | enlarged located_at HEART | Osteopenic located_at Bones",
    ),
]


def parts(text):
    return {part.strip() for part in text.split("|") if part.strip()}


@pytest.mark.parametrize(("text", "entities", "relations"), CASES, ids=[c[0] for c in CASES])
def test_a_sentence_is_read_as_the_scheme_says(text, entities, relations):
    labels = ("ANAT-DP", "OBS-DP", "OBS-U", "OBS-DA")
    expected = {
        name: label for label, names in zip(labels, entities, strict=True) for name in parts(names)
    }
    assert read(text) == (expected, parts(relations))


def test_the_case_of_words_does_not_matter():
    lower, upper = read("no acute pleural effusion."), read("NO ACUTE PLEURAL EFFUSION.")
    assert [{name.lower(): label for name, label in lower[0].items()}, lower[1]] == [
        {name.lower(): label for name, label in upper[0].items()},
        {line.replace(line.split()[0], line.split()[0].lower()).lower() for line in upper[1]},
    ]


def test_a_report_without_words_has_an_empty_graph():
    assert extract_graphs(["", " \n", "漢字"]) == [
        ReportGraph(""),
        ReportGraph(""),
        ReportGraph("漢字"),
    ]


def test_graphs_come_in_the_order_of_the_reports():
    texts = ["Effusion.", "", "Clear lungs."]
    assert [graph.text for graph in extract_graphs(texts)] == ["Effusion .", "", "Clear lungs ."]


VOCABULARY = """no left lung lungs heart size opacity effusion is are clear may represent with tip
in of and or , . : ; / ( ) FINDINGS INDICATION the to XXXX - change areas mild mildly lower versus
likely not seen which there 5th rib contours consistent lateral view small"""
WORDS = st.sampled_from([*VOCABULARY.split(), "\n", "\n\n"])


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.lists(WORDS, max_size=40).map(" ".join)))
@example("lung" * 9)
@example("opacity of large left size")
@example("left size of opacity")
@example("\x00\x1f\u2028\ud800 effusion")
@example("İstanbul opacity ﬁbrosis")
def test_any_text_gives_a_graph_that_reading_accepts(text):
    graph = extract_graphs([text])[0]
    assert graph.text == " ".join(tokenise(text))
    assert ReportGraph.from_record(graph.to_record()) == graph
    anatomy = {key for key, entity in graph.entities.items() if entity.label == "ANAT-DP"}
    for key, entity in graph.entities.items():
        for relation, target in entity.relations:
            source_and_target = (key in anatomy, target in anatomy)
            assert target != key
            if relation == "located_at":
                assert source_and_target == (False, True)
            else:
                assert source_and_target in ((False, False), (True, True))
            assert relation != "suggestive_of" or source_and_target == (False, False)


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, max_size=30).map(" ".join))
def test_entities_do_not_overlap(text):
    spans = sorted((e.start_ix, e.end_ix) for e in extract_graphs([text])[0].entities.values())
    assert all(end < start for (_, end), (start, _) in pairwise(spans))


@pytest.mark.slow  # it measures time
@pytest.mark.parametrize(
    "pattern",
    ["opacity, ", "left ", "mild ", "lung and ", "no ", "lung: ", "opacity suggests ", "x", "1.1"],
)
def test_the_time_grows_with_the_length_and_no_faster(pattern):
    def seconds(length):
        text = (pattern * length)[:length]
        times = []
        for _ in range(3):  # the fastest: a collection of garbage is none of the extractor's time
            start = time.process_time()
            extract_graphs([text])
            times.append(time.process_time() - start)
        return min(times)

    short, long = seconds(5_000), seconds(40_000)
    assert long < 24 * short + 0.1  # 8 times the text; a square would take 64 times as long


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["opacity, ", "lungs are clear of ", "\x00 é ", "left and "])
def test_a_megabyte_is_read(pattern):
    text = (pattern * 1_000_000)[:1_000_000]
    assert extract_graphs([text])[0].text.startswith(pattern.split()[0][:1])


@pytest.mark.slow
def test_a_megabyte_on_one_line_takes_ten_times_as_long_as_a_tenth():
    """1.7 s on free cores (docs/labeler.md); beside other work only the growth can be held."""
    text = ("no effusion or edema, heart normal with small left opacity and " * 16_000)[:1_000_000]
    times: dict[int, list[float]] = {100_000: [], 1_000_000: []}
    for _ in range(3):
        for length, taken in times.items():
            start = time.process_time()
            graph = extract_graphs([text[:length]])[0]
            taken.append(time.process_time() - start)
    assert len(graph.entities) > 100_000
    assert min(times[1_000_000]) < 25 * min(times[100_000])


@pytest.mark.parametrize("text", ["", " \n", "\x00\x1b\x07", "No edema.\n" * 20_000])
def test_any_report_has_a_graph(text):
    graph = extract_graphs([text])[0]
    assert {e.label for e in graph.entities.values()} <= {"OBS-DA"}


def test_every_word_of_the_lexicon_has_one_role():
    folder = resources.files("kia.knowledge.graphs")
    words = yaml.safe_load(folder.joinpath("words.yaml").read_text(encoding="utf-8"))
    cues = yaml.safe_load(folder.joinpath("cues.yaml").read_text(encoding="utf-8"))
    entries = [(word, role) for role in ENTITY_ROLES for word in words[role].split()]
    entries += [(line, role) for role, text in words["phrases"].items() for line in lines(text)]
    entries += [
        (line, role)
        for role, text in cues.items()
        if not role.endswith("_header")
        for line in lines(text)
    ]
    seen = {}
    for entry, role in entries:
        assert seen.setdefault(entry, role) == role, f"{entry}: {seen[entry]} and {role}"
        assert entry == entry.lower() and entry.split() == tokenise(entry), entry
