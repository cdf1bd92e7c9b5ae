"""What a worker counts, and the page that sums it up over all workers, for Prometheus."""

import re
from collections.abc import Mapping
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

BUCKETS_S: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""The upper bounds of the latency histogram, in seconds."""


class Metrics:
    """Counts requests. No label has anything that a client sent.

    The environment variable PROMETHEUS_MULTIPROC_DIR has to name a folder that all workers share,
    before this module is imported.

    Parameters
    ----------
    identity
        What is served: the labels of ``scoring_model_info``.
    """

    def __init__(self, identity: Mapping[str, str]) -> None:
        # Not the global registry: a page is made of what all workers have written down.
        own = CollectorRegistry()
        requests = Counter(
            "scoring_requests", "Requests answered", ("route", "status"), registry=own
        )
        seconds = Histogram(
            "scoring_request_duration_seconds",
            "Time from a request's head to its answer",
            ("route",),
            buckets=BUCKETS_S,
            registry=own,
        )
        rows = Counter("scoring_rows", "Rows predicted", registry=own)
        flying = Gauge(
            "scoring_requests_in_flight",
            "Requests to /invocations that are being received, checked or answered",
            multiprocess_mode="livesum",
            registry=own,
        )
        labels = {_label(name): value for name, value in identity.items()}
        info = Gauge(
            "scoring_model_info",
            "The model that is served; always 1",
            tuple(labels),
            multiprocess_mode="max",
            registry=own,
        )
        info.labels(**labels).set(1)
        self._requests, self._seconds = requests, seconds
        self._counted: dict[tuple[str, int], Counter] = {}
        self._timed: dict[str, Histogram] = {}
        self.begin = flying.inc
        self.end = flying.dec
        self.predicted = rows.inc

    def count(self, route: str, status: int, seconds: float) -> None:
        """Count one answer. A route is one of ours, or ``other``."""
        counter = self._counted.get((route, status))
        if counter is None:
            counter = self._counted[route, status] = self._requests.labels(route, str(status))
            self._timed.setdefault(route, self._seconds.labels(route))
        counter.inc()
        self._timed[route].observe(seconds)

    def page(self) -> bytes:
        """Return the page in Prometheus' text format."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _label(name: str) -> str:
    return re.sub(r"\W", "_", name, flags=re.ASCII)
