"""The supervisor: checks the model, keeps the workers alive, and drains them at the end.

It is process 1 of the container, and holds the listening socket. ``loader.py`` loads the model once
and forks the workers, which become the supervisor's own children. The supervisor imports little,
and stays small.
"""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mlflow_sealed.flavor import manifest
from mlflow_sealed.server import cgroup_memory
from mlflow_sealed.server.run import deaths
from mlflow_sealed.server.run.capacity import capacity
from mlflow_sealed.server.run.counts import counts_folder
from mlflow_sealed.server.run.listening import address, listen
from mlflow_sealed.server.run.wakeup import Wakeup
from mlflow_sealed.server.run.workers import Ended, Workers
from mlflow_sealed.server.settings import retired, workers_asked_for

CANNOT_START: Final = 3
"""The exit status if the model or a setting is invalid."""

GRACE_S: Final = 25
"""How long a request that was accepted may take after SIGTERM."""

MARGIN_S: Final = 2
"""How long after that a worker that has not ended is killed."""

LOADER: Final = "the process that loads the model"
"""What it is called in the log."""


class Supervisor:
    """Process 1: holds the listening socket, has workers forked, replaces and drains them.

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
        self._environ = environ
        self._model = model
        workers_asked_for(environ)  # if that is invalid, the model need not be loaded
        self._host, self._port = address(environ)
        self._warnings = retired(environ)

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT, and return 0; return another status if it cannot go on."""
        self._wakeup = Wakeup()
        self._deaths = deaths.Deaths()
        for warning in self._warnings:
            _say(warning)
        manifest.check(self._model)
        listener = listen(self._host, self._port)
        with counts_folder(self._environ) as counts:
            self._workers = Workers(self._model, counts, listener, self._wakeup)
            try:
                status = self._begin() or self._watch()
            finally:
                listener.close()  # before the workers close theirs: no client waits in a dead queue
                drained = self._workers.drain(GRACE_S + MARGIN_S)
        if not drained:
            _say("error: a worker did not end in time: killed")
        return status or int(not drained)

    def _begin(self) -> int:
        """Start the workers, and return 0; return the exit status if that is not possible."""
        if status := self._workers.load(waits=True):
            return self._loading_failed(status)
        if self._wakeup.is_ending:
            return 0
        # The first worker alone: an error is printed once, not by each worker.
        status, said = self._workers.start_first()
        if status and not self._workers.alone and (said or status != signal.SIGKILL):
            self._workers.stop_sharing("a forked one does not answer")
            status, said = self._workers.start_first()
        if said:
            _say(f"error: {said}")
        elif os.WIFSIGNALED(status):
            reason = self._deaths.reason(status, advice=deaths.LOADING)
            _say(f"error: the first worker {reason}")
        if status:
            return CANNOT_START
        self._size()
        return 0

    def _size(self) -> None:
        """Decide how many workers there are, and say so."""
        if self._wakeup.is_ending:
            return
        shared, worker = self._workers.sizes()
        self._count, reason = capacity(
            self._environ,
            limit_bytes=cgroup_memory.limit_bytes(),
            shared_bytes=shared,
            worker_bytes=worker,
        )
        alone = self._workers.alone
        how = f"; each loads the model for itself: {alone}" if alone else ""
        where = f"{self._host} port {self._port}"
        _say(f"serving on {where}, workers: {self._count} ({reason}{how})")

    def _watch(self) -> int:
        while not self._wakeup.is_ending:
            for ended in self._workers.ended():
                if exit_status := self._replace(ended):
                    return exit_status
            self._workers.fill(self._count)
            sys.stderr.flush()  # what its reader was late for
            self._workers.wait()
        return 0

    def _replace(self, ended: Ended) -> int:
        """Say why a process has ended; return 0 to replace it, else the exit status."""
        subject = LOADER if ended.is_loader else f"worker {ended.pid}"
        advice = deaths.LOADING if ended.is_loader else deaths.WORKERS.format(self._count)
        reason = ended.said or self._deaths.reason(ended.status, advice=advice)
        if (exit_status := os.waitstatus_to_exitcode(ended.status)) > 0:
            _say(f"error: {subject}: {reason}" if ended.said else f"error: {subject} {reason}")
            return exit_status
        if self._deaths.are_too_many():
            _say(f"error: {subject} {reason}; processes are killed again and again")
            return 1
        if ended.is_loader:
            self._workers.load(waits=False)
        _say(f"{subject} {reason}: {'started again' if ended.is_loader else 'replaced'}")
        return 0

    def _loading_failed(self, status: int) -> int:
        """Return the exit status; say why the process has ended, if it has not said so itself."""
        if os.waitstatus_to_exitcode(status) != CANNOT_START:
            _say(f"error: {LOADER} {self._deaths.reason(status, advice=deaths.LOADING)}")
        return CANNOT_START


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
