"""What a server tells Prometheus, in a registry of its own: a process may hold two servers."""

from collections.abc import Callable
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters of one server, without anything that a client wrote.

    Args:
        waiting: How many studies wait for the model.
    """

    def __init__(self, waiting: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry, "namespace": "kia"}
        ProcessCollector(registry=self.registry)
        self.requests = Counter("requests", "finished", ["route", "status"], **own)
        self.seconds = Histogram(
            "request_seconds",
            "from the first byte to the answer",
            ["route"],
            buckets=SECONDS,
            **own,
        )
        self.under_way = Gauge("requests_under_way", "being uploaded, waiting or answered", **own)
        self.flags = Counter("flags", "doubts about pictures", ["kind"], **own)
        self._sizes = Histogram(
            "batch_studies", "studies that the model read together", buckets=SIZES, **own
        )
        self._batches = Histogram("batch_seconds", "of the model", buckets=SECONDS, **own)
        Gauge("waiting_studies", "for the model", **own).set_function(waiting)

    def batch(self, studies: int, seconds: float) -> None:
        """Counts a batch of the model."""
        self._sizes.observe(studies)
        self._batches.observe(seconds)

    def text(self) -> bytes:
        """In Prometheus' own format."""
        return generate_latest(self.registry)
