"""What /metrics counts, over all workers and over a worker's end."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import yaml

from mlflow_sealed.flavor import manifest as manifests
from mlflow_sealed.server.asgi.delayed_write import LAG_S
from mlflow_sealed.server.metrics import BUCKETS_S
from tests.mlflow_sealed.server.running import (
    Running,
    save_slow_model,
    serving,
    task,
    until,
)
from tests.package import VERSION

ROUTE = 'route="/invocations"'
ANSWERED = f'scoring_requests_total{{{ROUTE},status="200"}}'
ROWS = "scoring_rows_total"
FLYING = "scoring_requests_in_flight"
TIMED = f"scoring_request_duration_seconds_count{{{ROUTE}}}"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The slow model as it is when it comes from a registry."""
    path = save_slow_model(tmp_path_factory.mktemp("saved") / "model")
    described = yaml.safe_load((path / "MLmodel").read_text(encoding="utf-8"))
    described["metadata"] = {"mypreprocessing": VERSION, "git_commit": "abc", "other": {"a": 1}}
    (path / "MLmodel").write_text(yaml.safe_dump(described), encoding="utf-8")
    (path / manifests.MANIFEST).write_text(json.dumps(manifests.digests(path)), encoding="utf-8")
    registered = {"model_name": "sleeper", "model_version": 7}
    (path / "registered_model_meta").write_text(yaml.safe_dump(registered), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Running]:
    with serving(
        model, tmp_path_factory.mktemp("metrics"), workers=2, SCORING_INLINE_MS="0"
    ) as started:
        yield started


def test_requests_and_rows_add_up_over_the_workers(server: Running) -> None:
    before = server.samples()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(server.post, [task(0, rows=one % 3 + 1) for one in range(60)]))
    used = {answer.json()["predictions"][0]["pid"] for answer in answers}
    assert len(used) == 2, "one worker has had all of them"
    after = server.samples()
    assert after[ANSWERED] - before.get(ANSWERED, 0) == 60
    assert after[ROWS] - before.get(ROWS, 0) == 120
    assert after[TIMED] - before.get(TIMED, 0) == 60


def test_every_worker_gives_the_same_page(server: Running) -> None:
    answered = {server.samples(settled=number == 0)[ANSWERED] for number in range(20)}
    assert len(answered) == 1


def test_errors_are_counted_by_their_status_and_add_no_row(server: Running) -> None:
    sent: dict[int, Callable[[], requests.Response]] = {
        400: lambda: server.post(b"{}"),
        415: lambda: server.post(b"{}", "text/plain"),
        405: lambda: server.get("/invocations"),
        413: lambda: server.post(b" " * 5_000_000),
    }
    before = server.samples()
    for status, send in sent.items():
        assert send().status_code == status
    after = server.samples()
    for status in sent:
        name = f'scoring_requests_total{{{ROUTE},status="{status}"}}'
        assert after[name] - before.get(name, 0) == 1
    assert after[ROWS] == before[ROWS]


def test_the_histogram_has_each_request_where_its_time_is(server: Running) -> None:
    total = f"scoring_request_duration_seconds_sum{{{ROUTE}}}"
    before = server.samples()
    server.work(0.3)
    after = server.samples()

    def gained(bound: float | str) -> float:
        name = f'scoring_request_duration_seconds_bucket{{le="{bound}",{ROUTE}}}'
        return after[name] - before[name]

    assert [gained(bound) for bound in BUCKETS_S if bound <= 0.25] == [0] * 9
    assert [gained(bound) for bound in BUCKETS_S if bound >= 5] == [1] * 4
    assert gained("+Inf") == 1
    assert 0.3 < after[total] - before[total] < 5


def test_requests_in_flight_are_those_that_are_not_answered(server: Running) -> None:
    assert server.samples()[FLYING] == 0
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(server.work, 1.2) for _ in range(4)]
        until(lambda: server.samples()[FLYING] == 4)
        assert all(one.result().status_code == 200 for one in running)
    assert server.samples()[FLYING] == 0


def test_a_worker_that_was_killed_leaves_its_counts_and_nothing_in_flight(
    server: Running, tmp_path: Path
) -> None:
    before = server.samples()
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(server.work, 5, tmp_path / str(one)) for one in range(6)]
        until(lambda: server.samples()[FLYING] == 6)
        killed = server.workers()
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        assert all(one.exception() is not None for one in running)
    until(lambda: not set(killed) & set(server.workers()))
    after = server.samples()
    assert after[FLYING] == 0
    assert after[ANSWERED] == before[ANSWERED]
    assert server.work(0).status_code == 200
    assert server.samples()[ANSWERED] == before[ANSWERED] + 1


def test_what_is_served_is_named_by_its_versions(server: Running) -> None:
    (info,) = [name for name in server.samples() if name.startswith("scoring_model_info")]
    assert server.samples()[info] == 1
    for label in (
        'model="sleeper"',
        'version="7"',
        f'mypreprocessing="{VERSION}"',
        'git_commit="abc"',
    ):
        assert label in info
    assert "other" not in info


def test_nothing_that_a_client_sends_is_in_the_page(server: Running) -> None:
    planted = "planted-4711"
    body = json.dumps({"inputs": [{"seconds": 0, planted: 1}]})
    sends: tuple[Callable[[], requests.Response], ...] = (
        lambda: server.post(body),
        lambda: server.post(task(0), headers={"X-Request-Id": planted}),
        lambda: server.post(task(0), f"text/{planted}"),
        lambda: server.get(f"/{planted}"),
        lambda: server.get(f"/ping?{planted}"),
        lambda: server.get("/ping", {"User-Agent": planted}),
    )
    for send in sends:
        send()
    time.sleep(10 * LAG_S)
    page = server.get("/metrics").text
    assert planted not in page
    assert 'route="other"' in page


def test_the_page_is_in_prometheus_text_format(server: Running) -> None:
    found = server.get("/metrics")
    assert found.headers["Content-Type"].startswith("text/plain; version=")
    lines = found.text.splitlines()
    names = {name.partition("{")[0] for name in server.samples()}
    documented = {line.split()[2] for line in lines if line.startswith("# HELP ")}
    assert names
    for name in names:
        assert any(name.startswith(one) for one in documented)


def test_without_metrics_nothing_is_counted_and_there_is_no_page(
    model: Path, tmp_path: Path
) -> None:
    with serving(model, tmp_path, SCORING_METRICS="0") as server:
        assert server.work(0).status_code == 200
        assert server.get("/metrics").status_code == 404
        assert not list(server.temporary.rglob("*.db"))
