"""Reports in the forms in which the field's tools write them, as they come.

Sources: R2Gen's family writes `res.csv` and `gts.csv` by `pd.DataFrame(texts).to_csv(…,
index=False, header=False)` (modules/trainer.py of its successors); coco's results and annotations
(cocodataset.org/#format-results) and what pycocoevalcap's scorers take; ReXrank's prediction.json
and evaluation_script.md (github.com/rajpurkarlab/ReXrank, example_files); R2Gen's annotation.json.
"""

import json
from pathlib import Path

import pytest

import kia
from kia.errors import DataError, UsageError
from kia.evaluation.predictions import read_report_file, read_reports
from kia.evaluation.reports.columns import Choice
from kia.tables.notes import Note

TEXTS = {"50000001": "the heart is big .", "50000002": "lungs are clear . no effusion ."}
REFS = {"50000001": "the heart is normal .", "50000002": "lungs are clear ."}
DICOM = "02aa804e-bde0afdd-112c0b34-7bc16630-4e384014"
OTHER = "174413ec-4ec4c1f7-34ea26b7-c5f994f8-79ef1962"


def write(path: Path, content: object) -> Path:
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return path


def rexrank(**more: str) -> dict[str, dict[str, object]]:
    """Two studies of ReXrank's prediction.json; MIMIC-CXR's studies are bare numbers there."""
    return {
        id_: {
            "dicom_id": [DICOM],
            "img_root_dir": f"/p10/p10046166/s{id_}",
            "findings": REFS[id_],
            "impression": "No acute process.",
            "subject_id": 10046166,
            "split": "test",
            "context": "<context>Indication: cough.</context>",
            "model_prediction": TEXTS[id_],
            **more,
        }
        for id_ in TEXTS
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("coco.json", [{"image_id": int(i), "caption": t} for i, t in TEXTS.items()]),
        ("gts.json", {i: [t] for i, t in TEXTS.items()}),
        ("scorer.json", {i: [{"caption": t}] for i, t in TEXTS.items()}),
        ("plain.json", TEXTS),
        ("rexrank.json", rexrank()),
        ("lines.json", "\n".join(json.dumps({"id": i, "report": t}) for i, t in TEXTS.items())),
        ("list.json", [{"study_id": i, "hyp": t} for i, t in TEXTS.items()]),
        (
            "annotations.json",
            {
                "images": [{"id": int(i)} for i in TEXTS],
                "annotations": [
                    {"id": n, "image_id": int(i), "caption": t}
                    for n, (i, t) in enumerate(TEXTS.items(), 1)
                ],
            },
        ),
        (
            "annotation.json",
            {
                "train": [{"id": "x", "report": "train"}],
                "val": [],
                "test": [{"id": i, "report": t, "image_path": []} for i, t in TEXTS.items()],
            },
        ),
        ("reports.csv", "study_id,report\n" + "".join(f"{i}.0,{t}\n" for i, t in TEXTS.items())),
        ("reports.csv", "image_id;caption\n" + "".join(f"{i};{t}\n" for i, t in TEXTS.items())),
    ],
)
def test_one_file_of_each_form_says_the_same(tmp_path: Path, name: str, content: object) -> None:
    found = read_report_file(write(tmp_path / name, content))
    assert found.reports == TEXTS
    assert found.has_ids


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("res.csv", "".join(f"{text}\n" for text in TEXTS.values())),
        ("res.csv", "".join(f'"{text}"\n' for text in TEXTS.values())),
        ("index.csv", ",report\n" + "".join(f"{n},{t}\n" for n, t in enumerate(TEXTS.values()))),
        ("list.json", list(TEXTS.values())),
        ("preds.jsonl", "".join(json.dumps({"prediction": t}) + "\n" for t in TEXTS.values())),
        ("preds.txt", "".join(f"{text}\n" for text in TEXTS.values())),
    ],
)
def test_reports_without_ids_are_numbered(tmp_path: Path, name: str, content: object) -> None:
    found = read_report_file(write(tmp_path / name, content))
    assert found.reports == {str(row): text for row, text in enumerate(TEXTS.values(), 1)}
    assert not found.has_ids


def test_commas_quotes_and_empty_reports_of_res_csv_are_kept(tmp_path: Path) -> None:
    """pandas quotes a text with a comma, and writes an empty one as two quotes."""
    path = write(tmp_path / "res.csv", '"heart, lungs"\n""\n"say ""clear"""\n')
    with pytest.warns(Note, match="1 of 3 reports are empty"):
        assert list(read_reports(path).values()) == ["heart, lungs", "", 'say "clear"']


