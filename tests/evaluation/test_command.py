"""`kia evaluate` as a user runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

KiaCommand = Callable[..., tuple[int, str, str]]

REFS = {"a": "The heart is big.", "b": "The lungs are clear."}
HYPS = {"a": "The heart is normal.", "b": "The lungs are clear."}


def jsonl(path: Path, reports: dict[str, str]) -> str:
    lines = (json.dumps({"id": id_, "report": report}) for id_, report in reports.items())
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str, str]:
    train = {str(i): report for i, report in enumerate([*REFS.values()] * 3)}
    return (
        jsonl(tmp_path / "preds.jsonl", HYPS),
        jsonl(tmp_path / "refs.jsonl", REFS),
        jsonl(tmp_path / "train.jsonl", train),
    )


def prepared(
    monkeypatch: pytest.MonkeyPatch, source: str | None = None, **splits: dict[str, str]
) -> None:
    from kia.data.store.dataset import PreparedDataset

    fake = SimpleNamespace(
        path="d",
        info={"content_hash": "abc"} | ({} if source is None else {"source": source}),
        ids=lambda split: list(splits.get(split, {})),
        reports=lambda split: list(splits.get(split, {}).values()),
        index_of=lambda id_: id_,
        views=lambda id_: ("frontal", "lateral") if id_ == "a" else ("frontal",),
        study=lambda id_: SimpleNamespace(sections={"Sex": "F" if id_ == "a" else "M"}),
        pixels=lambda id_: np.zeros((2, 8, 8), np.uint8),
    )
    monkeypatch.setattr(PreparedDataset, "open", lambda path: fake)


def test_references_with_training_reports_give_all_protocols(
    kia_command: KiaCommand, files: tuple[str, str, str], tmp_path: Path
) -> None:
    preds, refs, train = files
    out = tmp_path / "deep" / "result.json"
    words = ("evaluate", preds, "--references", refs, "--train-references", train)
    code, printed, _ = kia_command(*words, "--json", str(out))
    assert code == 0
    assert "model · r2gen" in printed
    result = json.loads(out.read_text(encoding="utf-8"))
    assert result["protocols"]["r2gen"]["cider"] > 0
    assert result["dataset"] == {"hash": None, "split": None, "source": None}


def test_a_data_set_brings_training_reports_hash_and_split(
    kia_command: KiaCommand,
    files: tuple[str, str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepared(monkeypatch, train={"t": "The lungs are clear."}, val={"v": "Clear."}, test=REFS)
    out = tmp_path / "result.json"
    code, _, _ = kia_command("evaluate", files[0], "--data", "d", "--json", str(out))
    assert code == 0
    result = json.loads(out.read_text(encoding="utf-8"))
    assert result["dataset"] == {"hash": "abc", "split": "test", "source": None}
    assert result["protocols"]["r2gen"]["cider"] is not None
    assert "1 validation studies" in result["notes"]["baselines.best_constant"]


@pytest.mark.parametrize(
    ("source", "option", "cleaning", "said"),
    [
        ("MIMIC-CXR-JPG", (), "mimic", ""),
        ("IU X-Ray", (), "iu", ""),
        ("mine.csv", (), "iu", ""),
        (
            "mine.csv",
            ("--dataset", "mimic"),
            "mimic",
            "is iu; scored by that of mimic",
        ),
        (
            "MIMIC-CXR-JPG",
            ("--dataset", "iu"),
            "iu",
            "is mimic; scored by that of iu",
        ),
    ],
)
def test_the_source_of_a_data_set_decides_the_cleaning_and_an_override_is_said(
    kia_command: KiaCommand,
    files: tuple[str, str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    option: tuple[str, ...],
    cleaning: str,
    said: str,
) -> None:
    prepared(monkeypatch, source, train={"t": "The lungs are clear."}, test=REFS)
    out = tmp_path / "result.json"
    words = ("evaluate", files[0], "--data", "d", *option, "--json", str(out))
    code, _, err = kia_command(*words)
    assert code == 0
    assert json.loads(out.read_text(encoding="utf-8"))["settings"]["cleaning"] == cleaning
    assert said in err and ("note: " in err) is bool(said)


def test_the_constant_is_not_chosen_on_what_is_scored(
    kia_command: KiaCommand,
    files: tuple[str, str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepared(monkeypatch, train={"t": "The lungs are clear."}, val=REFS)
    out = tmp_path / "result.json"
    words = ("evaluate", files[0], "--data", "d", "--split", "val", "--json", str(out))
    assert kia_command(*words)[0] == 0
    notes = json.loads(out.read_text(encoding="utf-8"))["notes"]
    assert "1 training studies" in notes["baselines.best_constant"]


@pytest.mark.parametrize(
    ("words", "error", "code"),
    [
        ((), "either --data DIR or --references FILE", 2),
        (("--data", "d", "--references", "r"), "either --data DIR or --references FILE", 2),
        (("--data", "d", "--train-references", "r"), "--data has its own", 2),
        (("--data", "d", "--split", "all"), "no split 'all': use one of train, val, test", 2),
        (("--references", "r", "--dataset", "x"), "--dataset is iu or mimic, not 'x'", 2),
        (("--references", "r", "--json", "."), "--json . is a folder; name a file", 2),
        (("--references", "r", "--html", "."), "--html . is a folder; name a file", 2),
        (("--references", "r", "--with", "spice"), "kia knows radgraph, chexbert, radeval", 2),
        (("--references", "absent.jsonl"), "absent.jsonl: no such file", 1),
        (("--data", "absent"), "no such data set", 1),
    ],
)
def test_wrong_use_is_one_line(
    kia_command: KiaCommand,
    files: tuple[str, str, str],
    words: tuple[str, ...],
    error: str,
    code: int,
) -> None:
    found, printed, told = kia_command("evaluate", files[0], *words)
    assert (found, printed, told.count("\n")) == (code, "", 1), told
    assert error in told


def test_an_empty_split_is_told(
    kia_command: KiaCommand, files: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(monkeypatch, train=REFS)
    code, _, told = kia_command("evaluate", files[0], "--data", "d")
    assert (code, told) == (1, "error: d: split test has no studies\n")


def test_predictions_of_another_split_are_recognised(
    kia_command: KiaCommand, files: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(monkeypatch, train={"t": "x"}, val=REFS, test={"z": "clear"})
    code, _, told = kia_command("evaluate", files[0], "--data", "d")
    assert (code, told.count("\n")) == (1, 1)
    assert "no prediction for 1 of 1 studies of split test: z" in told
    assert "these are of split val: use --split val" in told


def test_missing_studies_are_refused_and_allowed_only_if_asked(
    kia_command: KiaCommand, files: tuple[str, str, str], tmp_path: Path
) -> None:
    preds = jsonl(tmp_path / "some.jsonl", {"a": "The heart is big."})
    code, _, told = kia_command("evaluate", preds, "--references", files[1])
    assert code == 1
    assert "no prediction for 1 of 2 studies of the references: b" in told
    code, printed, _ = kia_command("evaluate", preds, "--references", files[1], "--allow-missing")
    assert code == 0
    assert "Incomplete: 1 studies have no prediction" in printed


def test_csv_and_two_text_files_are_scored_alike(kia_command: KiaCommand, tmp_path: Path) -> None:
    found = {}
    for kind in ("csv", "txt"):
        for side, reports in (("hyps", HYPS), ("refs", REFS)):
            rows = [f"{i},{report}" for i, report in reports.items()]
            text = ["id,report", *rows] if kind == "csv" else list(reports.values())
            (tmp_path / f"{side}.{kind}").write_text("\n".join(text) + "\n")
        words = [str(tmp_path / f"{side}.{kind}") for side in ("hyps", "refs")]
        out = tmp_path / f"{kind}.json"
        assert (
            kia_command("evaluate", words[0], "--references", words[1], "--json", str(out))[0] == 0
        )
        found[kind] = json.loads(out.read_text(encoding="utf-8"))["protocols"]
    assert found["csv"] == found["txt"]
    assert found["csv"]["r2gen-full"]["cider"] > 0


def test_all_outputs_of_one_run(
    kia_command: KiaCommand,
    files: tuple[str, str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepared(monkeypatch, train={"t": "The lungs are clear."}, val={"v": "Clear."}, test=REFS)
    (tmp_path / "log.jsonl").write_text(
        '{"kind": "validation", "epoch": 1, "image_gain": 0.25, "best": true}\n'
        '{"kind": "validation", "epoch": 2, "image_gain": 0.5, "best": false}\n{"kind": "tr'
    )
    outs = [tmp_path / "new" / name for name in ("r.json", "r.md", "r.tex", "r.html")]
    options = ("--json", "--markdown", "--latex", "--html")
    words = [str(word) for pair in zip(options, outs, strict=True) for word in pair]
    words += ["--by", "view,sex", "--against", jsonl(tmp_path / "other.jsonl", REFS)]
    code, printed, told = kia_command("evaluate", files[0], "--data", "d", *words)
    assert (code, told) == (0, "")
    result = json.loads(outs[0].read_text(encoding="utf-8"))
    assert {name: group["n"] for name, group in result["by"]["view"].items()} == {
        "frontal": 1,
        "frontal + lateral": 1,
    }
    assert set(result["by"]["sex"]) == {"F", "M"}
    assert result["image_gain"] == {"value": 0.25, "split": "val", "epoch": 1}
    assert result["against"]["name"].endswith("other.jsonl")
    assert f"{files[0]} against" in printed
    assert "### Language metrics" in outs[1].read_text(encoding="utf-8")
    assert r"\begin{tabular}" in outs[2].read_text(encoding="utf-8")
    assert outs[3].read_text(encoding="utf-8").count("<img") == 4


def test_a_column_that_is_not_there_is_told(
    kia_command: KiaCommand,
    files: tuple[str, str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, _, told = kia_command("evaluate", files[0], "--references", files[1], "--by", "sex")
    assert code == 2
    assert "--by sex: " in told
    assert "it has none but id and report" in told
    prepared(monkeypatch, train={"t": "x"}, test=REFS)
    code, _, told = kia_command("evaluate", files[0], "--data", "d", "--by", "age")
    assert (code, told) == (2, "error: --by age: d has no such column\n")


def test_ages_are_grouped_in_bands(kia_command: KiaCommand, tmp_path: Path) -> None:
    ages = ["39", "40", "59.5", "80", "?", "300"]
    refs = tmp_path / "refs.csv"
    refs.write_text("id,report,age\n" + "\n".join(f"{i},clear,{a}" for i, a in enumerate(ages)))
    out = tmp_path / "r.json"
    words = ("evaluate", str(refs), "--references", str(refs), "--by", "age", "--json", str(out))
    assert kia_command(*words)[0] == 0
    groups = json.loads(out.read_text(encoding="utf-8"))["by"]["age"]
    assert {name: group["n"] for name, group in groups.items()} == {
        "under 40": 1,
        "40–59": 2,
        "80 and over": 1,
        "unknown": 2,
    }


def test_several_files_are_runs_of_one_system(
    kia_command: KiaCommand, files: tuple[str, str, str], tmp_path: Path
) -> None:
    other = jsonl(tmp_path / "seed-1.jsonl", REFS)
    out, page = tmp_path / "r.json", tmp_path / "r.html"
    words = ("evaluate", files[0], other, "--references", files[1])
    code, printed, _ = kia_command(*words, "--json", str(out), "--html", str(page))
    assert code == 0
    assert "mean of 2 runs · r2gen-full" in printed
    result = json.loads(out.read_text(encoding="utf-8"))
    assert len(result["runs"]) == 2
    assert result["sd"]["protocols"]["r2gen-full"]["bleu_1"] > 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    code, _, told = kia_command(*words, "--labels", "l.csv")
    assert (code, told) == (2, "error: --labels are those of one file of predictions; name one\n")


def test_graph_files_of_both_sides(
    kia_command: KiaCommand, files: tuple[str, str, str], tmp_path: Path
) -> None:
    entity = {"tokens": "heart", "label": "ANAT-DP", "start_ix": 0, "end_ix": 0, "relations": []}
    graph = {"text": "heart", "entities": {"1": entity}}
    path = tmp_path / "graphs.json"
    path.write_text(json.dumps(dict.fromkeys(REFS, graph)))
    out = tmp_path / "r.json"
    words = ("--graphs", str(path), "--reference-graphs", str(path), "--json", str(out))
    assert kia_command("evaluate", files[0], "--references", files[1], *words)[0] == 0
    result = json.loads(out.read_text(encoding="utf-8"))
    assert result["radgraph_f1"] == {"simple": 1.0, "partial": 1.0, "complete": 1.0}


def test_tools_that_are_not_installed_cost_one_line(
    kia_command: KiaCommand, files: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delenv("KIA_CHEXBERT", raising=False)
    words = ("--with", "radgraph, CheXbert,radeval")
    code, printed, told = kia_command("evaluate", files[0], "--references", files[1], *words)
    assert code == 0
    assert "Clinical efficacy" in printed
    lines = told.splitlines()
    assert len(lines) == 3
    assert "radgraph is not installed (pip install radgraph)" in lines[0]
    assert "set KIA_CHEXBERT" in lines[1]
    assert "radeval is not installed (pip install radeval)" in lines[2]


def test_files_of_chexbert_count_only_in_the_folder_that_is_named(
    kia_command: KiaCommand,
    files: tuple[str, str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("chexbert.pth", "vocab.txt"):
        (tmp_path / name).touch()
    monkeypatch.delenv("KIA_CHEXBERT", raising=False)
    words = ("--references", files[1], "--with", "chexbert")
    code, _, told = kia_command("evaluate", files[0], *words)
    assert (code, told.count("\n")) == (0, 1)
    assert "set KIA_CHEXBERT" in told


def test_a_tool_that_is_installed_adds_its_scores(
    kia_command: KiaCommand,
    files: tuple[str, str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from kia.knowledge import radgraph_package
    from kia.knowledge.graphs.rules import extract_graphs

    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr(radgraph_package, "package_graphs", extract_graphs)
    out = tmp_path / "r.json"
    words = ("--with", "radgraph", "--json", str(out))
    code, printed, told = kia_command("evaluate", files[0], "--references", files[1], *words)
    assert (code, told) == (0, "")
    result = json.loads(out.read_text(encoding="utf-8"))
    assert result["extra"]["radgraph"] == pytest.approx(result["graph_f1_kia"])
    assert result["radgraph_f1"] is None
    assert "By radgraph" in printed


def test_metrics_of_radeval_that_lack_their_weights_are_left_out_and_nothing_is_fetched(
    kia_command: KiaCommand,
    files: tuple[str, str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Stand-ins as radeval 2.2 is: named metrics, and a download by nltk as it is imported."""

    class RadEval:
        def __init__(self, metrics: list[str], show_progress: bool = True) -> None:
            assert os.environ["HF_HUB_OFFLINE"] == "1"
            assert nltk.download("punkt_tab", quiet=True) is False
            if metrics[0] not in ("bleu", "rouge"):
                raise OSError("no weights")
            self.metric = metrics[0]

        def __call__(self, refs: list[str], hyps: list[str]) -> dict[str, float]:
            print("noise")
            assert (refs, hyps) == ([*REFS.values()], [*HYPS.values()])
            return {self.metric: 0.25}

    nltk = SimpleNamespace(download=lambda *names, **how: pytest.fail("a download"))
    monkeypatch.setitem(sys.modules, "nltk", nltk)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "radeval", SimpleNamespace(RadEval=RadEval))
    out = tmp_path / "r.json"
    words = ("--references", files[1], "--with", "radeval", "--json", str(out))
    code, printed, told = kia_command("evaluate", files[0], *words)
    assert (code, "noise" in printed) == (0, False)
    assert "without bertscore (OSError), f1chexbert (OSError)" in told
    assert json.loads(out.read_text(encoding="utf-8"))["extra"] == {
        "radeval": {"bleu": 0.25, "rouge": 0.25}
    }
    assert "By radeval" in printed


