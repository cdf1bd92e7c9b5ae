"""The ASGI application: the one way in for a request."""

import time
from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Mapping,
    MutableMapping,
)
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from mlflow_sealed.server.asgi.observers import Observers
from mlflow_sealed.server.asgi.pages import Readiness
from mlflow_sealed.server.asgi.polling import BusyPoll
from mlflow_sealed.server.asgi.request import (
    INVOCATIONS,
    OTHER,
    Handler,
    Request,
    RequestIds,
    is_for_predictions,
)
from mlflow_sealed.server.asgi.request_body import Body, Message, Receive, StreamedBody, WholeBody
from mlflow_sealed.server.asgi.responses import CLOSE, Response, error_response
from mlflow_sealed.server.asgi.router import routes
from mlflow_sealed.server.protocol.errors import RequestError
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
    observers
        Take note of every request.
    in_flight
        Counts a request for predictions as in flight, while that context lasts.
    close
        What to do when the server ends.
    """

    def __init__(  # noqa: PLR0913 # what the application is composed of, most of it by keyword
        self,
        handler: Handler,
        paths: Collection[str],
        settings: Settings,
        *,
        readiness: Readiness,
        observers: Observers,
        in_flight: Callable[[], AbstractContextManager[None]] = nullcontext,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self._handler = handler
        self._routes = routes(paths, settings.paths)
        self._max_bytes = settings.max_body_bytes
        self._timeout_s = settings.timeout_s
        self._readiness = readiness
        self._observers = observers
        self._in_flight = in_flight
        self._close = close
        self._ids = RequestIds()
        self._poll = BusyPoll(settings.busy_poll_us / 1e6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request by ASGI."""
        headers = dict(scope["headers"])
        body = StreamedBody(headers, receive, max_bytes=self._max_bytes, timeout_s=self._timeout_s)
        request = self._request(scope["method"], scope["path"], headers, body)
        with self._in_flight() if is_for_predictions(request) else nullcontext():
            self._observers.write_later()  # that it is in flight; the other workers' pages show it
            response = await self._respond(request)
        self._observers.note(request, response)
        if not body.ended:
            await body.discard()
        fields = response.all_headers(request.id)
        if not body.ended:
            fields.append(CLOSE)
        start = {"status": response.status, "headers": fields}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": response.body})

    def respond_at_once(
        self, headers: Mapping[bytes, bytes], content: bytes
    ) -> tuple[Request, Response] | None:
        """Respond to POST /invocations without a task, if that need not wait.

        The caller writes the response and then calls `note`: the client need not wait for that. It
        is a trick, see benchmarks/tricks.py.

        Returns
        -------
        The request and its response; None if it has to wait.
        """
        self._poll.begin()
        body = WholeBody(content, max_bytes=self._max_bytes)
        request = self._request("POST", INVOCATIONS, headers, body)
        response = run_at_once(self._respond(request))
        return None if response is None else (request, response)

    def note(self, request: Request, response: Response) -> None:
        """Take note of a request that `respond_at_once` has responded to."""
        self._poll.end()
        self._observers.note(request, response)

    def drain(self) -> None:
        """Say on /ready, from now on, that no further request should come."""
        self._readiness.draining = True

    def is_draining(self) -> bool:
        """Return whether the server is about to end."""
        return self._readiness.draining

    def close(self) -> None:
        """Write the last lines and counts, and kill the subprocess."""
        self._observers.write()
        self._close()

    @property
    def patience_s(self) -> float:
        """How long a model may hold up the event loop, in seconds."""
        return self._timeout_s + 1

    def _request(
        self, method: str, path: str, headers: Mapping[bytes, bytes], body: Body
    ) -> Request:
        route = self._routes.get(path, OTHER)
        return Request(method, route, headers, body, self._ids.of(headers), time.perf_counter())

    async def _respond(self, request: Request) -> Response:
        """Respond to a request through the handlers: the way that every request goes."""
        try:
            response = await self._handler.respond(request)
        except RequestError as error:
            response = error_response(error, request.id)
        except Exception as error:  # noqa: BLE001 # uvicorn would log a stack trace
            failure = RequestError(500, f"the server failed with {type(error).__name__}")
            response = error_response(failure, request.id)
        return response


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
