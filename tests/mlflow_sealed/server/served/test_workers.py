"""One load, many workers: what they share, what replaces them, and models that cannot be shared."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from mlflow_sealed import process
from mlflow_sealed.flavor import manifest as manifests
from mlflow_sealed.server.cgroup_memory import process_bytes
from mlflow_sealed.server.run.supervisor import CANNOT_START, LOADER
from tests.mlflow_sealed.server.running import (
    JSON,
    Running,
    environment,
    python_path,
    save_diabetes_model,
    save_slow_model,
    serving,
    task,
    until,
)

COUNT_LOADS = """
with open(os.environ["LOADS"], "a") as file:
    print(os.getpid(), file=file)
"""
INLINE_MS = "100"
UNSHARED = {
    "a thread": (
        "import threading; threading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
        "it has started threads",
    ),
    "a connection": (
        "import socket; kept = socket.socketpair()",
        "it holds files or connections open",
    ),
    "the main thread": (
        "import signal; signal.signal(signal.SIGUSR1, signal.SIG_IGN)",
        "it can be loaded in the main thread only",
    ),
    "a process": (
        """
LOADED_BY = os.getpid()
_work = SlowModel._work
def _work_there(self, task):
    if os.environ.get("PROCESS") == "loaded" and os.getpid() != LOADED_BY:
        raise RuntimeError("another process than the one that has loaded the model")
    return _work(self, task)
SlowModel._work = _work_there
""",
        "a forked one does not answer",
    ),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_slow_model(tmp_path_factory.mktemp("saved") / "model", example_s=0)


def extended(model: Path, path: Path, code: str) -> Path:
    """Return a copy of the model that runs more code when it is loaded."""
    shutil.copytree(model, path)
    with (path / "slow_model.py").open("a", encoding="utf-8") as file:
        file.write(f"\n{code}\n")
    manifest = json.dumps(manifests.digests(path))
    (path / manifests.MANIFEST).write_text(manifest, encoding="utf-8")
    return path


def test_a_model_is_loaded_once_and_a_killed_worker_costs_no_other_load(
    model: Path, tmp_path: Path
) -> None:
    loads = tmp_path / "loads"
    counting = extended(model, tmp_path / "model", COUNT_LOADS)
    with serving(
        counting, tmp_path, workers=3, LOADS=str(loads), SCORING_INLINE_MS=INLINE_MS
    ) as server:
        before = server.workers()
        assert server.work(0).status_code == 200
        for pid in before:
            resident, private = process_bytes(pid)
            assert private < resident / 3
        for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM):
            killed = server.workers()[0]
            os.kill(killed, number)
            took = until(lambda killed=killed: killed not in server.workers())  # type: ignore[misc]
            took += until(lambda: len(server.workers()) == 3)
            assert took < 2  # 0.1 on a machine that is quiet: benchmarks/workers.py
            assert server.work(0).status_code == 200
            reason = (
                "ended with exit status 0"
                if number == signal.SIGTERM
                else (f"was killed by {number.name}")
            )
            assert f"worker {killed} {reason}: replaced\n" in server.said()
        killed_together = server.workers()[:2]
        for pid in killed_together:
            os.kill(pid, signal.SIGKILL)
        until(lambda: not {*killed_together} & {*server.workers()})
        assert until(lambda: len(server.workers()) == 3) < 0.9  # without a signal it takes 1 s
        assert loads.read_text(encoding="ascii").split() == [str(server.loader())]
        assert server.said().startswith("serving on 127.0.0.1 port ")
        assert "workers: 3 (set by MLFLOW_MODELS_WORKERS" in server.said()


def test_the_diabetes_model_is_shared_though_xgboost_loads_it_with_threads(tmp_path: Path) -> None:
    with serving(save_diabetes_model(tmp_path / "model"), tmp_path, workers=2) as server:
        assert "loads the model for itself" not in server.said()
        assert len(list(Path(f"/proc/{server.loader()}/task").iterdir())) <= 2  # jemalloc's


@pytest.mark.parametrize(("code", "reason"), UNSHARED.values(), ids=UNSHARED)
def test_a_model_that_a_fork_would_break_is_loaded_by_each_worker(
    model: Path, tmp_path: Path, code: str, reason: str
) -> None:
    broken = extended(model, tmp_path / "model", COUNT_LOADS + code)
    loads = tmp_path / "loads"
    with serving(
        broken, tmp_path, LOADS=str(loads), PROCESS="loaded", SCORING_INLINE_MS=INLINE_MS
    ) as server:
        assert f"; each loads the model for itself: {reason})" in server.said()
        (worker,) = server.workers()
        assert server.work(0).json()["predictions"] == [{"pid": worker}]
        assert str(worker) in loads.read_text(encoding="ascii").split()
        if "threads" in reason:
            os.kill(worker, signal.SIGKILL)
            until(lambda: server.workers() not in ([], [worker]))
            assert server.work(0).status_code == 200


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("os.kill(os.getpid(), 9)", f"error: {LOADER} was killed by SIGKILL\n"),
        ("os._exit(7)", f"error: {LOADER} ended with exit status 7\n"),
    ],
    ids=["killed", "exit"],
)
def test_a_model_that_cannot_be_loaded_is_one_line(
    model: Path, tmp_path: Path, code: str, said: str
) -> None:
    command = [sys.executable, "-m", "mlflow_sealed.server.run"]
    broken = extended(model, tmp_path / "model", code)
    environ = {**environment(), "HOST": "127.0.0.1", "PORT": str(process.free_port())}
    done = subprocess.run(
        [*command, str(broken)],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (CANNOT_START, "", said)


def test_a_log_that_nothing_reads_stops_nothing(model: Path, tmp_path: Path) -> None:
    port = process.free_port()
    environ = {
        **environment(),
        "PYTHONPATH": python_path(tmp_path),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "MLFLOW_MODELS_WORKERS": "2",
        "SCORING_INLINE_MS": INLINE_MS,
    }
    command = [sys.executable, "-m", "mlflow_sealed.server.run", str(model)]
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as started:
        server = Running(started.pid, port, tmp_path / "none")
        try:
            until(lambda: len(server.workers()) == 2 and pings(server))
            for _ in range(1200):  # a pipe takes some 500 lines
                answers(server)
            killed = server.workers()[0]
            os.kill(killed, signal.SIGKILL)
            until(lambda: len(server.workers()) == 2 and killed not in server.workers())
            assert server.work(0).status_code == 200
        finally:
            started.terminate()
        assert started.stdout
        assert started.stderr
        lines, said = started.stdout.read().splitlines(), started.stderr.read()
    assert started.returncode == 0
    assert len(lines) > 100
    assert {tuple(json.loads(line)) for line in lines} <= {LOGGED, ("time", "dropped_lines")}
    assert f"worker {killed} was killed by SIGKILL: replaced\n" in said


LOGGED = ("time", "id", "route", "status", "rows", "ms")
session = requests.Session()


def answers(server: Running) -> None:
    """Ask for a prediction, and send what has uvicorn write a line of its own."""
    with server.connect() as connection:
        connection.sendall(b"no HTTP\r\n\r\n")
    answer = session.post(
        f"{server.url}/invocations", data=task(0), headers={"Content-Type": JSON}, timeout=5
    )
    assert answer.status_code == 200


def pings(server: Running) -> bool:
    try:
        return server.get("/ping").status_code == 200
    except requests.ConnectionError:
        return False
