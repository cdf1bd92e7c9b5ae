"""The supervisor: checks the model, keeps the workers alive, and drains them at the end.

It is process 1 of the container, and starts ``worker.py`` on a socket that it holds. It imports
little, and stays small.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import IO, Final

from mlflow_sealed.flavor import manifest
from mlflow_sealed.server import prometheus_compat
from mlflow_sealed.server.run.counts import counts_folder
from mlflow_sealed.server.run.listening import address, listen
from mlflow_sealed.server.settings import retired, worker_count

CANNOT_START: Final = 3
"""The exit status if the model or a setting is invalid."""

GRACE_S: Final = 25
"""How long a request that was accepted may take after SIGTERM."""

MARGIN_S: Final = 2
"""How long after that a worker that has not ended is killed."""

_DEATHS: Final = 5
_DEATHS_WITHIN_S: Final = 60


class Supervisor:
    """Process 1: holds the listening socket, starts the workers, replaces and drains them.

    A worker that is killed is replaced. If one ends by itself, or workers are killed again and
    again, the supervisor ends with a status that is not 0.

    Parameters
    ----------
    environ
        The settings.
    model
        The model's folder.
    """

    def __init__(self, environ: Mapping[str, str], model: Path) -> None:
        self._model = model
        self._count = worker_count(environ)
        self._host, self._port = address(environ)
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._deaths: list[float] = []
        self._ending = False
        self._counts = ""
        self._warnings = retired(environ)
        self._environ = environ

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT, and return 0; return another status if it cannot go on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        for warning in self._warnings:
            print(warning, file=sys.stderr, flush=True)
        manifest.check(self._model)
        listener = listen(self._host, self._port)
        with counts_folder(self._environ) as self._counts:
            try:
                status = self._serve(listener)
            finally:
                listener.close()  # before the workers close theirs: no client waits in a dead queue
                drained = self._drain()
        return status or drained

    def _serve(self, listener: socket.socket) -> int:
        # The first worker alone: an error is printed once, not by each worker.
        with self._start(listener) as serves:
            while not self._ending and not select.select([serves], [], [], 0.05)[0]:
                pass
            if self._ending:
                return 0
            if not serves.read(1):
                return CANNOT_START
        print(
            f"serving on {self._host} port {self._port}, workers: {self._count}",
            file=sys.stderr,
            flush=True,
        )
        for _ in range(self._count - 1):
            self._start(listener)
        return self._watch(listener)

    def _start(self, listener: socket.socket) -> IO[bytes]:
        """Start a worker; return a pipe that gets a byte once it serves, or else just ends."""
        serves, tell = os.pipe()
        arguments = (str(listener.fileno()), str(tell), str(self._model))
        # -B: bytecode in the model's folder would change it, and it must stay as it was logged.
        command = [sys.executable, "-B", "-m", "mlflow_sealed.server.run.worker", *arguments]
        environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": self._counts}
        worker = subprocess.Popen(command, env=environ, pass_fds=(listener.fileno(), tell))
        self._workers[worker.pid] = worker
        os.close(tell)
        return os.fdopen(serves, "rb")

    def _watch(self, listener: socket.socket) -> int:
        while not self._ending:
            ended = [worker for worker in self._workers.values() if worker.poll() is not None]
            for worker in ended:
                del self._workers[worker.pid]
                prometheus_compat.forget_process(self._counts, worker.pid)
                if status := self._failed(worker.returncode):
                    return status
                print(f"worker {worker.pid} ended: replaced", file=sys.stderr, flush=True)
                self._start(listener)
            _reap_orphans(self._workers)
            time.sleep(0.05)
        return 0

    def _failed(self, status: int) -> int:
        """Return 0 to replace a worker that ended with this status, else the exit status."""
        if self._ending:
            return 0
        if status > 0:
            return status
        now = time.monotonic()
        self._deaths = [death for death in self._deaths if now - death < _DEATHS_WITHIN_S] + [now]
        if len(self._deaths) > _DEATHS:
            print("error: workers are killed again and again", file=sys.stderr, flush=True)
            return 1
        return 0

    def _drain(self) -> int:
        for worker in self._workers.values():
            worker.terminate()
        deadline = time.monotonic() + GRACE_S + MARGIN_S
        for worker in self._workers.values():
            try:
                worker.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                print("error: a worker did not end in time: killed", file=sys.stderr, flush=True)
                return 1
        return 0

    def _end(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._ending = True


def _reap_orphans(workers: Mapping[int, object]) -> None:
    """Reap the orphans that process 1 inherits, but not the workers."""
    with contextlib.suppress(ChildProcessError):
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found and found.si_pid not in workers:
            os.waitpid(found.si_pid, os.WNOHANG)
