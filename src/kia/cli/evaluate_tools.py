"""`kia evaluate --with`: scores by tools of others, where they are installed."""

import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kia.errors import MissingDependency, ModelError, UsageError

CHEXBERT_FOLDER = "KIA_CHEXBERT"
"""Environment variable with the folder of CheXbert's files."""

_CHEXBERT_FILES = ("chexbert.pth", "vocab.txt")

Scores = dict[str, Any]


def check_tools(names: str | None) -> list[str]:
    """The tools of `--with` that can be used; of the others a line on stderr says what is missing.

    Raises:
        UsageError: A name is unknown.
    """
    from kia.cli.console import err

    usable = []
    for name in (part.strip().lower() for part in (names or "").split(",") if part.strip()):
        if name not in _TOOLS:
            raise UsageError(f"--with {name}: kia knows {', '.join(_TOOLS)}")
        missing = _missing(name)
        if missing:
            err.print(f"--with {name}: {missing}; scored without it", markup=False, soft_wrap=True)
        else:
            usable.append(name)
    return usable


def scores_by_tools(tools: Sequence[str], hyps: Sequence[str], refs: Sequence[str]) -> Scores:
    """{"extra": {tool: scores}}, or nothing where no tool is asked for; notes of failed tools."""
    from kia.cli.console import err

    extra: Scores = {}
    for name in tools:
        try:
            extra[name] = _TOOLS[name](hyps, refs)
        except MissingDependency as error:  # the package is there, its weights are not
            err.print(f"--with {name}: {error}; scored without it", markup=False, soft_wrap=True)
    return {"extra": extra} if extra else {}


def _missing(name: str) -> str | None:
    package = {"radgraph": "radgraph", "radeval": "RadEval"}.get(name)
    if package and importlib.util.find_spec(package) is None:
        return f"{package} is not installed (pip install {package})"
    if name == "chexbert":
        folder = Path(os.environ.get(CHEXBERT_FOLDER, ""))
        if not all((folder / file).is_file() for file in _CHEXBERT_FILES):
            files = " and ".join(_CHEXBERT_FILES)
            return f"put {files} (bert-base-uncased) in a folder and set {CHEXBERT_FOLDER} to it"
    return None


def _radgraph(hyps: Sequence[str], refs: Sequence[str]) -> Scores:
    """RadGraph-F1 of the package's own graphs."""
    from kia.evaluation.graphs import graph_measure
    from kia.knowledge.radgraph_package import package_graphs

    texts = list(dict.fromkeys([*hyps, *refs]))
    graphs = dict(zip(texts, package_graphs(texts), strict=True))
    measure = graph_measure([graphs[text] for text in hyps], [graphs[text] for text in refs])
    return dict(measure.values())


def _chexbert(hyps: Sequence[str], refs: Sequence[str]) -> Scores:
    """The clinical grid by CheXbert's labels."""
    from kia.evaluation.clinical import clinical_grid, clinical_measures
    from kia.models.chexbert import load_chexbert

    texts = list(dict.fromkeys([*hyps, *refs]))
    try:
        model = load_chexbert(Path(os.environ[CHEXBERT_FOLDER]) / _CHEXBERT_FILES[0])
    except ModelError as error:
        raise MissingDependency(str(error)) from None
    labels = dict(zip(texts, model.label_reports(texts), strict=True))
    return clinical_grid(
        clinical_measures([labels[text] for text in hyps], [labels[text] for text in refs])
    )


def _radeval(hyps: Sequence[str], refs: Sequence[str]) -> Scores:
    """What RadEval gives by default, as it gives it."""
    import RadEval

    try:
        return dict(RadEval.RadEval()(refs=list(refs), hyps=list(hyps)))
    except Exception as error:
        raise MissingDependency(f"RadEval fails ({type(error).__name__}: {error})") from None


_TOOLS: dict[str, Callable[[Sequence[str], Sequence[str]], Scores]] = {
    "radgraph": _radgraph,
    "chexbert": _chexbert,
    "radeval": _radeval,
}