def test_a_headerless_report_is_never_quoted_in_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "two.csv", "the heart of Mrs Smith is big and normal ok,x\na,b\n")
    with pytest.raises(DataError, match="has no column report") as told:
        read_reports(path)
    assert "Smith" not in str(told.value)


def test_one_file_may_hold_both_sides(tmp_path: Path) -> None:
    lines = [{"id": i, "prediction": TEXTS[i], "reference": REFS[i]} for i in TEXTS]
    path = write(tmp_path / "both.jsonl", "\n".join(map(json.dumps, lines)))
    found = read_report_file(path)
    assert (found.reports, found.references) == (TEXTS, REFS)
    assert read_report_file(path, "references").reports == REFS
    # an ordinary report beside a generated one is the reference
    lines = [{"id": i, "hyp": TEXTS[i], "report": REFS[i]} for i in TEXTS]
    found = read_report_file(write(path, "\n".join(map(json.dumps, lines))))
    assert (found.reports, found.references) == (TEXTS, REFS)
    # two ordinary columns are not taken for the two sides
    lines = [{"id": i, "report": TEXTS[i], "findings": REFS[i]} for i in TEXTS]
    found = read_report_file(write(path, "\n".join(map(json.dumps, lines))))
    assert (found.reports, found.references) == (TEXTS, None)


def test_columns_by_the_users_names(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "acc,written,truth\n1,clear,big\n")
    choice = Choice("acc", "written", "truth")
    found = read_report_file(path, "predictions", choice)
    assert (found.reports, found.references) == ({"1": "clear"}, {"1": "big"})
    with pytest.raises(DataError, match="no column 'none'; it has acc, written, truth"):
        read_report_file(path, "predictions", Choice(report_column="none"))


def test_references_of_rexrank_are_findings_or_all_as_the_reports_are(tmp_path: Path) -> None:
    path = write(tmp_path / "rexrank.json", rexrank())
    with pytest.warns(Note, match="references are the column findings"):
        assert read_report_file(path, "references").reports == REFS
    with pytest.warns(Note, match="findings and impression with headings"):
        found = read_report_file(path, "references", Choice(headed=True)).reports
    # evaluation_script.md: f"Findings: {findings} Impression: {impression}"
    first = "Findings: the heart is normal . Impression: No acute process."
    assert found["50000001"] == first
    inputs = {
        i: {"section_findings": REFS[i], "section_impression": "", "report": f"Findings: {REFS[i]}"}
        for i in REFS
    }
    write(path, inputs)
    with pytest.warns(Note, match="references are the column section_findings"):
        assert read_report_file(path, "references").reports == REFS
    with pytest.warns(Note, match="with headings"):
        found = read_report_file(path, "references", Choice(headed=True)).reports
    assert found["50000001"] == "Findings: the heart is normal ."
    found = read_report_file(path, "references", Choice(report_column="report")).reports
    assert found["50000001"] == "Findings: the heart is normal ."


def test_rexranks_prediction_json_holds_both_sides(tmp_path: Path) -> None:
    path = write(tmp_path / "p.json", rexrank())
    with pytest.warns(Note, match="references are the column findings"):
        assert read_report_file(path).references == REFS
    write(path, rexrank(model_prediction="Findings:The heart is big.Impression:Fine."))
    with pytest.warns(Note, match="with headings, as ReXrank scores"):
        found = read_report_file(path)
    assert found.reports["50000001"] == "Findings:The heart is big.Impression:Fine."
    assert found.references is not None
    assert found.references["50000001"] == (
        "Findings: the heart is normal . Impression: No acute process."
    )


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is deeper than 64 levels"),
        ("3", "expected a list or an object"),
        ("[]", "is empty"),
        ("{}", "is empty"),
        ('[{"id": 1, "report": "a"}, 3]', "entry 2: expected a text or an object"),
        ('[{"id": [1], "report": "a"}]', "entry 1: an id is a text or a whole number"),
        ('[{"id": 1, "report": ["a", "b"]}]', "entry 1: 2 texts; kia scores one report"),
        ('[{"id": 1, "report": {"a": "b"}}]', "entry 1: the report must be a text"),
        ('{"1": ["a", "b"]}', "1: 2 texts; kia scores one report against one reference"),
        ('{"1": 3}', "1: expected a text"),
        ('{"1": {"words": "a"}}', r"has no column report, .* it has words \(--report-column"),
        ('{"1": "\\ud83d"}', "half of a character"),
        ('[{"id": 1, "report": "a"}, {"report": "b"}]', "entry 2: the id is missing"),
        ('[{"id": 1, "report": "a"}, {"id": "1", "report": "b"}]', "1 ids occur more than once"),
    ],
)
def test_a_bad_document_is_one_line(tmp_path: Path, content: str, error: str) -> None:
    with pytest.raises(DataError, match=error) as told:
        read_reports(write(tmp_path / "r.json", content))
    assert "\n" not in str(told.value)


