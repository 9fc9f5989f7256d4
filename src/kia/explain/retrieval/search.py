"""Studies found by contrastive similarity, then by [MATCH] (Paper: App. C, Fig. 10).

The order of the whole split comes from the contrastive embeddings; its first K are put in a new
order by the matching degree of image and report. Shape letters: n studies, q queries, K reranked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kia.data.batches.batch import report_numbers
from kia.data.store.dataset import PreparedDataset
from kia.evaluation.retrieval import (
    clinical_agreement,
    first_ranks,
    present_observations,
    random_scores,
    retrieval_scores,
)
from kia.explain.retrieval.index import RetrievalIndex, nearest, report_embeddings
from kia.generation import dataset_inputs, image_features
from kia.knowledge.labels.rules import label_reports
from kia.matching import matching_degree
from kia.models.kia import KIAModel
from kia.processing import KIAProcessor
from kia.studies import Split

RERANKED = 32
"""Studies that [MATCH] puts in order unless told otherwise."""

DIRECTIONS = {"image_to_report": ("images", "reports"), "report_to_image": ("reports", "images")}
"""Direction → kind of the query's embedding, and of those that are searched."""

_PAIRS = 256  # of [MATCH] at a time
_QUERIES = 128  # whose order of the whole split is held at a time


@dataclass(frozen=True)
class Hit:
    """A study that was found.

    Attributes:
        place: In the split.
        similarity: Cosine of the contrastive embeddings.
        match: Matching degree, 0 to 1; None without [MATCH].
    """

    place: int
    similarity: float
    match: float | None


@torch.no_grad()
def find(
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    split: Split,
    index: RetrievalIndex,
    query: Mapping[str, Tensor] | str,
    *,
    among: Literal["images", "reports"],
    count: int = 5,
    rerank: int = RERANKED,
) -> list[Hit]:
    """The studies of a split that fit an image or a text best.

    Args:
        model: In evaluation mode, trained with IRC.
        processor: Of the same model.
        dataset: That the index is of.
        split: That the index is of.
        index: Of `open_index`.
        query: The views of one study as the processor gives them, or a text.
        among: Whether similarity is that to the studies' images or to their reports. [MATCH]
            always compares an image with a text: the query's image with a found report, or the
            query's text with a found image.
        count: Hits wanted.
        rerank: K, how many of the most similar [MATCH] puts in a new order; 0 for none.
    """
    if isinstance(query, str):
        vector = report_embeddings(model, processor, [query])
        images = None
    else:
        images = image_features(model, query)
        vector = model.image_projection(images.pooled).cpu().numpy()
    places, similarities = nearest(getattr(index, among), vector, max(count, rerank))
    first, similar = places[0], similarities[0]
    if not rerank or not model.trained_on("irm"):
        pairs = zip(first[:count].tolist(), similar[:count].tolist(), strict=True)
        return [Hit(place, value, None) for place, value in pairs]
    first, similar = first[:rerank], similar[:rerank]
    numbers = dataset.indices(split)[first]
    if images is None:
        own = dataset_inputs(dataset, processor, numbers)
        degrees = matching_degree(model, processor, own, [str(query)] * len(first))
    else:
        texts = [dataset.study(int(number)).report for number in numbers]
        degrees = matching_degree(model, processor, images, texts, [0] * len(texts))
    match = degrees.cpu().numpy()
    order = np.argsort(-match, kind="stable")[:count]
    return [Hit(int(first[i]), float(similar[i]), float(match[i])) for i in order]


