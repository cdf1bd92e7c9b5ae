"""What takes note of every request: the log, and the counts."""

from collections.abc import Sequence
from typing import Protocol

from mlflow_sealed.server.asgi.delayed_write import DelayedWrite
from mlflow_sealed.server.asgi.request import Request
from mlflow_sealed.server.asgi.responses import Response


class Observer(Protocol):
    """Takes note of requests, and writes down later what it has noted."""

    def note(self, request: Request, response: Response, seconds: float) -> None:
        """Take note of a request, its response, and how long that took. It must be quick."""

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

    def note(self, request: Request, response: Response, seconds: float) -> None:
        """Let all take note. An event loop has to be running."""
        for note in self._note:
            note(request, response, seconds)
        self._delayed.schedule()

    def write(self) -> None:
        """Let all write now."""
        for write in self._write:
            write()
