"""Training reports that a model finds most similar to new images."""

import logging
from collections.abc import Callable
from typing import Any, Self

from kia.data.store.dataset import PreparedDataset
from kia.errors import KIAError
from kia.explain.retrieval.index import RetrievalIndex, open_index
from kia.explain.retrieval.search import find
from kia.imaging.pictures import Pictures
from kia.readable import readable
from kia.serving.service import Service

COUNT = 3
"""Different reports shown."""
_SEARCHED = 24  # studies, of which many have word for word the same normal report
_log = logging.getLogger("kia.serving")


class SimilarReports:
    """Those of a data set's training split.

    Args:
        service: That has the model to itself.
        dataset: That the index is of.
        index: Embeddings of the training split.
    """

    def __init__(self, service: Service, dataset: PreparedDataset, index: RetrievalIndex) -> None:
        self._service, self._dataset, self._index = service, dataset, index

    @classmethod
    def open(cls, service: Service) -> Self:
        """Of the service's data set; embeds it first if that was not done before.

        Raises:
            KIAError: The embeddings cannot be kept.
            ModelError: The model was trained without image-report contrast.
        """
        dataset = service.dataset
        assert dataset is not None
        told = _progress(len(dataset.indices("train")))
        source, model, processor = service.settings.model, service.model, service.processor
        try:
            index = open_index(source, model, processor, dataset, "train", on_progress=told)
        except OSError as error:
            raise KIAError(
                f"cannot keep the embeddings of the data set ({error}); set XDG_CACHE_HOME to a "
                "folder that can be written"
            ) from None
        return cls(service, dataset, index)

    async def find(self, pictures: Pictures) -> list[dict[str, Any]]:
        """The most similar reports: `report` (readable), `similarity` (cosine), `match` or None.

        Raises:
            Busy: Too many wait already.
        """
        return await self._service.run(lambda: self._find(pictures))

    def _find(self, pictures: Pictures) -> list[dict[str, Any]]:
        own, dataset = self._service, self._dataset
        inputs = {k: v for k, v in own.inputs([pictures]).items() if v is not None}
        options: dict[str, Any] = {"among": "reports", "count": _SEARCHED}
        hits = find(own.model, own.processor, dataset, "train", self._index, inputs, **options)
        numbers = dataset.indices("train")
        found: dict[str, dict[str, Any]] = {}
        for hit in hits:
            report = readable(dataset.study(int(numbers[hit.place])).report)
            one = {"report": report, "similarity": hit.similarity, "match": hit.match}
            found.setdefault(report, one)
        return list(found.values())[:COUNT]


def _progress(total: int) -> Callable[[int], None]:
    """Says in ten lines how far the embedding is; it may take minutes, once."""
    done = 0

    def told(count: int) -> None:
        nonlocal done
        before, done = done, done + count
        if 10 * before // total < 10 * done // total:
            _log.warning("embedded %d of %d training studies, kept for later", done, total)

    return told
