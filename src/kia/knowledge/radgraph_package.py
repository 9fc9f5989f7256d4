"""Graphs from the `radgraph` package, if it and its weights are installed.

Source: Delbrouck et al. 2024, package `radgraph` 0.1. Nothing is downloaded here.
"""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kia.errors import DataError, MissingDependency
from kia.knowledge.radgraph import ReportGraph

DEFAULT_MODEL = "modern-radgraph-xl"


def package_graphs(
    texts: Sequence[str], *, model: str = DEFAULT_MODEL, cache: Path | None = None
) -> list[ReportGraph]:
    """The graphs that the `radgraph` package's model finds, one a report.

    Their text is tokenised by the package, so token positions differ from `tokenise`.

    Args:
        texts: Reports.
        model: `radgraph`, `radgraph-xl` or `modern-radgraph-xl`.
        cache: The package's `model_cache_dir`; its own default if absent.

    Raises:
        MissingDependency: The package or its weights are not there; says how to get them.
        DataError: The package gives no graph for a report.
    """
    annotate = _load(model, cache)
    graphs = []
    for number, text in enumerate(texts, 1):
        if not text.strip():
            graphs.append(ReportGraph(""))
            continue
        with contextlib.redirect_stdout(sys.stderr):
            record = annotate([text]).get("0")
        if record is None:
            raise DataError(f"report {number}: the radgraph package fails on it; leave it out")
        graphs.append(ReportGraph.from_record(record, f"report {number}"))
    return graphs


def _load(model: str, cache: Path | None) -> Any:
    with _offline(), contextlib.redirect_stdout(sys.stderr):
        try:
            import radgraph
        except ImportError:
            raise MissingDependency(
                "the radgraph package is not installed: pip install radgraph, or use kia's own "
                "extractor"
            ) from None
        try:
            folder = None if cache is None else str(cache)
            return radgraph.RadGraph(model_type=model, model_cache_dir=folder)
        except Exception as error:
            raise MissingDependency(
                f"the weights of {model} are not on this machine or do not load "
                f"({type(error).__name__}); fetch them once, with a network, by: python -c "
                f"\"import radgraph; radgraph.RadGraph(model_type='{model}')\""
            ) from None


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Keeps the Hugging Face hub, from which the package loads, off the network."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
