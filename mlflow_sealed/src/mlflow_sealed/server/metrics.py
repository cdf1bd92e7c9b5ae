"""What a worker counts, and the page that sums it up over all workers, for Prometheus."""

import re
from collections import Counter as Counted
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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

from mlflow_sealed.server import prometheus_compat
from mlflow_sealed.server.served import Served

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
        prometheus_compat.count_in_this_process()
        # Not the global registry: a page is made from what all workers have written.
        own = CollectorRegistry()
        self._requests = Counter(
            "scoring_requests", "Requests answered", ("route", "status"), registry=own
        )
        self._seconds = Histogram(
            "scoring_request_duration_seconds",
            "Time from a request's head to its answer",
            ("route",),
            buckets=BUCKETS_S,
            registry=own,
        )
        self._rows = Counter("scoring_rows", "Rows predicted", registry=own)
        self._in_flight_gauge = Gauge(
            "scoring_requests_in_flight",
            "Requests to /invocations that are being received, checked or answered",
            multiprocess_mode="livesum",
            registry=own,
        )
        _set_model_info(identity, own)
        self._counters: dict[tuple[str, int], Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        self._unwritten: list[Served] = []
        self._in_flight = self._in_flight_written = 0

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Count a request for predictions as in flight until it has its response."""
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1

    def note(self, served: Served) -> None:
        """Count a request."""
        self._unwritten.append(served)

    def write(self) -> None:
        """Write what was counted since the last time, so that all workers can read it."""
        counted, self._unwritten = self._unwritten, []
        for (route, status), count in Counted((one.route, one.status) for one in counted).items():
            self._counter(route, status).inc(count)
        for route in {one.route for one in counted}:
            seconds = [one.seconds for one in counted if one.route == route]
            prometheus_compat.observe_all(self._histograms[route], seconds)
        if rows := sum(one.rows for one in counted):
            self._rows.inc(rows)
        if self._in_flight != self._in_flight_written:
            self._in_flight_written = self._in_flight
            self._in_flight_gauge.set(self._in_flight)

    def page(self) -> bytes:
        """Return the page in Prometheus' text format."""
        self.write()
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _counter(self, route: str, status: int) -> Counter:
        counter = self._counters.get((route, status))
        if counter is None:
            counter = self._counters[route, status] = self._requests.labels(route, str(status))
            self._histograms.setdefault(route, self._seconds.labels(route))
        return counter


def _set_model_info(identity: Mapping[str, str], registry: CollectorRegistry) -> None:
    labels = {_label(name): value for name, value in identity.items()}
    info = Gauge(
        "scoring_model_info",
        "The model that is served; always 1",
        tuple(labels),
        multiprocess_mode="max",
        registry=registry,
    )
    info.labels(**labels).set(1)


def _label(name: str) -> str:
    return re.sub(r"\W", "_", name, flags=re.ASCII)
