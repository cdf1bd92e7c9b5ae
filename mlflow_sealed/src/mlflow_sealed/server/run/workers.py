"""The workers and the process that forks them, as the supervisor sees them."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final, NamedTuple

from mlflow_sealed.server import prometheus_compat
from mlflow_sealed.server.cgroup_memory import process_bytes
from mlflow_sealed.server.run.loading import ALONE, FAILED, SERVES, Loading, Starting
from mlflow_sealed.server.run.wakeup import Wakeup

_TRIAL_S: Final = 20  # the first worker that is forked answers by then, or none is forked
_READ_BYTES: Final = 4096


class Ended(NamedTuple):
    """A process that has ended.

    Attributes
    ----------
    pid, status
        As `os.waitpid` returns them.
    said
        Why it could not answer requests, if it has said so.
    is_loader
        Whether it is the process that loads the model.
    """

    pid: int
    status: int
    said: str
    is_loader: bool


class Workers:
    """Starts and ends the workers, and tells which have ended.

    Parameters
    ----------
    model
        The model's folder.
    counts
        The folder in which they share their counts.
    listener
        The socket that they serve on.
    wakeup
        What this process waits with.

    Attributes
    ----------
    alone
        Why each worker loads the model for itself; empty as long as they are forked.
    """

    def __init__(self, model: Path, counts: str, listener: socket.socket, wakeup: Wakeup) -> None:
        self._model = model
        self._counts = counts
        self._listener = listener
        self._wakeup = wakeup
        self._ready: dict[int, int] = {}  # of each worker, the pipe with what it says
        self._leaving: set[int] = set()  # those that others have replaced already
        self._loading: Loading | None = None  # None once none is forked any more
        self.alone = ""

    def load(self, *, waits: bool) -> int:
        """Start the process that loads the model.

        Parameters
        ----------
        waits
            Whether to wait until it has loaded it.

        Returns
        -------
        Its wait status if it has ended instead, else 0.
        """
        self._loading = loading = Loading(self._model, self._counts)
        _adopt_orphans()  # now that it runs: nothing is forked before it has loaded the model
        if not waits or self._note(self._wakeup.read(loading.fileno())) or self._wakeup.is_ending:
            return 0
        self._loading = None
        return os.waitpid(loading.pid, 0)[1]

    def start_first(self) -> tuple[int, str]:
        """Start a worker, and wait until it answers.

        Returns
        -------
        Its wait status, 0 if it answers; and what it says if it cannot.
        """
        starting = self._start()
        if not starting.pid:
            return signal.SIGKILL.value, "the kernel starts no more processes: raise the limit"
        told = self._wakeup.read(starting.ready, timeout_s=None if self.alone else _TRIAL_S)
        if told == SERVES or self._wakeup.is_ending:
            return 0, ""
        if told is None:
            os.kill(starting.pid, signal.SIGKILL)
            told = FAILED + b"the first worker does not answer"
        _, status = os.waitpid(starting.pid, 0)
        self._forget(starting.pid)
        return status, told.removeprefix(FAILED).decode()

    def stop_sharing(self, reason: str) -> None:
        """Let each worker load the model for itself from now on."""
        self.alone = reason
        if self._loading:
            self._loading.end()
            self._loading = None

    def sizes(self) -> tuple[int, int]:
        """Return the bytes of memory that all workers have in common, and those of one more."""
        (pid, *_) = self._ready
        resident, private = process_bytes(pid)
        if self._loading is None:
            return 0, resident
        return process_bytes(self._loading.pid)[0], private

    def fill(self, count: int) -> None:
        """Start as many workers as there are too few, if the model is loaded."""
        while len(self._ready) - len(self._leaving) < count and not self._wakeup.is_ending:
            if self._loading and not self._loading.is_loaded:
                return
            if not self._start().pid:
                return  # the caller tries again

    def wait(self) -> None:
        """Wait until something has happened; replace all workers if the model was loaded again."""
        loading = self._loading
        awaited = [loading.fileno()] if loading and not loading.is_loaded else []
        if self._wakeup.wait(awaited, timeout_s=1) and loading:
            before = set(self._ready) - self._leaving
            if self._note(self._wakeup.read(loading.fileno())):
                self._leaving |= before
                self.fill(len(before))
                for pid in before:
                    os.kill(pid, signal.SIGTERM)

    def ended(self) -> list[Ended]:
        """Return which processes have ended; not the workers that others have replaced already."""
        found = []
        if self._loading and (status := _status(self._loading.pid)) is not None:
            found.append(Ended(self._loading.pid, status, "", is_loader=True))
        for pid, ready in list(self._ready.items()):
            if (status := _status(pid)) is not None:
                if pid not in self._leaving:
                    found.append(Ended(pid, status, _said(ready), is_loader=False))
                self._forget(pid)
        _reap_orphans(self._ready)
        return found

    def drain(self, seconds: float) -> bool:
        """End them all, and return whether they have ended in time by themselves."""
        for pid in self._ready:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while self._ready and time.monotonic() < deadline:
            self._wakeup.wait([], timeout_s=0.1)
            self.ended()
        for pid in self._ready:
            os.kill(pid, signal.SIGKILL)
        if self._loading:
            self._loading.end()
            while _status(self._loading.pid) is None and time.monotonic() < deadline + 1:
                self._wakeup.wait([], timeout_s=0.1)
        return not self._ready

    def _start(self) -> Starting:
        if self._loading:
            starting = self._loading.fork(self._listener, self._wakeup)
        else:
            loading = Loading(self._model, self._counts, alone=True)
            starting = loading.become(self._listener)
        if starting.pid:
            self._ready[starting.pid] = starting.ready
        else:
            os.close(starting.ready)
        return starting

    def _note(self, told: bytes | None) -> bool:
        """Note what the process says that loads the model; return whether it is loaded."""
        if not told or self._loading is None:
            return False
        if told.startswith(ALONE):
            self.stop_sharing(told.removeprefix(ALONE).decode())
        else:
            self._loading.is_loaded = True
        return True

    def _forget(self, pid: int) -> None:
        os.close(self._ready.pop(pid))
        self._leaving.discard(pid)
        prometheus_compat.forget_process(self._counts, pid)


def _adopt_orphans() -> None:
    """Become the parent of the workers that are forked, as process 1 does anyway."""
    if os.getpid() != 1:
        from mlflow_sealed.server import prctl  # noqa: PLC0415 # the container's need not have it

        prctl.adopt_orphans()


def _status(pid: int) -> int | None:
    """Return the wait status of a child, None if it has not ended."""
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 0
    return status if found else None


def _said(ready: int) -> str:
    """Return why a worker that has ended could not answer, if it has said so."""
    with contextlib.suppress(BlockingIOError):
        return os.read(ready, _READ_BYTES).partition(FAILED)[2].decode()
    return ""


def _reap_orphans(workers: Collection[int]) -> None:
    """Reap the orphans that this process inherits, but not the workers."""
    with contextlib.suppress(ChildProcessError):
        while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if found.si_pid in workers:
                return
            os.waitpid(found.si_pid, os.WNOHANG)
