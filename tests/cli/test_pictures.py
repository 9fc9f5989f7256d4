"""What is this picture? Every command answers alike, from the header before the order of files."""

import json
import os
from pathlib import Path

import pytest
from tests.pacs import CODES, UIDS, bare, coded, radiograph, write_tree

from kia.data.store.dataset import PreparedDataset

CHEST = {"BodyPartExamined": "CHEST"}


@pytest.fixture
def put(dicom, tmp_path):
    """`put(name, **elements)` writes a radiograph; names give the pixels."""

    def write(name: str, **elements) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(radiograph(dicom, sum(name.encode()), **elements))
        return str(path)

    return write


@pytest.fixture
def told(model, kia_command):
    """Runs `kia generate --jsonl -` and gives exit code, lines as objects, and stderr."""

    def run(*words: str):
        code, out, err = kia_command(*("generate", str(model), *words, "--jsonl", "-"))
        assert "Traceback" not in err
        return code, [json.loads(line) for line in out.splitlines()], err

    return run


def read_as(entry: dict) -> list[tuple[str, str]]:
    """(name of the file, view) of each image of a study."""
    return [(Path(p).name, v) for p, v in zip(entry["images"], entry["views"], strict=True)]


@pytest.mark.parametrize("which", [0, 4])  # SCT and SRT; tests/imaging/test_facts.py has all
def test_the_view_code_decides_where_there_is_no_view_position(which, put, told, tmp_path):
    """Reference: PS3.16 CID 4010; the MIMIC reader takes the same element's meaning."""
    frontal, lateral = (CODES[view][which] for view in ("frontal", "lateral"))
    study = {"StudyInstanceUID": UIDS["A"]} | CHEST
    put("in/a", ViewCodeSequence=coded(*lateral), **study)
    put("in/b", ViewCodeSequence=coded(*frontal), **study)
    _, (entry,), _ = told(str(tmp_path / "in"))
    assert read_as(entry) == [("b", "frontal"), ("a", "lateral")]
    assert [one["view_source"] for one in entry["facts"]] == ["view code"] * 2
    assert entry["flags"] == []


def test_the_meaning_of_a_code_of_no_standard_is_read_as_in_mimic(put, told, tmp_path):
    study = {"StudyInstanceUID": UIDS["A"]} | CHEST
    put("in/a", ViewCodeSequence=coded("L1", "99LOCAL", "left lateral"), **study)
    put("in/b", ViewCodeSequence=coded("P1", "99LOCAL", "postero-anterior"), **study)
    _, (entry,), _ = told(str(tmp_path / "in"))
    assert read_as(entry) == [("b", "frontal"), ("a", "lateral")]


def test_a_description_is_a_guess_and_flagged(put, told, tmp_path):
    study = {"StudyInstanceUID": UIDS["A"], "StudyDescription": "CHEST PA AND LATERAL"} | CHEST
    put("in/a.dcm", SeriesDescription="W Chest Lat.", **study)
    put("in/b.dcm", SeriesDescription="W Chest p.a.", **study)
    _, (entry,), _ = told(str(tmp_path / "in"))
    assert read_as(entry) == [("b.dcm", "frontal"), ("a.dcm", "lateral")]
    assert [one["view_source"] for one in entry["facts"]] == ["description"] * 2
    assert [(flag["view"], flag["kind"]) for flag in entry["flags"]] == [(0, "view"), (1, "view")]
    assert "Chest" not in json.dumps(entry["flags"])  # no text of the header