# the function of the library, and what it says of files that do not fit


def test_the_function_gives_what_the_command_writes(kia_command, tmp_path: Path) -> None:
    preds = write(tmp_path / "preds.json", TEXTS)
    refs = write(tmp_path / "refs.json", REFS)
    train = write(tmp_path / "train.json", {str(n): t for n, t in enumerate([*REFS.values()] * 3)})
    out = tmp_path / "r.json"
    words = ("--references", str(refs), "--train-references", str(train), "--resamples", "100")
    assert kia_command("evaluate", str(preds), *words, "--json", str(out))[0] == 0
    written = json.loads(out.read_text(encoding="utf-8"))
    found = kia.evaluate(str(refs), str(preds), train=str(train), resamples=100)
    assert json.loads(json.dumps(found)) == written
    for references, predictions in (
        (REFS, TEXTS),
        (list(REFS.values()), list(TEXTS.values())),
        (refs, TEXTS),
    ):
        found = kia.evaluate(references, predictions, train=train, resamples=100)
        assert found["protocols"] == written["protocols"]
        assert found["confidence"] == written["confidence"]
        assert found["clinical"] == written["clinical"]


def test_one_file_with_both_sides_needs_no_references(kia_command, tmp_path: Path) -> None:
    lines = [{"prediction": TEXTS[i], "reference": REFS[i]} for i in TEXTS]
    both = write(tmp_path / "both.jsonl", "\n".join(map(json.dumps, lines)))
    out = tmp_path / "r.json"
    assert kia_command("evaluate", str(both), "--json", str(out), "--resamples", "100")[0] == 0
    written = json.loads(out.read_text(encoding="utf-8"))
    assert written["protocols"] == kia.evaluate(REFS, TEXTS, resamples=100)["protocols"]
    with pytest.raises(UsageError, match="either --data DIR or --references FILE"):
        kia.evaluate(None, TEXTS)


def test_bare_numbers_folders_and_dicom_ids_meet(tmp_path: Path) -> None:
    expected = kia.evaluate(REFS, TEXTS, resamples=100)["protocols"]
    named = {f"s{i}": text for i, text in TEXTS.items()}
    assert kia.evaluate(REFS, named, resamples=100)["protocols"] == expected
    paths = {f"p10/p10000001/s{i}.txt": text for i, text in TEXTS.items()}
    assert kia.evaluate(named, paths, resamples=100)["n"] == 2
    images = dict(zip((DICOM, OTHER), TEXTS.values(), strict=True))
    with pytest.raises(DataError, match=r"--metadata mimic-cxr-2\.0\.0-metadata\.csv\.gz tells"):
        kia.evaluate(REFS, images)
    rows = f"dicom_id,subject_id,study_id\n{DICOM},1,50000001\n{OTHER},1,50000002\n"
    metadata = write(tmp_path / "metadata.csv", rows)
    found = kia.evaluate(REFS, images, metadata=metadata, resamples=100)
    assert found["protocols"] == expected


def test_a_column_that_has_the_ids_is_named(tmp_path: Path) -> None:
    rows = "".join(f"{n},s{i},{TEXTS[i]}\n" for n, i in enumerate(TEXTS))
    path = write(tmp_path / "p.csv", f"id,accession,report\n{rows}")
    with pytest.raises(DataError) as told:
        kia.evaluate(REFS, path)
    assert str(told.value) == (
        f"0 of 2 studies of references are in {path}: none for '50000001', while it has '0' "
        "(--id-column accession has 2 of them)"
    )
    found = kia.evaluate(REFS, path, choice=Choice("accession"), resamples=100)
    assert found["coverage"]["scored"] == 2


def test_rows_without_ids_take_the_order_of_the_references_if_they_are_as_many(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "res.csv", "".join(f"{text}\n" for text in TEXTS.values()))
    with pytest.warns(Note, match=r"res\.csv has no ids: its 2 rows are taken in the order"):
        found = kia.evaluate(REFS, str(path), resamples=100)
    assert found["protocols"] == kia.evaluate(REFS, TEXTS, resamples=100)["protocols"]
    with pytest.raises(DataError, match=r"its 2 rows are not those of the 3 studies of references"):
        kia.evaluate({**REFS, "50000003": "clear"}, str(path))


