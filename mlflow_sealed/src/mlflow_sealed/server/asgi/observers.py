"""What takes note of every request: the log, and the counts."""

import time
from collections.abc import Sequence
from typing import Protocol

from mlflow_sealed.server.asgi.delayed_write import DelayedWrite
from mlflow_sealed.server.asgi.request import Request
from mlflow_sealed.server.asgi.responses import Response
from mlflow_sealed.server.served import Served


class Observer(Protocol):
    """Takes note of requests, and writes down later what it has noted."""

    def note(self, served: Served) -> None:
        """Take note of a request. It must be quick."""

    def write(self) -> None:
        """Write down what was noted so far."""


class Observers:
    """Lets each observer take note, and write a little later.

    Parameters
    ----------
    observers
        They do not respond to requests: an observer costs one call, a handler around the others a
        coroutine of its own.
    """

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._note = [observer.note for observer in observers]
        self._write = [observer.write for observer in observers]
        self._delayed = DelayedWrite(self.write)

    def note(self, request: Request, response: Response) -> None:
        """Let all take note of a request that has its response. An event loop has to be running."""
        seconds = time.perf_counter() - request.begin
        served = Served(request.id, request.route, response.status, response.rows, seconds)
        for note in self._note:
            note(served)
        self._delayed.schedule()

    def write_later(self) -> None:
        """Let all write a little later. An event loop has to be running."""
        self._delayed.schedule()

    def write(self) -> None:
        """Let all write now."""
        for write in self._write:
            write()