def test_a_folder_of_folders_is_walked_and_other_parts_are_named(dicom, tmp_path, told):
    write_tree(tmp_path / "pacs", dicom)
    code, entries, err = told(str(tmp_path / "pacs"))
    assert code == 0
    assert [read_as(entry) for entry in entries] == [
        [("1.2.9.3", "frontal"), ("1.2.9.2", "lateral")],
        [("IM000002", "frontal"), ("IM000001", "lateral")],
    ]
    (left,) = [flag for flag in entries[0]["flags"] if flag["kind"] == "left out"]
    assert "1.2.9.1" in left["message"] and "HAND" in left["message"]
    assert "IM000003.IMA" in err and "Modality" in err  # the study of the CT has nothing else
    assert "README" in err
    first, second = entries
    assert {one["study"] for one in first["facts"]} == {UIDS["A"]}
    hashes = {one["patient_hash"] for entry in entries for one in entry["facts"]}
    assert len(hashes) == 2 and "4711" not in json.dumps(entries)
    assert {one["body_part"] for one in second["facts"]} == {"CHEST"}


def test_the_manifest_and_generate_agree_on_a_pacs_export(dicom, tmp_path, told, kia_command):
    pacs, out = tmp_path / "pacs", tmp_path / "out"
    write_tree(pacs, dicom)
    code, shown, _ = kia_command("data", "manifest", str(pacs), "--out", str(out), "--size", "32")
    assert code == 0 and "3 inputs were left out" in shown  # hand, CT, README
    dataset = PreparedDataset.open(out)
    prepared = [
        (s.id, s.patient, [(i.path, i.view) for i in s.images])
        for s in map(dataset.study, range(len(dataset)))
    ]
    _, entries, _ = told(str(pacs))
    generated = [
        (
            e["facts"][0]["study"],
            e["facts"][0]["patient_hash"],
            list(zip(e["images"], e["views"], strict=True)),
        )
        for e in entries
    ]
    assert prepared == generated and len(prepared) == 2
    rejects = (out / "rejects.jsonl").read_text()
    assert all(name in rejects for name in ("1.2.9.1", "IM000003.IMA", "README"))
    assert "4711" not in rejects


def test_the_chest_comes_before_a_hand_and_a_hand_alone_is_refused(put, told, one_line, model):
    study = {"StudyInstanceUID": UIDS["A"]}
    hand = put("a.dcm", BodyPartExamined="HAND", ViewPosition="PA", **study)
    chest = put("b.dcm", BodyPartExamined="CHEST", ViewPosition="PA", **study)
    _, (entry,), _ = told(hand, chest)
    assert read_as(entry) == [("b.dcm", "frontal")]
    assert "a.dcm" in entry["flags"][0]["message"]
    line = one_line(1, "generate", str(model), hand)
    assert "a.dcm" in line and "HAND" in line
    assert "a.dcm" in one_line(1, "findings", str(model), hand)


def test_two_patients_are_never_one_study(put, told, one_line, model, tmp_path):
    study = {"StudyInstanceUID": UIDS["A"], "BodyPartExamined": "CHEST"}
    one = put("a.dcm", PatientID="JANE 1", ViewPosition="PA", **study)
    other = put("b.dcm", PatientID="JOHN 2", ViewPosition="LL", **study)
    line = one_line(1, "generate", str(model), "--study", f"{one},{other}")
    assert "two patients" in line and "JANE" not in line and "JOHN" not in line
    for words in (("findings", str(model)), ("explain", "attention", str(model))):
        given = ("--study", f"{one},{other}") if words[0] == "findings" else (one, other)
        out = () if words[0] == "findings" else ("--out", str(tmp_path / "x.png"))
        assert "two patients" in one_line(1, *words, *given, *out)
    _, entries, _ = told(one, other)  # of one study, says a broken archive
    assert [read_as(entry) for entry in entries] == [
        [("a.dcm", "frontal")],
        [("b.dcm", "lateral")],
    ]


def test_what_is_told_goes_before_the_header_and_is_flagged(put, told):
    study = {"StudyInstanceUID": UIDS["A"], "BodyPartExamined": "CHEST"}
    lateral, frontal = put("a", ViewPosition="LL", **study), put("b", ViewPosition="PA", **study)
    _, (entry,), _ = told("--study", f"{lateral},{frontal}")
    assert read_as(entry) == [("a", "frontal"), ("b", "lateral")]
    assert [one["view_source"] for one in entry["facts"]] == ["given", "given"]
    assert [(flag["view"], flag["kind"]) for flag in entry["flags"]] == [(0, "view"), (1, "view")]
    _, (entry,), _ = told("--study", f"{frontal},{lateral}")
    assert entry["flags"] == []