def test_labels_of_the_chexpert_labeler_are_those_of_the_rows_of_the_predictions(
    tmp_path: Path,
) -> None:
    from kia.knowledge.chexpert import OBSERVATIONS

    def labeler(name: str, texts: list[str], values: list[str]) -> Path:
        rows = [f'"{t}",{v}' + "," * 13 for t, v in zip(texts, values, strict=True)]
        return write(tmp_path / name, "\n".join(["Reports," + ",".join(OBSERVATIONS), *rows]))

    preds = labeler("p.csv", list(TEXTS.values()), ["1.0", ""])
    refs = labeler("r.csv", list(REFS.values()), ["1.0", "1.0"])
    named = {f"s{i}": text for i, text in TEXTS.items()}
    found = kia.evaluate(REFS, named, labels=preds, reference_labels=refs, resamples=100)
    one = found["clinical"]["uncertain_negative"]["observations"][OBSERVATIONS[0]]
    assert (one["precision"], one["recall"]) == (1, 0.5)
    turned = labeler("t.csv", list(reversed(TEXTS.values())), ["", "1.0"])
    with pytest.raises(DataError, match="other texts for 2 of 2 reports"):
        kia.evaluate(REFS, TEXTS, labels=turned)
    with pytest.raises(DataError, match=r"p\.csv has 2 rows and predictions 1 reports"):
        kia.evaluate(REFS, {"50000001": "x"}, labels=preds)
    # the table is another file: its order counts
    rows = "\n".join(f"{i},{TEXTS[i]}" for i in reversed(TEXTS))
    table = write(tmp_path / "table.csv", f"id,report\n{rows}")
    found = kia.evaluate(REFS, TEXTS, labels=turned, label_reports=table, resamples=100)
    assert found["labelers"]["predictions"] == "file"


def test_graphs_of_whole_reports_are_cut_to_the_findings(tmp_path: Path) -> None:
    """RadGraph's keys and whole reports on the side of the references, its package on the other."""
    from kia.knowledge.graphs.rules import extract_graphs

    def records(texts: list[str]) -> list[dict]:
        return [graph.to_record() for graph in extract_graphs(texts)]

    whole = [
        f"FINAL REPORT EXAMINATION: CHEST. INDICATION: pneumonia ? FINDINGS: {text} "
        "IMPRESSION: No acute process."
        for text in REFS.values()
    ]
    keys = [f"p10/p10000001/s{i}.txt" for i in REFS]
    theirs = write(tmp_path / "g.json", dict(zip(keys, records(whole), strict=True)))
    ours = {str(row): r for row, r in enumerate(records(list(TEXTS.values())))}
    found = kia.evaluate(
        REFS, TEXTS, graphs=write(tmp_path / "p.json", ours), reference_graphs=theirs, resamples=100
    )
    assert found["radgraph_f1"] == pytest.approx(
        kia.evaluate(REFS, TEXTS, resamples=100)["graph_f1_kia"]
    )
    assert found["graph_sources"]["radgraph_f1"] == "file"


@pytest.fixture
def rexrank_references(iu_xray: Path) -> Path:
    path = iu_xray.parent / "rexrank" / "ReXRank_IUXray_test.json"
    if not path.is_file():
        pytest.skip(f"needs ReXrank's files beside IU X-Ray: {path}")
    return path


@pytest.mark.iu_xray
@pytest.mark.filterwarnings("ignore::kia.tables.notes.Note")
def test_rexranks_references_of_iu_xray_are_those_of_r2gen(
    rexrank_references: Path, iu_xray: Path
) -> None:
    theirs = read_reports(rexrank_references, "references")
    ours = read_reports(iu_xray / "annotation.json", "references")
    assert len(ours) == 590
    assert theirs == ours


@pytest.mark.slow
@pytest.mark.iu_xray
def test_scores_against_rexranks_references_are_those_against_r2gens(
    rexrank_references: Path, iu_xray: Path
) -> None:
    from kia.evaluation.baselines import CONSTANT_REPORT

    annotation = iu_xray / "annotation.json"
    reports = {study["id"]: CONSTANT_REPORT for study in json.loads(annotation.read_text())["test"]}
    with pytest.warns(Note, match="references are the column section_findings"):
        found = kia.evaluate(rexrank_references, reports, train=annotation, resamples=100)
    assert (found["coverage"]["scored"], found["coverage"]["missing"]) == (590, 0)
    expected = kia.evaluate(annotation, reports, train=annotation, resamples=100)
    for key in ("protocols", "clinical", "graph_f1_kia", "diversity", "baselines", "confidence"):
        assert found[key] == expected[key], key
    assert found["protocols"]["r2gen"]["bleu_4"] == pytest.approx(0.1721, abs=5e-5)  # golden
