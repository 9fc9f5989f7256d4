"""`kia evaluate` as a user runs it."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

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


def prepared(monkeypatch: pytest.MonkeyPatch, **splits: dict[str, str]) -> None:
    from kia.data.store import PreparedDataset

    fake = SimpleNamespace(
        info={"content_hash": "abc"},
        ids=lambda split: list(splits.get(split, {})),
        reports=lambda split: list(splits.get(split, {}).values()),
    )
    monkeypatch.setattr(PreparedDataset, "open", lambda path: fake)


@pytest.mark.usefixtures("no_java")
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
    assert result["dataset"] == {"hash": None, "split": None}


@pytest.mark.usefixtures("no_java")
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
    assert result["dataset"] == {"hash": "abc", "split": "test"}
    assert result["protocols"]["r2gen"]["cider"] is not None
    assert "1 validation studies" in result["notes"]["baselines.best_constant"]


@pytest.mark.usefixtures("no_java")
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
        (("--references", "r", "--json", "."), "is a folder; name a file", 2),
        (("--references", "absent.jsonl"), "cannot read absent.jsonl", 1),
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
