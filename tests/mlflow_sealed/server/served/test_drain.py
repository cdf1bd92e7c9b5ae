"""How the server ends: what it has accepted is answered, and nothing of it stays."""

import email.utils
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from mlflow_sealed import process
from mlflow_sealed.flavor import manifest as manifests
from mlflow_sealed.server.run import supervisor
from mlflow_sealed.server.run.supervisor import LOADER
from tests.mlflow_sealed.server.running import (
    Running,
    answer,
    answers,
    children,
    environment,
    lives,
    named,
    post,
    raw,
    save_slow_model,
    serving,
    task,
    tree,
    until,
)

READY = raw("GET", "/ready", {})
PING = raw("GET", "/ping", {})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_slow_model(tmp_path_factory.mktemp("saved") / "model")


@pytest.fixture
def server(model: Path, tmp_path: Path) -> Iterator[Running]:
    with serving(model, tmp_path) as started:
        started.work(0)  # so that there is a subprocess
        yield started


@contextmanager
def working(server: Running, seconds: float, mark: Path) -> Iterator[socket.socket]:
    """A connection whose request has begun to be worked on."""
    with server.connect() as connection:
        connection.sendall(post(task(seconds, mark)))
        until(lambda: mark.with_suffix(".begun").exists())
        yield connection


def refuses(server: Running) -> bool:
    try:
        server.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def status(server: Running) -> int:
    """The supervisor's exit status, once it ends: it is a child of this process."""
    _, found = os.waitpid(server.pid, 0)
    return os.waitstatus_to_exitcode(found)


def test_what_was_accepted_is_answered_and_the_rest_refused(
    server: Running, tmp_path: Path
) -> None:
    processes = server.processes()
    assert len(processes) == 4
    with (
        server.connect() as idle,
        server.connect() as asking,
        working(server, 1.5, tmp_path / "slow") as slow,
    ):
        for connection in (idle, asking):
            connection.sendall(READY)
            assert answer(connection)[0] == 200
        slow.sendall(PING + post(task(0)))  # before the answer to the first
        begin = time.monotonic()
        os.kill(server.pid, signal.SIGTERM)
        until(lambda: refuses(server), timeout_s=2)
        asking.sendall(READY)
        assert answer(asking)[0] == 503
        assert asking.recv(1) == b""
        assert not (tmp_path / "slow.ended").exists()
        found = answers(slow)
        assert idle.recv(1) == b""
    assert found[0][0] == 200
    assert b'"pid"' in found[0][1]
    assert status(server) == 0
    assert 1 < time.monotonic() - begin < supervisor.GRACE_S
    assert not any(map(lives, processes))
    assert list(server.temporary.iterdir()) == []