def test_files_of_two_studies_that_are_told_to_be_one_are_flagged(put, told):
    one = put("a", StudyInstanceUID=UIDS["A"], PatientID="1", ViewPosition="PA", **CHEST)
    other = put("b", StudyInstanceUID=UIDS["B"], PatientID="1", ViewPosition="LL", **CHEST)
    _, (entry,), _ = told("--study", f"{one},{other}")
    assert [(flag["view"], flag["kind"]) for flag in entry["flags"]] == [(1, "study")]


@pytest.mark.parametrize("name", ["1.2.840.113619.2.5", "x.IMA"])
@pytest.mark.parametrize("preamble", [True, False])
def test_dicom_is_known_by_its_bytes_whatever_its_name(name, preamble, put, told):
    """Without preamble, PS3.10 7.1 does not apply; dcmtk and GDCM read such files."""
    study = {"StudyInstanceUID": UIDS["A"]} | CHEST
    paths = [put(f"in/{name}", ViewPosition="LL", **study), put("in/0", ViewPosition="PA", **study)]
    for path in map(Path, paths if not preamble else ()):
        path.write_bytes(bare(path.read_bytes()))
    (Path(paths[0]).parent / "DICOMDIR").write_bytes(b"")
    code, (entry,), err = told(str(Path(paths[0]).parent))
    assert code == 0 and read_as(entry) == [("0", "frontal"), (name, "lateral")], err
    assert "DICOMDIR" not in err  # an index, no picture


def test_what_is_passed_over_is_counted_and_named(put, told, tmp_path):
    put("in/a.dcm", ViewPosition="PA", **CHEST)
    for name in ("notes.txt", "scan.tiff"):
        (tmp_path / "in" / name).write_text("no image")
    (tmp_path / "in" / ".hidden").write_text("no image")
    _, entries, err = told(str(tmp_path / "in"))
    assert len(entries) == 1
    (said,) = [line for line in err.splitlines() if "passed over" in line]
    assert "2 files" in said and "notes.txt" in said and "scan.tiff" in said
    assert "hidden" not in said


def test_a_folder_without_images_is_one_line(tmp_path, model, one_line):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "notes.txt").write_text("no image")
    line = one_line(1, "generate", str(model), str(tmp_path / "in"))
    assert "no image" in line and "notes.txt" in line


def test_links_that_lead_in_a_circle_are_followed_once(put, told, tmp_path):
    put("in/deep/a.dcm", ViewPosition="PA", StudyInstanceUID=UIDS["A"], **CHEST)
    (tmp_path / "in" / "deep" / "up").symlink_to(tmp_path / "in", target_is_directory=True)
    _, entries, _ = told(str(tmp_path / "in"))
    assert [read_as(entry) for entry in entries] == [[("a.dcm", "frontal")]]
    os.mkfifo(tmp_path / "in" / "pipe")
    _, entries, _ = told(str(tmp_path / "in"))
    assert len(entries) == 1


def test_copies_of_an_image_are_one_image(put, told, tmp_path):
    study = {"StudyInstanceUID": UIDS["A"], "SOPInstanceUID": "1.2.3.4"} | CHEST
    first = Path(put("in/a/x", ViewPosition="PA", **study))
    (tmp_path / "in" / "b").mkdir()
    (tmp_path / "in" / "b" / "y").write_bytes(first.read_bytes())
    _, (entry,), _ = told(str(tmp_path / "in"))
    assert read_as(entry) == [("x", "frontal")]
    (flag,) = entry["flags"]
    assert flag["kind"] == "left out" and "y" in flag["message"] and "copy" in flag["message"]


