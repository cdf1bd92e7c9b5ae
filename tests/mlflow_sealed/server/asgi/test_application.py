"""The one way in: with a task or without one, a request goes through the same handlers."""

import asyncio
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import pytest

from mlflow_sealed.server.asgi.application import Application, run_at_once
from mlflow_sealed.server.asgi.delayed_write import LAG_S
from mlflow_sealed.server.asgi.observers import Observers
from mlflow_sealed.server.asgi.pages import Readiness
from mlflow_sealed.server.asgi.request import Handler, Request
from mlflow_sealed.server.asgi.responses import Response
from mlflow_sealed.server.protocol.errors import RequestError
from mlflow_sealed.server.served import Served
from mlflow_sealed.server.settings import Settings

ID = b"0f8fad5bd9cb469fa16570867728950e"
HEADERS = {b"content-length": b"2", b"x-request-id": ID}


class Echo:
    """Responds with the body; waits first where it is told to."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.wait_s: float | None = None
        self.stopped = False

    async def respond(self, request: Request) -> Response:
        self.requests.append(request)
        body = await request.body.read()
        if self.wait_s is not None:
            with self._noted():
                await asyncio.sleep(0)
                await asyncio.sleep(self.wait_s)
        return Response(200, body, rows=7)

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except GeneratorExit:
            self.stopped = True
            raise


class Notes:
    """An observer."""

    def __init__(self) -> None:
        self.noted: list[tuple[bytes, int, int]] = []
        self.writes = 0

    def note(self, served: Served) -> None:
        assert 0 < served.seconds < 60
        self.noted.append((served.id, served.status, served.rows))

    def write(self) -> None:
        self.writes += 1


def application(handler: Handler, *notes: Notes, **settings: int) -> Application:
    return Application(
        handler,
        {"/invocations"},
        Settings(**{"busy_poll_us": 0, **settings}),  # type: ignore[arg-type]
        readiness=Readiness(),
        observers=Observers(notes),
    )


async def by_asgi(
    app: Application, body: bytes, path: str = "/invocations"
) -> tuple[int, Any, bytes]:
    """Send a request as uvicorn does, and return status, headers and body of the response."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {"method": "POST", "path": path, "headers": list(HEADERS.items())}
    await app(scope, receive, send)
    return sent[0]["status"], sent[0]["headers"], sent[1]["body"]


async def at_once(app: Application, body: bytes) -> tuple[int, Any, bytes] | None:
    found = app.respond_at_once(HEADERS, body)
    if found is None:
        return None
    request, response = found
    app.note(request, response)
    return response.status, response.all_headers(request.id), response.body


@pytest.mark.parametrize("body", [b"{}", b"too large"], ids=["a response", "an error"])
def test_with_a_task_or_without_the_response_is_the_same(body: bytes) -> None:
    echo = Echo()
    app = application(echo, max_body_bytes=3)
    assert asyncio.run(by_asgi(app, body)) == asyncio.run(at_once(app, body))
    with_task, without = echo.requests
    assert with_task[:3] == without[:3] == ("POST", "/invocations", HEADERS)
    assert with_task.id == without.id == ID


def test_what_has_to_wait_is_stopped_and_answered_with_a_task() -> None:
    echo = Echo()
    echo.wait_s = 0.01
    app = application(echo)
    assert asyncio.run(at_once(app, b"{}")) is None
    assert echo.stopped
    assert asyncio.run(by_asgi(app, b"{}"))[::2] == (200, b"{}")


@pytest.mark.parametrize("body", [b"{}", b"too large"], ids=["a response", "an error"])
def test_every_observer_notes_each_response_once_whichever_way_it_was_made(body: bytes) -> None:
    echo, notes = Echo(), [Notes(), Notes()]
    app = application(echo, *notes, max_body_bytes=3)
    asyncio.run(by_asgi(app, body))
    asyncio.run(at_once(app, body))
    noted = (ID, 413, 0) if body == b"too large" else (ID, 200, 7)
    assert [each.noted for each in notes] == [[noted, noted]] * 2
    echo.wait_s = 0.01
    assert asyncio.run(at_once(app, b"{}")) is None
    assert [len(each.noted) for each in notes] == [2, 2]


def test_observers_write_a_little_later_and_at_the_end() -> None:
    async def several(app: Application, times: int) -> None:
        for _ in range(times):
            await at_once(app, b"{}")
        before = notes.writes
        await asyncio.sleep(3 * LAG_S)
        assert (before, notes.writes) == (0, 1)

    notes = Notes()
    app = application(Echo(), notes)
    asyncio.run(several(app, 3))
    app.close()
    assert notes.writes == 2


def test_a_request_for_predictions_is_in_flight_until_it_has_its_response() -> None:
    states: list[str] = []

    @contextmanager
    def in_flight() -> Iterator[None]:
        states.append("in flight")
        yield
        states.append("answered")

    class Seen(Echo):
        async def respond(self, request: Request) -> Response:
            states.append(request.route)
            return await super().respond(request)

    paths = {"/invocations", "/ping"}
    app = Application(
        Seen(),
        paths,
        Settings(),
        readiness=Readiness(),
        observers=Observers(()),
        in_flight=in_flight,
    )
    asyncio.run(by_asgi(app, b"{}"))
    asyncio.run(by_asgi(app, b"{}", path="/ping"))
    assert states == ["in flight", "/invocations", "answered", "/ping"]


def test_a_failure_of_the_server_is_a_500_that_tells_no_value() -> None:
    class Broken:
        async def respond(self, request: Request) -> Response:
            raise ValueError(request.method)

    app = application(Broken())
    status, _, body = asyncio.run(by_asgi(app, b"{}"))
    assert status == 500
    assert b'"message": "the server failed with ValueError"' in body


def test_a_coroutine_runs_to_its_end_or_not_at_all() -> None:
    async def at_its_end() -> int:
        return 7

    async def fails() -> int:
        raise RequestError(400, "no")

    assert run_at_once(at_its_end()) == 7
    with pytest.raises(RequestError, match="no"):
        run_at_once(fails())
