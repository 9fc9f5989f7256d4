"""Scores by tools of others, where they are installed.

CheXbert is a network, so its labeler comes from the caller (`kia.models.chexbert`).
"""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kia.errors import MissingDependency, UsageError
from kia.evaluation.board.systems import Labeler
from kia.tables.notes import note

CHEXBERT_FOLDER = "KIA_CHEXBERT"
"""Environment variable with the folder of CheXbert's files."""

TOOLS = ("radgraph", "chexbert", "radeval")

_CHEXBERT_FILES = ("chexbert.pth", "vocab.txt")

_RADEVAL_METRICS = ("bleu", "rouge", "bertscore", "f1chexbert", "radgraph", "ratescore")
"""RadEval 2's own names; those for chest X-rays that need no language model and no account."""

Scores = dict[str, Any]


def usable_tools(names: Sequence[str]) -> list[str]:
    """The tools that can be used; of the others a note says what is missing.

    Args:
        names: Some of `TOOLS`.

    Raises:
        UsageError: A name is unknown.
    """
    usable = []
    for name in names:
        if name not in TOOLS:
            raise UsageError(f"--with {name}: kia knows {', '.join(TOOLS)}")
        if missing := _missing(name):
            _tell(name, f"{missing}; scored without it")
        else:
            usable.append(name)
    if usable:  # before their libraries load: the tools would fetch weights unasked
        os.environ["HF_HUB_OFFLINE"] = "1"
    return usable


def chexbert_weights() -> Path | None:
    """CheXbert's weights in the folder that `KIA_CHEXBERT` names; None if they are not there."""
    folder = os.environ.get(CHEXBERT_FOLDER)
    if folder and all((Path(folder) / file).is_file() for file in _CHEXBERT_FILES):
        return Path(folder) / _CHEXBERT_FILES[0]
    return None


def scores_by_tools(
    tools: Sequence[str],
    hyps: Sequence[str],
    refs: Sequence[str],
    chexbert: Callable[[], Labeler] | None = None,
) -> Scores:
    """{"extra": {tool: scores}}, or nothing where no tool is asked for; a note for failed ones.

    Args:
        tools: From `usable_tools`.
        hyps: Generated reports.
        refs: References, in the same order.
        chexbert: Loads CheXbert's labeler; may raise MissingDependency.
    """
    extra: Scores = {}
    for name in tools:
        try:
            if name == "chexbert":
                if chexbert is None:
                    raise MissingDependency("no labeler was given")
                extra[name] = _clinical(chexbert(), hyps, refs)
            else:
                extra[name] = _SCORED[name](hyps, refs)
        except MissingDependency as error:  # the package is there, its weights are not
            _tell(name, f"{error}; scored without it")
    return {"extra": extra} if extra else {}


def _tell(tool: str, line: str) -> None:
    note(f"--with {tool}: {line}")


def _missing(name: str) -> str | None:
    if name == "chexbert":
        if chexbert_weights() is None:
            files = " and ".join(_CHEXBERT_FILES)
            return f"put {files} (bert-base-uncased) in a folder and set {CHEXBERT_FOLDER} to it"
    elif importlib.util.find_spec(name) is None:
        return f"{name} is not installed (pip install {name})"
    return None


def _radgraph(hyps: Sequence[str], refs: Sequence[str]) -> Scores:
    """RadGraph-F1 of the package's own graphs."""
    from kia.evaluation.board.systems import annotate
    from kia.evaluation.clinical.graphs import graph_measure
    from kia.knowledge.radgraph_package import package_graphs

    graphs = annotate(package_graphs, [*hyps, *refs])
    measure = graph_measure([graphs[text] for text in hyps], [graphs[text] for text in refs])
    return dict(measure.values())


def _clinical(labeler: Labeler, hyps: Sequence[str], refs: Sequence[str]) -> Scores:
    """The clinical grid by a labeler's labels."""
    from kia.evaluation.board.systems import annotate
    from kia.evaluation.clinical.efficacy import clinical_grid, clinical_measures

    labels = annotate(labeler, [*hyps, *refs])
    return clinical_grid(
        clinical_measures([labels[text] for text in hyps], [labels[text] for text in refs])
    )


def _radeval(hyps: Sequence[str], refs: Sequence[str]) -> Scores:
    """What each of RadEval's metrics gives; those whose weights are missing are left out."""
    try:
        import nltk

        nltk.download = lambda *names, **how: False  # radeval calls it while it is imported
        from radeval import RadEval
    except ImportError as error:
        raise MissingDependency(f"the package cannot be imported ({error})") from None
    scores: Scores = {}
    failed = []
    for metric in _RADEVAL_METRICS:
        try:
            with contextlib.redirect_stdout(sys.stderr):
                score = RadEval(metrics=[metric], show_progress=False)
                scores |= score(refs=list(refs), hyps=list(hyps))
        except Exception as error:  # of every kind, where a package or weights are missing
            failed.append(f"{metric} ({type(error).__name__})")
    if not scores:
        raise MissingDependency(f"none of its metrics runs here: {', '.join(failed)}")
    if failed:
        _tell("radeval", f"without {', '.join(failed)}, whose weights or packages are not here")
    return scores


_SCORED: Mapping[str, Callable[[Sequence[str], Sequence[str]], Scores]] = {
    "radgraph": _radgraph,
    "radeval": _radeval,
}
