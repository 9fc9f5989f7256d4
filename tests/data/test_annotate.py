"""Labels, graphs and landmarks of studies, in one process and in several."""

import dataclasses

from kia.data.annotate import annotated
from kia.knowledge.graphs.rules import extract_graphs
from kia.studies import Study

REPORTS = ("Mild edema in the left lung.", "No pleural effusion. The heart is large.", "", "Clear.")


def studies(count: int) -> list[Study]:
    return [Study(f"s{n}", "train", (), REPORTS[n % len(REPORTS)]) for n in range(count)]


def test_the_number_of_processes_does_not_matter():
    one = list(annotated(studies(300)))
    assert list(annotated(studies(300), workers=2)) == one
    edema, effusion, empty, _ = one[:4]
    assert edema.labels is not None and edema.labels["Edema"] == 1
    assert effusion.labels is not None and effusion.labels["Pleural Effusion"] == 0
    assert edema.graph is not None and edema.graph["text"].startswith("Mild edema")
    assert (empty.labels, empty.graph, empty.landmarks) == (None, None, None)


def test_files_stand_in_for_the_tools_and_own_labels_stay():
    graph = extract_graphs([REPORTS[0]])[0]
    given, own, absent = {"Edema": 0}, {"Edema": -1}, {"Edema": 1}
    first, second, third = studies(2) + studies(1)
    second = dataclasses.replace(second, labels=own)
    third = dataclasses.replace(third, id="s9")
    found = list(annotated([first, second, third], {"s0": given, "s1": absent}, {"s0": graph}))
    assert [study.labels for study in found] == [given, own, None]
    assert [study.graph for study in found] == [graph.to_record(), None, None]


def test_reports_in_other_languages_get_nothing_from_the_built_in_tools():
    english, german = studies(2)
    german = dataclasses.replace(german, report="Kein Pneumothorax, kein Erguss.")
    first, second = annotated([english, german])
    assert first.labels is not None and first.graph is not None
    assert (second.labels, second.graph) == (None, None)