def test_chexbert_labels_by_the_weights_in_its_folder(
    kia_command: KiaCommand,
    files: tuple[str, str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """With the built-in labeler in the model's place the grid is the built-in one."""
    from kia.knowledge.labels.rules import label_reports

    class Model:
        def label_reports(self, texts: Sequence[str]) -> list[dict[str, int | None]]:
            return label_reports(texts)

    loaded: list[Path] = []
    monkeypatch.setattr(
        "kia.models.chexbert.load_chexbert", lambda path: loaded.append(path) or Model()
    )
    for name in ("chexbert.pth", "vocab.txt"):
        (tmp_path / name).touch()
    monkeypatch.setenv("KIA_CHEXBERT", str(tmp_path))
    out = tmp_path / "r.json"
    words = ("--references", files[1], "--with", "chexbert", "--json", str(out))
    code, printed, told = kia_command("evaluate", files[0], *words)
    assert (code, told, loaded) == (0, "", [tmp_path / "chexbert.pth"])
    result = json.loads(out.read_text(encoding="utf-8"))
    assert result["extra"]["chexbert"] == result["clinical"]
    assert "By chexbert" in printed


def test_a_file_that_is_not_chexbert_is_one_line(
    kia_command: KiaCommand,
    files: tuple[str, str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name in ("chexbert.pth", "vocab.txt"):
        (tmp_path / name).write_text("nonsense")
    monkeypatch.setenv("KIA_CHEXBERT", str(tmp_path))
    words = ("--references", files[1], "--with", "chexbert")
    code, printed, told = kia_command("evaluate", files[0], *words)
    assert code == 0
    assert "Clinical efficacy" in printed
    assert told.count("\n") == 1
    assert "cannot read weights" in told


def test_a_data_set_of_images_knows_their_studies(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `kia data mimic-cxr --samples image` stores them: files/p10/p…/s…/dicom_id.jpg."""
    from kia.data.store.dataset import PreparedDataset
    from kia.evaluation.prepared import studies_of_images

    dicom = "02aa804e-bde0afdd-112c0b34-7bc16630-4e384014"
    fake = SimpleNamespace(
        ids=lambda split: [dicom] if split == "test" else ["s1"],
        index_of=lambda id_: id_,
        row=lambda id_, columns: {"paths": [f"/d/files/p10/p10000032/s50414267/{id_}.jpg"]},
    )
    monkeypatch.setattr(PreparedDataset, "open", lambda path: fake)
    assert studies_of_images("d", "test") == {dicom: "50414267"}
    assert studies_of_images("d", "train") == {}


def test_scoring_files_loads_no_torch(files: tuple[str, str, str]) -> None:
    code = (
        "import sys\n"
        "from kia.cli.main import main\n"
        f"code = main(['evaluate', {files[0]!r}, '--references', {files[1]!r}])\n"
        "heavy = {'torch', 'transformers', 'accelerate', 'kia.models'} & set(sys.modules)\n"
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
