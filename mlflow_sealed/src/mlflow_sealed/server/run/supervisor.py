"""The supervisor: check the model, keep the workers alive, drain them at the end.

It is process 1 of the container, and starts ``worker.py`` on a socket that it holds. It imports
little, and stays small.
"""

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import IO, Final

from mlflow_sealed.flavor import manifest
from mlflow_sealed.server.settings import StartError, address, worker_count

CANNOT_START: Final = 3
"""The exit status where the model, or a setting, is not fit to be served."""

GRACE_S: Final = 25
"""How long a request that was accepted may take after SIGTERM."""

_DEATHS: Final = 5
_DEATHS_WITHIN_S: Final = 60


class Supervisor:
    """Process 1: holds the listening socket, starts the workers, replaces and drains them.

    A worker that is killed is replaced; one that ends by itself, or workers that are killed again
    and again, end the container with a status that is not 0: whoever started it sees it then.
    """

    def __init__(self, environ: Mapping[str, str], model: Path) -> None:
        self._model = model
        self._count = worker_count(environ)
        self._host, self._port = address(environ)
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._deaths: list[float] = []
        self._ending = False
        self._counts = ""

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT (0), or until it cannot go on (another status)."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        manifest.check(self._model)
        listener = _listen(self._host, self._port)
        with _counts() as self._counts:
            try:
                status = self._serve(listener)
            finally:
                listener.close()  # before the workers close theirs: nobody waits in a dead queue
                drained = self._drain()
        return status or drained

    def _serve(self, listener: socket.socket) -> int:
        # The first alone: what cannot be served says so once, not once a worker.
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
        """Start a worker and return a pipe: a byte once it serves, its end if it never does."""
        serves, tell = os.pipe()
        arguments = (str(listener.fileno()), str(tell), str(self._model))
        # No bytecode: it would be in the model's folder, which has to stay as it was logged.
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
                _forget(self._counts, worker.pid)
                if status := self._failed(worker.returncode):
                    return status
                print(f"worker {worker.pid} ended: replaced", file=sys.stderr, flush=True)
                self._start(listener)
            _reap_orphans(self._workers)
            time.sleep(0.05)
        return 0

    def _failed(self, status: int) -> int:
        """Return 0 if a worker with this exit status is to be replaced, else ours."""
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
        deadline = time.monotonic() + GRACE_S + 2
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


@contextlib.contextmanager
def _counts() -> Iterator[str]:
    """Give a folder where the workers write what they count, and remove it."""
    try:
        folder = tempfile.mkdtemp(prefix="scoring-")
    except OSError as error:
        raise StartError(
            f"no folder for temporary files can be written to ({error.strerror}): give the "
            "container one with --tmpfs /tmp, or set TMPDIR"
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _forget(counts: str, pid: int) -> None:
    """Remove what a worker that ended has said of the moment; what it has counted stays."""
    for path in Path(counts).glob(f"gauge_live*_{pid}.db"):
        path.unlink(missing_ok=True)


def _reap_orphans(workers: Mapping[int, object]) -> None:
    """Collect what was left to process 1 by others, but not the workers."""
    with contextlib.suppress(ChildProcessError):
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found and found.si_pid not in workers:
            os.waitpid(found.si_pid, os.WNOHANG)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise StartError(f"cannot listen on {host} port {port}: {error.strerror}") from None
    listener.listen(2048)
    listener.setblocking(False)  # noqa: FBT003 # the socket's own signature
    return listener
