"""Studies, their graphs and what was left out, without what tells whose they are."""

from kia.data.deidentify import Deidentifier, PersonalDetails
from kia.data.deidentify.graphs import clean_graph
from kia.imaging.workers import Reject
from kia.knowledge.masks.text import align
from kia.knowledge.radgraph import Entity, ReportGraph, tokenise
from kia.studies import Study, StudyImage

KEY = b"0123456789abcdefghijklmnopqrstuv"
IMAGES = (StudyImage("/data/Jane Okonkwo/x.png", "frontal"),)
REPORT = "Dr. Okonkwo saw a small effusion on 3/14/2021. No pneumothorax."


def study(**changes) -> Study:
    sections = {"findings": REPORT, "comparison": "9/27", "history": "93-year-old, MRN 4471829."}
    values = {"sections": sections, "patient": "p-okonkwo", **changes}
    return Study("okonkwo-1", "train", IMAGES, REPORT, **values)


def graph_of(text: str, *entities: tuple[str, str]) -> ReportGraph:
    tokens = tokenise(text)
    return ReportGraph(
        " ".join(tokens),
        {
            str(number): Entity(word, label, tokens.index(word), tokens.index(word))
            for number, (word, label) in enumerate(entities, start=1)
        },
    )


def test_report_sections_and_ids_are_clean():
    clean = Deidentifier(KEY).study(study())
    assert clean.report == "Dr. ___ saw a small effusion on ___. No pneumothorax."
    assert clean.sections["findings"] == clean.report
    assert clean.sections["comparison"] == "___"  # a date: so says the heading
    assert clean.sections["history"] == "___-year-old, MRN ___."
    for canary in ("okonkwo", "4471829", "9/27", "data"):
        assert canary not in repr(clean).lower()


def test_files_that_were_left_out_lose_their_names_and_views_keep_their_source():
    image = StudyImage("/data/Jane Okonkwo/x.dcm", "lateral", "view code")
    left_out = (("/data/Jane Okonkwo/y.dcm", "a copy of another, /data/Jane Okonkwo/x.dcm"),)
    clean = Deidentifier(KEY).study(Study("1", "test", (image,), "", left_out=left_out))
    assert (clean.images[0].view, clean.images[0].view_source) == ("lateral", "view code")
    ((name, why),) = clean.left_out
    assert len(name) == 32
    assert why == "a copy of another, ___"
    assert "konkwo" not in repr(clean)


def test_details_are_counted_by_kind_and_never_told():
    deidentifier = Deidentifier(KEY)
    deidentifier.study(study())
    deidentifier.study(Study("2", "val", IMAGES, "Clear lungs."))
    assert deidentifier.details.counts == {
        "name": 1,
        "date": 2,
        "age over 89": 1,
        "record number": 1,
    }
    assert "in 1 of 2 studies" in str(deidentifier.details)
    assert "2 dates, 1 name" in str(deidentifier.details)
    assert "konkwo" not in str(deidentifier.details)


def test_counting_changes_nothing():
    details = PersonalDetails()
    assert details.see(study()) == study()
    assert details.counts["date"] == 2


def test_a_graph_moves_with_its_text():
    graph = graph_of(REPORT, ("effusion", "OBS-DP"), ("pneumothorax", "OBS-DA"))
    clean = Deidentifier(KEY).study(study(graph=graph.to_record()))
    assert clean.graph is not None
    moved = ReportGraph.from_record(dict(clean.graph))  # checks that tokens are where it says
    assert moved.text == "Dr . ___ saw a small effusion on ___ . No pneumothorax ."
    assert [entity.tokens for entity in moved.entities.values()] == ["effusion", "pneumothorax"]
    assert None not in align(moved.text.split(), clean.report)


def test_an_entity_within_what_is_personal_goes_with_the_relations_to_it():
    entities = {
        "1": Entity("effusion", "OBS-DP", 0, 0, (("located_at", "2"), ("modify", "3"))),
        "2": Entity("Okonkwo", "ANAT-DP", 3, 3),
        "3": Entity("small", "OBS-DP", 5, 5),
    }
    graph = ReportGraph("effusion Dr . Okonkwo , small", entities)
    clean = clean_graph(graph, ["Okonkwo"])
    assert clean.text == "effusion Dr . ___ , small"
    assert clean.entities["1"].relations == (("modify", "3"),)
    assert set(clean.entities) == {"1", "3"}


def test_a_graph_of_more_than_the_study_keeps_is_searched_too():
    text = "Findings given to Dr. Bjornstad, 617-555-0143, a.b@example.org on 12/03/2019. No edema."
    clean = clean_graph(graph_of(text, ("edema", "OBS-DA")), [])
    assert clean.text == "Findings given to Dr . ___ , ___ , ___ on ___ . No edema ."
    assert ReportGraph.from_record(clean.to_record()) == clean


def test_a_graph_without_anything_personal_is_the_same():
    graph = graph_of("No pneumothorax at T11 / 12 .", ("pneumothorax", "OBS-DA"))
    assert clean_graph(graph, ["Smith", "12/03/2019"]) is graph


def test_what_was_left_out_keeps_its_reason_alone():
    deidentifier, name = Deidentifier(KEY), Deidentifier(KEY).named(study()).id
    path = IMAGES[0].path
    told = {
        Reject("okonkwo-1", "empty report"): "empty report",
        Reject("okonkwo-1 (Jane Okonkwo/x.png)", "Jane Okonkwo/x.png: no such image"): (
            "no such image"
        ),
        Reject("okonkwo-1", f"no image could be decoded: {path}: not a PNG"): (
            "no image could be decoded: ___: not a PNG"
        ),
        Reject("okonkwo-1 (frontal)", f"{path}: truncated, see x.png"): "___: truncated, see ___",
        Reject("okonkwo-1", "view 'Okonkwo' is neither frontal nor lateral"): (
            "is neither frontal nor lateral"
        ),
        Reject("okonkwo-1", "label Okonkwo=1: use a CheXpert observation with 1, 0 or -1"): (
            "use a CheXpert observation with 1, 0 or -1"
        ),
        Reject("okonkwo-1", "Okonkwo, never heard of"): (
            "refused (without --deidentify the reason is told in full)"
        ),
    }
    for reject, why in told.items():
        hidden = deidentifier.reject(reject, study())
        assert hidden.why == why
        assert hidden.what.startswith(name)
        assert "konkwo" not in repr(hidden)
        assert deidentifier.reject(reject).what == hidden.what