def test_pictures_stay_studies_by_themselves(pictures, told, tmp_path):
    _, entries, _ = told(*pictures[0])
    assert [entry["views"] for entry in entries] == [["frontal"], ["frontal"]]
    fact = entries[0]["facts"][0]
    assert fact == {
        "file": pictures[0][0],
        "view": "frontal",
        "view_source": "order",
        "study": None,
        "patient_hash": None,
        "body_part": None,
    }


def test_findings_have_the_same_facts(put, model, kia_command, tmp_path, make_model):
    roomy = make_model(tmp_path / "roomy", positions=160)
    study = {"StudyInstanceUID": UIDS["A"], "PatientID": "4711"} | CHEST
    put("in/a", ViewPosition="LL", **study), put("in/b", ViewPosition="PA", **study)
    answers = []
    for command in ("findings", "generate"):
        answer = tmp_path / f"{command}.json"
        words = (command, str(roomy), str(tmp_path / "in"), "--json", str(answer))
        code, _, err = kia_command(*words)
        assert code == 0, err
        answers += json.loads(answer.read_text())
    assert answers[0]["facts"] == answers[1]["facts"]
    assert answers[0]["views"] == ["frontal", "lateral"]


def test_explain_reads_a_lateral_view_as_one(put, tmp_path, make_model, kia_command, monkeypatch):
    """What is drawn: the caption, and the R on the patient's right, come from the view."""
    from kia.explain import heat_maps

    seen = []
    draw = heat_maps.draw_heat_maps
    monkeypatch.setattr(
        heat_maps,
        "draw_heat_maps",
        lambda v, names, *a, **k: (seen.append(names), draw(v, names, *a, **k)),
    )
    roomy = make_model(tmp_path / "roomy", positions=160)
    lateral = put("a.dcm", ViewPosition="LL", StudyInstanceUID=UIDS["A"], **CHEST)
    frontal = put("b.dcm", ViewPosition="PA", StudyInstanceUID=UIDS["A"], **CHEST)
    for images in ([lateral], [lateral, frontal]):
        words = ("explain", "attention", str(roomy), *images, "--out", str(tmp_path / "x.png"))
        code, _, err = kia_command(*words)
        assert code == 0, err
    assert seen == [["lateral"], ["lateral", "frontal"]]


def test_what_needs_a_frontal_view_refuses_a_lateral_one(put, tmp_path, model, one_line):
    lateral = put("a.dcm", ViewPosition="LL", **CHEST)
    out = ("--out", str(tmp_path / "x.png"))
    assert "lateral" in one_line(1, "explain", "patches", "--image", lateral, *out)
    (tmp_path / "report.txt").write_text("the heart is large.")
    words = ("explain", "reconstruct", str(model), lateral)
    report = ("--report", str(tmp_path / "report.txt"))
    assert "lateral" in one_line(1, *words, *report, *out)
    hand = put("b.dcm", BodyPartExamined="HAND")
    assert "HAND" in one_line(1, "explain", "patches", "--image", hand, *out)


def test_a_de_identified_folder_keeps_the_reasons_and_no_names(dicom, tmp_path, kia_command):
    write_tree(tmp_path / "pacs", dicom)
    (tmp_path / "key").write_text("0123456789abcdef" * 4)
    words = ("--deidentify", "--deidentify-key", str(tmp_path / "key"), "--size", "32")
    out = ("--out", str(tmp_path / "out"))
    code, shown, err = kia_command("data", "manifest", str(tmp_path / "pacs"), *words, *out)
    assert code == 0, err
    rejects = (tmp_path / "out" / "rejects.jsonl").read_text()
    assert "another part of the body" in rejects and "no radiograph" in rejects
    assert "neither PNG, JPEG nor DICOM" in rejects
    dataset = PreparedDataset.open(tmp_path / "out")
    stored = [dataset.study(number) for number in range(len(dataset))]
    for hidden in (*UIDS.values(), "1.2.9", "IM0000", "README", "4711"):
        assert hidden not in rejects + repr(stored) + shown
    assert len({study.patient for study in stored} - {None}) == 2