def score_split(
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    split: Split,
    index: RetrievalIndex,
    *,
    rerank: int = RERANKED,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Every study of a split as a query, in both directions, among all studies of the split.

    A study with the query's report, word for word, is as right as its own. Labels are those of
    the data set, or of the built-in labeler where it has none.

    Args:
        model, processor, dataset, split, index: As for `find`.
        rerank: K; 0 for none.
        on_progress: Told the pairs of [MATCH] that are done, and all of them.

    Returns:
        {"studies", "different_reports", "rerank": K or None, "random": scores, and for each of
        DIRECTIONS {"similarity": scores, "match": scores or None}}, see `retrieval_scores`.
    """
    read = [dataset.study(int(number)) for number in dataset.indices(split)]
    reports = [study.report for study in read]
    ids = report_numbers(reports)
    labels = [
        study.labels if study.labels is not None else label_reports([study.report])[0]
        for study in read
    ]
    present = present_observations(labels)
    _, same, counts = np.unique(ids, return_inverse=True, return_counts=True)
    rerank = min(rerank, len(ids)) if model.trained_on("irm") else 0
    found = {
        name: _first_stage(getattr(index, query), getattr(index, searched), ids, max(rerank, 5))
        for name, (query, searched) in DIRECTIONS.items()
    }
    degrees = (
        _degrees(model, processor, dataset, split, reports, found, rerank, on_progress)
        if rerank
        else {}
    )
    scores: dict[str, Any] = {
        "studies": len(ids),
        "different_reports": len(counts),
        "rerank": rerank or None,
        "random": random_scores(counts[same], present, len(ids)),
    }
    own = np.arange(len(ids))
    for name, (places, ranks) in found.items():
        agreement = clinical_agreement(present, places, own)
        scores[name] = {"similarity": retrieval_scores(ranks, agreement), "match": None}
        if rerank:
            again = reranked(places, degrees[name])
            relevant = ids[again[:, :rerank]] == ids[:, None]
            new = np.where(relevant.any(1), first_ranks(relevant), ranks)
            agreement = clinical_agreement(present, again, own)
            scores[name]["match"] = retrieval_scores(new, agreement)
    return scores


def reranked(places: NDArray[np.int64], degrees: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """The places (q, M) with their first K in the order of the degrees (q, K), best first."""
    order = np.argsort(-degrees, axis=1, kind="stable")
    first = np.take_along_axis(places[:, : degrees.shape[1]], order, axis=1)
    return np.concatenate([first, places[:, degrees.shape[1] :]], axis=1)


def _first_stage(
    queries: NDArray[np.float32],
    searched: NDArray[np.float32],
    ids: NDArray[np.int64],
    count: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first `count` places of each query, and the rank of the first with its report."""
    places, ranks = [], []
    for start in range(0, len(queries), _QUERIES):
        order, _ = nearest(searched, queries[start : start + _QUERIES], len(searched))
        ranks.append(first_ranks(ids[order] == ids[start : start + _QUERIES, None]))
        places.append(order[:, :count])
    return np.concatenate(places), np.concatenate(ranks)


def _degrees(
    model: KIAModel,
    processor: KIAProcessor,
    dataset: PreparedDataset,
    split: Split,
    reports: Sequence[str],
    found: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64]]],
    rerank: int,
    on_progress: Callable[[int, int], None],
) -> dict[str, NDArray[np.float32]]:
    """Direction → matching degrees (n, K); a pair that both directions need is computed once."""
    studies = len(reports)
    own = np.arange(studies)[:, None]
    pairs = {}
    for name, (places, _) in found.items():
        other = places[:, :rerank]
        image, report = (own, other) if name == "image_to_report" else (other, own)
        pairs[name] = image * studies + report
    each, inverse = np.unique(np.stack(list(pairs.values())), return_inverse=True)
    values = np.empty(len(each), np.float32)
    numbers = dataset.indices(split)
    for start in range(0, len(each), _PAIRS):  # in the order of images
        image, report = np.divmod(each[start : start + _PAIRS], studies)
        images, rows = np.unique(image, return_inverse=True)
        inputs = dataset_inputs(dataset, processor, numbers[images])
        texts = [reports[place] for place in report]
        degrees = matching_degree(model, processor, inputs, texts, torch.from_numpy(rows))
        values[start : start + len(texts)] = degrees.cpu().numpy()
        on_progress(start + len(texts), len(each))
    both = values[inverse].reshape(len(pairs), studies, rerank)
    return dict(zip(pairs, both, strict=True))
