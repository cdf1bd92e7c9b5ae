"""A model that takes its time: the limit on it, the queue before it, and what goes on meanwhile."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from mlflow_sealed.server.asgi.inline_policy import SMALL_BYTES
from tests.mlflow_sealed.server.running import (
    Running,
    lives,
    named,
    save_slow_model,
    serving,
    task,
    until,
)

SECONDS = 2
WAITING = 3
INLINE_MS = "100"  # the default is for a machine that has the time
SHORT_S = 0.6  # for what is answered at once; a machine that is busy needs some of it


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_slow_model(tmp_path_factory.mktemp("saved") / "model")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Running]:
    with serving(
        model,
        tmp_path_factory.mktemp("slow"),
        traced=True,
        SCORING_MAX_REQUESTS=str(WAITING),
        MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT=str(SECONDS),
    ) as started:
        yield started


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The same model, which is believed to be quick: its example takes no time."""
    folder = tmp_path_factory.mktemp("quick")
    model = save_slow_model(folder / "model", example_s=0)
    with serving(model, folder, SCORING_INLINE_MS=INLINE_MS) as started:
        yield started


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as made:
        yield made


def begun(mark: Path) -> bool:
    return mark.with_suffix(".begun").exists()


def ended(mark: Path) -> bool:
    return mark.with_suffix(".ended").exists()


def subprocesses(server: Running) -> set[int]:
    """The subprocesses of the workers."""
    return set(named("scoring-slow", server.processes()))


def timed(call: Callable[[], requests.Response]) -> tuple[requests.Response, float]:
    begin = time.monotonic()
    return call(), time.monotonic() - begin


def meanwhile(
    call: Callable[[], requests.Response], running: "Future[requests.Response]"
) -> list[float]:
    """Return how long each of the calls took that fit in while something else runs."""
    took = []
    while not running.done():
        found, seconds = timed(call)
        assert found.status_code == 200
        took.append(seconds)
        time.sleep(0.05)
    return took


def test_a_request_whose_time_is_up_gets_a_504_and_the_work_is_over(
    server: Running, tmp_path: Path
) -> None:
    server.work(0)
    before = subprocesses(server)
    answer, took = timed(lambda: server.work(SECONDS + 1, tmp_path / "late"))
    assert answer.status_code == 504
    assert "took too long" in answer.json()["message"]
    assert SECONDS - 0.1 < took < SECONDS + SHORT_S
    assert begun(tmp_path / "late")
    assert len(before) == 1
    until(lambda: not subprocesses(server) & before, timeout_s=1)
    time.sleep(1.5)
    assert not ended(tmp_path / "late")


def test_a_request_within_the_time_is_answered_by_a_subprocess(
    server: Running, tmp_path: Path
) -> None:
    answer = server.work(SECONDS - 1, tmp_path / "early")
    assert answer.status_code == 200
    assert answer.json()["predictions"][0]["pid"] in subprocesses(server)
    assert ended(tmp_path / "early")


