"""What a worker counts, and the page that sums it up over all workers, for Prometheus."""

import os
import re
from collections import Counter as Counted
from collections.abc import Mapping
from typing import Final, NamedTuple

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

LAG_S: Final = 0.02
"""How long after an answer the log, and the other workers' pages, may still lack it, in seconds.

What came within it is written together, which costs less than writing each answer alone.
"""

BUCKETS_S: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""The upper bounds of the latency histogram, in seconds."""


class Answer(NamedTuple):
    """What is counted of an answer. The route is one of ours, or ``other``."""

    route: str
    status: int
    rows: int
    seconds: float


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
        # A worker does not count in what it forks: asking for the process id each time costs more
        # than counting does.
        process_id = os.getpid()
        values.ValueClass = values.MultiProcessValue(lambda: process_id)  # type: ignore[no-untyped-call]
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
        self._rows, self._flying = rows, flying
        self._counted: dict[tuple[str, int], Counter] = {}
        self._timed: dict[str, Histogram] = {}
        self._answers: list[Answer] = []
        self._in_flight = self._in_flight_written = 0

    def begin(self) -> None:
        """Count a request to /invocations as in flight."""
        self._in_flight += 1

    def end(self) -> None:
        """Count it no more."""
        self._in_flight -= 1

    def count(self, answer: Answer) -> None:
        """Count one answer."""
        self._answers.append(answer)

    def write(self) -> None:
        """Write what was counted since the last time to where all workers write it."""
        answers, self._answers = self._answers, []
        for (route, status), count in Counted((one.route, one.status) for one in answers).items():
            self._counter(route, status).inc(count)
        for answer in answers:
            self._timed[answer.route].observe(answer.seconds)
        if rows := sum(answer.rows for answer in answers):
            self._rows.inc(rows)
        if self._in_flight != self._in_flight_written:
            self._in_flight_written = self._in_flight
            self._flying.set(self._in_flight)

    def _counter(self, route: str, status: int) -> Counter:
        counter = self._counted.get((route, status))
        if counter is None:
            counter = self._counted[route, status] = self._requests.labels(route, str(status))
            self._timed.setdefault(route, self._seconds.labels(route))
        return counter

    def page(self) -> bytes:
        """Return the page in Prometheus' text format."""
        self.write()
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _label(name: str) -> str:
    return re.sub(r"\W", "_", name, flags=re.ASCII)
