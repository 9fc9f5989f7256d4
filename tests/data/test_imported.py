"""Labels and graphs as the field's tools write them, joined to the studies of a data set.

Formats: `label.py` of github.com/stanfordmlgroup/chexpert-labeler (`Reports`, then the 14, written
by pandas, no ids); MIMIC-CXR-JPG 2.0.0's `mimic-cxr-2.0.0-chexpert.csv.gz` and `-metadata.csv.gz`;
RadGraph 1.0.0's `MIMIC-CXR_graphs.json` (physionet.org/content/radgraph); the package radgraph
0.1.18 (README: keys from "0", in the order of the reports).
"""

import gzip
import json
import warnings

import numpy as np
import pytest
from PIL import Image

from kia.data.imported import imported_graphs, imported_labels, read_metadata
from kia.data.store.dataset import PreparedDataset
from kia.errors import DataError
from kia.knowledge.chexpert import OBSERVATIONS
from kia.knowledge.graphs.rules import extract_graphs
from kia.knowledge.radgraph import ReportGraph
from kia.tables.notes import Note

# constants/constants.py of the labeler: CATEGORIES, in its order
CATEGORIES = (
    "No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Lesion,Lung Opacity,Edema,"
    "Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,"
    "Support Devices"
)
REPORTS = {
    "s50000001": "The heart is enlarged, no effusion.",
    "s50000002": 'Lungs are "clear".\nNo pneumothorax.',
    "s50000003": "Mild edema at both bases.",
}
TEXTS = tuple(REPORTS.values())
DICOM = "02aa804e-bde0afdd-112c0b34-7bc16630-4e384014"
OTHER = "174413ec-4ec4c1f7-34ea26b7-c5f994f8-79ef1962"


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


def table(path, reports=REPORTS, header="study_id,report"):
    rows = [f"{name},{quoted(text)}" for name, text in reports.items()]
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def labeler(path, texts=TEXTS):
    """The labeler's output: the n-th report has Cardiomegaly, an uncertain Edema …"""
    states = (["", "", "1.0"], ["1.0", "", ""], ["", "", "", "", "", "-1.0"])
    rows = []
    for text, state in zip(texts, states, strict=True):
        rows.append(",".join([quoted(text), *state, *[""] * (14 - len(state))]))
    path.write_text("\n".join([f"Reports,{CATEGORIES}", *rows]) + "\n", encoding="utf-8")
    return path


def stated(labels):
    return {name: {o: v for o, v in one.items() if v is not None} for name, one in labels.items()}


EXPECTED = {
    "s50000001": {"Cardiomegaly": 1},
    "s50000002": {"No Finding": 1},
    "s50000003": {"Edema": -1},
}


def test_rows_of_the_chexpert_labeler_are_those_of_its_table(tmp_path):
    labels = imported_labels(labeler(tmp_path / "l.csv"), REPORTS, table(tmp_path / "r.csv"))
    assert stated(labels) == EXPECTED
    assert list(labels["s50000001"]) == list(OBSERVATIONS)


def test_its_table_may_have_other_columns_and_without_it_the_option_is_named(tmp_path):
    own = table(tmp_path / "own.csv", header="Fallnummer,Befund")
    named = {"id": "Fallnummer", "report": "Befund"}
    labels = imported_labels(labeler(tmp_path / "l.csv"), REPORTS, own, named=named)
    assert stated(labels) == EXPECTED
    with pytest.raises(DataError, match=r"l\.csv has rows and no ids: --label-reports FILE"):
        imported_labels(labeler(tmp_path / "l.csv"), REPORTS)


def test_another_number_of_rows_is_refused(tmp_path):
    two = dict(list(REPORTS.items())[:2])
    with pytest.raises(DataError, match=r"l\.csv has 3 rows and .*r\.csv 2 reports"):
        imported_labels(labeler(tmp_path / "l.csv"), REPORTS, table(tmp_path / "r.csv", two))


def test_empty_reports_at_the_end_need_no_row(tmp_path):
    """Kaggle's indiana_reports.csv ends with two: their rows in the labeler's file are empty."""
    reports = table(tmp_path / "r.csv", {**REPORTS, "s50000004": "", "s50000005": ""})
    path = labeler(tmp_path / "l.csv")
    path.write_text(path.read_text() + "," * 14 + "\n" + "," * 14 + "\n")
    with pytest.warns(Note, match=r"nothing for 2 of 5 reports \(s50000004, s50000005\)"):
        assert stated(imported_labels(path, REPORTS, reports)) == EXPECTED


