"""The ASGI application: the one way in for a request."""

import time
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Mapping,
    MutableMapping,
    Sequence,
)
from typing import Any, TypeVar

from mlflow_sealed.server.asgi.pages import Readiness
from mlflow_sealed.server.asgi.polling import BusyPoll
from mlflow_sealed.server.asgi.request import INVOCATIONS, OTHER, Handler, Request, RequestIds
from mlflow_sealed.server.asgi.request_body import Body, Message, Receive, StreamedBody, WholeBody
from mlflow_sealed.server.asgi.responses import CLOSE, EVERY, Response
from mlflow_sealed.server.settings import Settings

Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
T = TypeVar("T")


class Application:
    """The ASGI application. It runs on one event loop.

    Every request goes through the same handlers. `respond_at_once` is for a request that is here
    whole: it spares the task and the messages of ASGI, which cost as much as the model does.

    Parameters
    ----------
    handler
        Responds to requests.
    paths
        The paths that the server has.
    settings
        The bounds.
    readiness
        Whether further requests should come.
    on_close
        What to do when the server ends.
    """

    def __init__(
        self,
        handler: Handler,
        paths: Collection[str],
        settings: Settings,
        *,
        readiness: Readiness,
        on_close: Sequence[Callable[[], None]],
    ) -> None:
        self._handler = handler
        self._paths = paths
        self._max_bytes = settings.max_body_bytes
        self._timeout_s = settings.timeout_s
        self._readiness = readiness
        self._on_close = on_close
        self._ids = RequestIds()
        self._poll = BusyPoll(settings.busy_poll_us / 1e6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request by ASGI."""
        headers = dict(scope["headers"])
        body = StreamedBody(headers, receive, max_bytes=self._max_bytes, timeout_s=self._timeout_s)
        response = await self._respond(scope["method"], scope["path"], headers, body)
        if not body.ended:
            await body.discard()
        if not body.ended:
            response = response.with_headers(CLOSE)
        start = {"status": response.status, "headers": response.all_headers()}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": response.body})

    def respond_at_once(self, headers: Mapping[bytes, bytes], content: bytes) -> Response | None:
        """Respond to POST /invocations without a task; return None if that has to wait.

        It is a trick, see benchmarks/tricks.py.
        """
        self._poll.begin()
        body = WholeBody(content, max_bytes=self._max_bytes)
        response = run_at_once(self._respond("POST", INVOCATIONS, headers, body))
        if response is not None:
            self._poll.end()
        return response

    def drain(self) -> None:
        """Say on /ready, from now on, that no further request should come."""
        self._readiness.draining = True

    def is_draining(self) -> bool:
        """Return whether the server is about to end."""
        return self._readiness.draining

    def close(self) -> None:
        """Write the last lines and counts, and kill the subprocess."""
        for close in self._on_close:
            close()

    @property
    def patience_s(self) -> float:
        """How long a model may hold up the event loop, in seconds."""
        return self._timeout_s + 1

    async def _respond(
        self, method: str, path: str, headers: Mapping[bytes, bytes], body: Body
    ) -> Response:
        """Respond to a request through the handlers: the way that every request goes."""
        route = path if path in self._paths else OTHER
        request_id = self._ids.of(headers)
        request = Request(method, route, headers, body, request_id, time.perf_counter())
        response = await self._handler.respond(request)
        return response.with_headers(((b"x-request-id", request_id), *EVERY))


def run_at_once(coroutine: Coroutine[Any, Any, T]) -> T | None:
    """Run a coroutine to its end without a task, or stop it as soon as it has to wait.

    It must not have changed anything by then, nor use what needs a task, such as `asyncio.timeout`.

    Returns
    -------
    What the coroutine returns; None if it has to wait.
    """
    try:
        coroutine.send(None)
    except StopIteration as ended:
        result: T = ended.value
        return result
    coroutine.close()
    return None
