"""One request, and what handles it."""

import itertools
import os
import re
from collections.abc import Coroutine, Mapping
from typing import Any, Final, NamedTuple, Protocol

from mlflow_sealed.server.asgi.request_body import Body
from mlflow_sealed.server.asgi.responses import Response

INVOCATIONS: Final = "/invocations"
"""The path that predictions are asked from."""

OTHER: Final = "other"
"""The route of every path that the server does not have."""

_ID: Final = re.compile(rb"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Request(NamedTuple):
    """One request.

    Attributes
    ----------
    method
        GET, POST, …
    route
        The path if the server has it, else `OTHER`: never what a client made up.
    headers
        By their names in lower case.
    body
        The body, which may not be here yet.
    id
        What the response, the log and an error have in common.
    begin
        When it came, as `time.perf_counter` has it.
    """

    method: str
    route: str
    headers: Mapping[bytes, bytes]
    body: Body
    id: bytes
    begin: float


def is_for_predictions(request: Request) -> bool:
    """Return whether a request asks for predictions."""
    return request.route == INVOCATIONS and request.method == "POST"


class Handler(Protocol):
    """What responds to requests. Handlers are composed: one may call another."""

    def respond(self, request: Request) -> Coroutine[Any, Any, Response]:
        """Return the response, or raise `mlflow_sealed.server.protocol.errors.RequestError`."""


class RequestIds:
    """Gives each request its id."""

    def __init__(self) -> None:
        self._start, self._numbers = os.urandom(8).hex().encode(), itertools.count(1)

    def of(self, headers: Mapping[bytes, bytes]) -> bytes:
        """Return the client's X-Request-ID if it is a UUID and nothing else, or a new id."""
        sent = headers.get(b"x-request-id")
        if sent is not None and _ID.fullmatch(sent):
            return sent
        return b"%b%016x" % (self._start, next(self._numbers))