def test_requests_that_wait_for_their_turn_are_answered(server: Running, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool, working(server, 0.5, tmp_path / "first") as first:
        waiting = [pool.submit(server.work, 0.1) for _ in range(6)]
        until(lambda: server.samples()["scoring_requests_in_flight"] == 7)
        os.kill(server.pid, signal.SIGTERM)
        assert answer(first)[0] == 200
        assert [one.result().status_code for one in waiting] == [200] * 6
    assert status(server) == 0


def test_a_request_whose_body_is_still_coming_is_answered(server: Running) -> None:
    body = post(task(0))
    with server.connect() as connection:
        connection.sendall(body[:-5])
        until(lambda: server.samples()["scoring_requests_in_flight"] == 1)
        os.kill(server.pid, signal.SIGTERM)
        until(lambda: refuses(server), timeout_s=2)
        connection.sendall(body[-5:])
        assert answer(connection)[0] == 200
    assert status(server) == 0


DELAY_S = 3
"""How long a server of these tests takes new connections after SIGTERM."""


@pytest.fixture
def patient(model: Path, tmp_path: Path) -> Iterator[Running]:
    with serving(model, tmp_path, workers=2, SCORING_DRAIN_DELAY_S=str(DELAY_S)) as started:
        started.work(0)
        yield started


def asked(server: Running, request: bytes) -> int:
    """The status that a new connection gets, which is closed with the answer."""
    with server.connect() as connection:
        connection.sendall(request)
        [(found, _)] = answers(connection)
    return found


def test_new_connections_are_answered_after_sigterm_for_as_long_as_is_set(
    patient: Running, tmp_path: Path
) -> None:
    with patient.connect() as kept:
        kept.sendall(READY)
        assert answer(kept)[0] == 200
        os.kill(patient.pid, signal.SIGTERM)
        begin = time.monotonic()
        time.sleep(0.3)  # by then both workers have the signal
        found = []
        while time.monotonic() - begin < DELAY_S - 0.5:
            found.append(tuple(asked(patient, one) for one in (READY, PING, post(task(0)))))
        kept.sendall(PING)
        assert [one[0] for one in answers(kept)] == [200], "it is not closed with the answer"
    assert len(found) > 5
    assert set(found) == {(503, 200, 200)}
    sent = email.utils.parsedate_to_datetime(patient.get("/ping").headers["Date"]).timestamp()
    assert abs(time.time() - sent) < 2, "the time of SIGTERM"
    with working(patient, 1.5, tmp_path / "late") as late:
        until(lambda: refuses(patient), timeout_s=2)
        assert DELAY_S <= time.monotonic() - begin < DELAY_S + 2
        assert answer(late)[0] == 200
    assert status(patient) == 0
    assert time.monotonic() - begin < supervisor.GRACE_S


def test_ctrl_c_ends_it_too(server: Running) -> None:
    processes = server.processes()
    os.killpg(server.pid, signal.SIGINT)
    assert status(server) == 0
    assert not any(map(lives, processes))
    assert "Traceback" not in server.log.read_text(encoding="utf-8")


def test_a_worker_that_was_killed_leaves_no_subprocess(server: Running, tmp_path: Path) -> None:
    before = set(server.processes()) - {server.pid, server.loader()}
    assert len(before) == 2
    with working(server, 5, tmp_path / "slow"):
        os.kill(server.workers()[0], signal.SIGKILL)
        until(lambda: not any(map(lives, before)), timeout_s=5)
    assert server.work(0).status_code == 200
    assert not (tmp_path / "slow.ended").exists()


@pytest.mark.parametrize("name", ["scoring-loader", "scoring-worker", "scoring-slow"])
def test_whichever_of_the_processes_is_killed_the_next_requests_are_answered(
    server: Running, name: str
) -> None:
    (killed,) = named(name, server.processes())
    os.kill(killed, signal.SIGKILL)
    until(lambda: not lives(killed))
    until(lambda: answered(server) and sum(map(lives, server.processes())) == 4)
    assert len(named(name, server.processes())) == 1


def test_while_the_model_is_loaded_again_the_workers_answer_and_then_new_ones_do(
    tmp_path: Path,
) -> None:
    quick = save_slow_model(tmp_path / "quick", example_s=0)
    with serving(quick, tmp_path, workers=2, SCORING_INLINE_MS="100") as server:
        before, killed = set(server.workers()), server.loader()
        os.kill(killed, signal.SIGKILL)
        statuses = []
        while set(server.workers()) & before or len(server.workers()) < 2:
            statuses.append(server.work(0).status_code)
        assert set(statuses) == {200}
        assert len(statuses) > 2
        assert server.loader() != killed
        said = server.said()
        assert f"{LOADER} was killed by SIGKILL: started again" in said
        assert "replaced" not in said


def answered(server: Running) -> bool:
    try:
        return server.work(0).status_code == 200
    except requests.ConnectionError:
        return False


def test_a_supervisor_that_was_killed_leaves_nothing_once_what_was_accepted_is_answered(
    server: Running, tmp_path: Path
) -> None:
    processes = server.processes()
    with working(server, 1, tmp_path / "slow") as slow:
        os.kill(server.pid, signal.SIGKILL)
        assert answer(slow)[0] == 200
    until(lambda: not any(map(lives, processes)), timeout_s=5)
    assert refuses(server)


def test_sigterm_while_the_model_loads_ends_it_at_once(model: Path, tmp_path: Path) -> None:
    port, hanging = process.free_port(), tmp_path / "model"
    shutil.copytree(model, hanging)
    with (hanging / "slow_model.py").open("a", encoding="utf-8") as file:
        file.write("time.sleep(600)\n")
    manifest = json.dumps(manifests.digests(hanging))
    (hanging / manifests.MANIFEST).write_text(manifest, encoding="utf-8")
    command = [sys.executable, "-m", "mlflow_sealed.server.run", str(hanging)]
    environ = {**environment(), "HOST": "127.0.0.1", "PORT": str(port)}
    with process.background(command, port=port, timeout_s=60, env=environ) as started:
        until(lambda: bool(children(started.pid)))
        processes = tree(started.pid)
        time.sleep(1)
        begin = time.monotonic()
        started.terminate()
        assert started.wait(10) == 0
        assert time.monotonic() - begin < 5
        assert not any(map(lives, processes))