def test_rows_in_another_order_are_refused(tmp_path):
    turned = dict(reversed(REPORTS.items()))
    with pytest.raises(DataError, match=r"2 of 3 reports .*in another order") as told:
        imported_labels(labeler(tmp_path / "l.csv"), REPORTS, table(tmp_path / "r.csv", turned))
    assert "edema" not in str(told.value) and "\n" not in str(told.value)


def test_a_report_that_is_spelt_otherwise_is_said(tmp_path):
    texts = [*TEXTS[:2], "Mild oedema at both bases."]
    with pytest.warns(Note, match=r"spell 1 of 3 reports otherwise \(s50000003\)"):
        labels = imported_labels(
            labeler(tmp_path / "l.csv", texts), REPORTS, table(tmp_path / "r.csv")
        )
    assert stated(labels) == EXPECTED


def test_case_and_points_make_no_other_text(tmp_path):
    texts = [text.lower().replace(".", " .") for text in REPORTS.values()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        imported_labels(labeler(tmp_path / "l.csv", texts), REPORTS, table(tmp_path / "r.csv"))


def mimic(path):
    rows = ["10000001,50000001,,,1.0", "10000001,50000002,1.0", "11000002,50000003,,,,,,-1.0"]
    rows = [row + "," * (15 - row.count(",")) for row in rows]
    text = "\n".join([f"subject_id,study_id,{CATEGORIES}", *rows]) + "\n"
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_bare_study_numbers_of_mimic_cxr_meet_folders_and_dicom_ids(tmp_path):
    path = mimic(tmp_path / "mimic-cxr-2.0.0-chexpert.csv.gz")
    assert stated(imported_labels(path, REPORTS)) == EXPECTED
    metadata = tmp_path / "mimic-cxr-2.0.0-metadata.csv.gz"
    rows = f"dicom_id,subject_id,study_id,ViewPosition\n{DICOM},10000001,50000001,PA\n"
    metadata.write_bytes(gzip.compress(f"{rows}{OTHER},10000001,50000001,LATERAL\n".encode()))
    studies = read_metadata(metadata)
    labels = stated(imported_labels(path, [DICOM, OTHER], studies=studies))
    assert labels == {DICOM: {"Cardiomegaly": 1}, OTHER: {"Cardiomegaly": 1}}


def test_what_does_not_match_says_what_would_help(tmp_path):
    path = mimic(tmp_path / "mimic-cxr-2.0.0-chexpert.csv.gz")
    with pytest.raises(DataError) as told:
        imported_labels(path, [DICOM])
    said = str(told.value)
    assert f"0 of 1 studies of the data set are in {path}: none for '{DICOM}'" in said
    assert "while it has '50000001'" in said
    assert "--metadata mimic-cxr-2.0.0-metadata.csv.gz" in said


def test_studies_without_labels_in_the_file_are_said(tmp_path):
    path = mimic(tmp_path / "mimic-cxr-2.0.0-chexpert.csv.gz")
    with pytest.warns(Note, match=r"3 of 4 studies .*: none for 's59999999'"):
        assert len(imported_labels(path, [*REPORTS, "s59999999"])) == 3


def graph(text, place=0):
    """A record of RadGraph's: one entity."""
    tokens = text.split()
    entity = {"tokens": tokens[place], "label": "OBS-DP", "start_ix": place, "end_ix": place}
    return {
        "text": text,
        "entities": {"1": entity | {"relations": []}},
        "data_source": "MIMIC-CXR",
        "data_split": "inference",
    }


def write(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_keys_of_radgraphs_file_meet_studies_and_images(tmp_path):
    keys = {f"p10/p10000001/{name}.txt": graph(REPORTS[name]) for name in REPORTS}
    path = write(tmp_path / "MIMIC-CXR_graphs.json", keys)
    assert set(imported_graphs(path, REPORTS)) == set(REPORTS)
    found = imported_graphs(path, [DICOM], studies={DICOM: "50000003"})
    assert found[DICOM].text == "Mild edema at both bases."


def test_only_graphs_that_are_used_are_checked(tmp_path):
    keys = {"p10/p1/s50000001.txt": graph("Edema ."), "p10/p1/s59999999.txt": {"text": 1}}
    assert len(imported_graphs(write(tmp_path / "g.json", keys), ["50000001"])) == 1
    with pytest.raises(DataError, match=r"g\.json, report p10/p1/s59999999\.txt: the graph lacks"):
        imported_graphs(tmp_path / "g.json", ["59999999"])


def test_keys_of_the_radgraph_package_are_rows_from_0(tmp_path):
    records = {str(row): graph(text) for row, text in enumerate(REPORTS.values())}
    path = write(tmp_path / "g.json", records)
    reports = table(tmp_path / "r.csv")
    found = imported_graphs(path, REPORTS, reports)
    assert {name: one.text for name, one in found.items()} == REPORTS
    with pytest.raises(DataError, match="--label-reports FILE"):
        imported_graphs(path, REPORTS)
    del records["1"]  # the package skips a report on which it fails
    with pytest.warns(Note, match=r"has nothing for 1 of 3 reports \(s50000002\)"):
        found = imported_graphs(write(path, records), REPORTS, reports)
    assert list(found) == ["s50000001", "s50000003"]
    records["3"] = graph("One too many .")
    with pytest.raises(DataError, match=r"has 4 rows and .*r\.csv 3 reports"):
        imported_graphs(write(path, records), REPORTS, reports)


def test_graphs_of_rows_in_another_order_are_refused(tmp_path):
    records = [graph(text) for text in reversed(REPORTS.values())]
    with pytest.raises(DataError, match="other texts for 2 of 3"):
        imported_graphs(write(tmp_path / "g.json", records), REPORTS, table(tmp_path / "r.csv"))


def test_studies_that_are_called_0_1_2_keep_their_own_graphs(tmp_path):
    records = {str(row): graph(f"Report {row} .") for row in range(3)}
    found = imported_graphs(write(tmp_path / "g.json", records), ["2", "0"])
    assert {name: one.text for name, one in found.items()} == {
        "0": "Report 0 .",
        "2": "Report 2 .",
    }


def test_a_collection_with_the_fields_files_end_to_end(tmp_path, kia_command):
    """RadGraph's whole reports and the labeler's rows; one graph is that of another report."""
    folder = tmp_path / "in"
    folder.mkdir()
    rows = []
    for number, (name, text) in enumerate(REPORTS.items()):
        Image.fromarray(np.full((32, 32), 40 * number + 40, np.uint8)).save(folder / f"{name}.png")
        rows.append(f"{name},{name}.png,train,{quoted(text)}")
    (folder / "m.csv").write_text("\n".join(["id,image,split,report", *rows]) + "\n")
    whole = [f"FINAL REPORT INDICATION : edema ? FINDINGS : {text}" for text in TEXTS]
    whole[2] = "FINAL REPORT FINDINGS : Fracture of the right sixth rib ."
    graphs = {
        f"p10/p10000001/{name}.txt": g.to_record()
        for name, g in zip(REPORTS, extract_graphs(whole), strict=True)
    }
    words = ("--labels", str(labeler(tmp_path / "l.csv")), "--reports", str(folder / "m.csv"))
    words += ("--graphs", str(write(tmp_path / "g.json", graphs)), "--workers", "1")
    out = tmp_path / "out"
    code, _, told = kia_command(
        "data", "manifest", str(folder / "m.csv"), *words, "--out", str(out)
    )
    assert code == 0, told
    studies = {study.id: study for study in PreparedDataset.open(out).studies()}
    assert stated({name: study.labels for name, study in studies.items()}) == EXPECTED
    for name in ("s50000001", "s50000002"):
        graph = ReportGraph.from_record(studies[name].graph)
        assert "INDICATION" not in graph.text
        assert graph.text.lower().startswith(REPORTS[name].lower()[:5])
        alone = extract_graphs([REPORTS[name]])[0]
        assert len(graph.entities) == len(alone.entities)
    code, printed, _ = kia_command("data", "check", str(out), "--json", str(tmp_path / "c.json"))
    assert code == 0 and "unaligned" in printed
    knowledge = json.loads((tmp_path / "c.json").read_text())["knowledge"]["train"]
    strange = len(extract_graphs([whole[2]])[0].entities)
    assert knowledge["entities_unaligned"] == strange > 0
    assert knowledge["entities"] > strange