def test_a_request_whose_time_is_up_before_its_turn_never_begins(
    server: Running, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    first = pool.submit(server.work, SECONDS + 1, tmp_path / "first")
    until(lambda: begun(tmp_path / "first"))
    second = pool.submit(server.work, 0, tmp_path / "second")
    time.sleep(0.2)
    third = pool.submit(server.work, SECONDS + 1, tmp_path / "third")
    # The second comes to its turn once the first is killed, shortly before its own time is up.
    assert first.result().status_code == 504
    assert second.result().status_code in {200, 504}
    assert third.result().status_code == 504
    time.sleep(1)
    assert not ended(tmp_path / "third")
    assert server.work(0).status_code == 200


def test_requests_beyond_the_queue_get_a_503_at_once_and_are_not_begun(
    server: Running, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    marks = [tmp_path / str(number) for number in range(WAITING + 3)]
    accepted = [pool.submit(server.work, 0.5, mark) for mark in marks[:WAITING]]
    until(lambda: any(map(begun, marks)))
    until(lambda: in_flight(server) == WAITING)
    for mark in marks[WAITING:]:
        answer, took = timed(lambda mark=mark: server.work(0.5, mark))  # type: ignore[misc]
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "1"
        assert answer.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
        assert took < SHORT_S
    assert [one.result().status_code for one in accepted] == [200] * WAITING
    assert [begun(mark) for mark in marks] == [True] * WAITING + [False] * 3
    assert server.work(0).status_code == 200


def in_flight(server: Running) -> float:
    return server.samples()["scoring_requests_in_flight"]


@pytest.mark.parametrize("path", ["/ping", "/ready", "/metrics", "/openapi.json"])
def test_probes_are_answered_while_the_model_works(
    server: Running, pool: ThreadPoolExecutor, path: str
) -> None:
    working = pool.submit(server.work, 1)
    took = meanwhile(lambda: server.get(path), working)
    assert len(took) >= 3
    assert max(took) < SHORT_S
    assert working.result().status_code == 200


def test_small_requests_are_answered_while_a_large_one_runs(
    quick: Running, pool: ThreadPoolExecutor
) -> None:
    large = task(0.003, rows=500)
    assert len(large) > SMALL_BYTES
    running = pool.submit(quick.post, large)
    took = meanwhile(lambda: quick.work(0), running)
    assert len(took) >= 5
    assert max(took) < SHORT_S
    (worker,) = quick.workers()
    assert running.result().json()["predictions"][0]["pid"] != worker
    assert quick.work(0).json()["predictions"] == [{"pid": worker}]


def test_control_small_requests_wait_for_one_that_is_answered_in_the_event_loop(
    quick: Running, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    running = pool.submit(quick.work, 1.5, tmp_path / "inline")
    until(lambda: begun(tmp_path / "inline"))
    _, took = timed(lambda: quick.work(0))
    assert took > SHORT_S
    (worker,) = quick.workers()
    assert running.result().json()["predictions"] == [{"pid": worker}]


def test_a_model_that_turns_out_to_be_slow_moves_to_the_subprocess_until_it_is_quick(
    quick: Running,
) -> None:
    (worker,) = quick.workers()
    until(lambda: quick.work(0.3).json()["predictions"][0]["pid"] != worker, timeout_s=10)
    until(lambda: quick.work(0).json()["predictions"][0]["pid"] == worker, timeout_s=30)


def test_one_answer_that_takes_long_does_not_send_the_next_ones_away(quick: Running) -> None:
    (worker,) = quick.workers()
    until(lambda: quick.work(0).json()["predictions"][0]["pid"] == worker, timeout_s=30)
    assert quick.work(2).json()["predictions"] == [{"pid": worker}]
    assert quick.work(0).json()["predictions"] == [{"pid": worker}]


def test_with_no_time_in_the_event_loop_every_request_is_answered_by_the_subprocess(
    tmp_path: Path,
) -> None:
    model = save_slow_model(tmp_path / "model", example_s=0)
    with serving(model, tmp_path, SCORING_INLINE_MS="0") as server:
        found = {server.work(0).json()["predictions"][0]["pid"] for _ in range(3)}
        assert len(found) == 1
        assert found == subprocesses(server)


def test_a_model_that_hangs_in_the_event_loop_costs_its_worker_and_no_more(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    model = save_slow_model(tmp_path / "model", example_s=0)
    with serving(
        model,
        tmp_path,
        MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT="1",
        SCORING_INLINE_MS=INLINE_MS,
    ) as server:
        (before,) = server.workers()
        hangs = pool.submit(server.work, 5, tmp_path / "hangs")
        with pytest.raises(requests.ConnectionError):
            hangs.result()
        until(lambda: server.workers() not in ([], [before]))
        assert server.get("/ready").status_code == 200
        assert server.work(0).status_code == 200
        assert not lives(before)
        assert f"worker {before} was killed: the model held it up for longer" in server.said()
        time.sleep(max(0, 5 - 1))
        assert not ended(tmp_path / "hangs")


def test_a_subprocess_that_is_killed_is_a_500_and_the_next_request_is_answered(
    server: Running, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    worker_pid = server.work(0).json()["predictions"][0]["pid"]
    working = pool.submit(server.work, 1.5, tmp_path / "killed")
    until(lambda: begun(tmp_path / "killed"))
    os.kill(worker_pid, 9)
    assert working.result().status_code == 500
    assert "ended before it answered" in working.result().json()["message"]
    assert server.work(0).json()["predictions"][0]["pid"] != worker_pid
