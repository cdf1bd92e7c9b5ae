"""What the server uses of prometheus-client's insides is there, and needed."""

import os
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.multiprocess import mark_process_dead

from mlflow_sealed.server import prometheus_compat


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    prometheus_compat.count_in_this_process()
    registry = CollectorRegistry()
    Counter("requests", "Requests", registry=registry).inc()
    Gauge("in_flight", "Under way", multiprocess_mode="livesum", registry=registry).set(3)
    Gauge("info", "Info", multiprocess_mode="max", registry=registry).set(1)
    return tmp_path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_is_counted_is_in_the_files_of_this_process(folder: Path) -> None:
    pid = os.getpid()
    assert names(folder) == {f"counter_{pid}.db", f"gauge_livesum_{pid}.db", f"gauge_max_{pid}.db"}


def test_a_value_does_not_ask_for_the_process_id(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = names(folder)
    registry = CollectorRegistry()
    counter = Counter("more", "More", registry=registry)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    counter.inc()
    assert names(folder) == before


def test_of_a_process_that_ended_the_live_gauges_go(folder: Path) -> None:
    pid = os.getpid()
    prometheus_compat.forget_process(str(folder), pid)
    assert names(folder) == {f"counter_{pid}.db", f"gauge_max_{pid}.db"}


def test_control_that_is_what_prometheus_does(folder: Path) -> None:
    pid = os.getpid()
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
    assert names(folder) == {f"counter_{pid}.db", f"gauge_max_{pid}.db"}


def test_amounts_observed_together_count_as_those_observed_one_by_one() -> None:
    amounts = [0.0, 0.5, 0.5, 0.500001, 1, 3, 7.25, 1e9]
    together, alone = (
        Histogram("seconds", "Time", buckets=(0.5, 1, 5), registry=CollectorRegistry())
        for _ in range(2)
    )
    for amount in amounts:
        alone.observe(amount)
    prometheus_compat.observe_all(together, amounts[:3])
    prometheus_compat.observe_all(together, amounts[3:])
    samples = [
        [
            (sample.name, sample.labels, sample.value)
            for sample in next(iter(histogram.collect())).samples
        ]
        for histogram in (together, alone)
    ]
    assert len(samples[0]) > 5
    assert [each for each in samples[0] if "created" not in each[0]] == [
        each for each in samples[1] if "created" not in each[0]
    ]
