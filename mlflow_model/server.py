"""The scoring server: MLflow's protocol for any pyfunc whose ``predict`` has Pydantic type hints.

An ASGI application: `load` makes it from a model's folder. What a request's bytes mean is in
rows.py, what is answered beside the event loop in beside.py, the description of it all in
openapi.py.
"""

import asyncio
import gc
import hashlib
import hmac
import inspect
import itertools
import json
import os
import re
import sys
import time
import typing
import warnings
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import mlflow
import mlflow.pyfunc
import yaml
from mlflow.models import Model
from mlflow.pyfunc import PyFuncModel
from pydantic import TypeAdapter

from mlflow_model import openapi
from mlflow_model.beside import Beside, BusyError, EndedError, Outcome, Template
from mlflow_model.container import StartError
from mlflow_model.metrics import CONTENT_TYPE, LAG_S, Answer, Metrics
from mlflow_model.rows import JSON, PARQUET, Reader, Refusal, media_type
from mlflow_model.settings import Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SMALL_BYTES: Final = 8 * 2**10
"""The largest body that is answered in the event loop."""

_SWALLOWED: Final = 16  # times what is allowed: a client that still sends would miss the answer
_INVOCATIONS: Final = "/invocations"
_READ: Final = ("GET", "HEAD")
_EXAMPLE: Final = "serving_input_example.json"
_ID: Final = re.compile(rb"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Reply(NamedTuple):
    """What is sent for one request."""

    status: int
    body: bytes
    content_type: bytes = JSON.encode()
    headers: tuple[tuple[bytes, bytes], ...] = ()
    rows: int = 0


class Sent(NamedTuple):
    """An answer as it goes to the client."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Scoring:
    """From the bytes of a request to the bytes of the answer: the one path for every request.

    Parameters
    ----------
    model
        A pyfunc whose ``predict`` takes a list of a type that pydantic knows.
    max_rows
        The most rows in a request.

    Attributes
    ----------
    seconds
        How long the model took for its input example; 0 as long as nobody knows.

    Raises
    ------
    mlflow_model.container.StartError
        If the model has no such type hints.
    """

    def __init__(self, model: PyFuncModel, *, max_rows: int) -> None:
        python_model, context = _python_model(model)
        # MLflow's own wrapper of predict checks every row again, one by one.
        predict = inspect.unwrap(type(python_model).predict)
        row, result = _types(predict)
        self.reader = Reader(row, model.metadata.get_params_schema(), max_rows=max_rows)
        self.result = TypeAdapter(result)
        parameters = inspect.signature(predict).parameters
        self._first = (python_model, context) if "context" in parameters else (python_model,)
        self._takes_params = "params" in parameters
        self._predict = predict
        self._dump = self.result.serializer.to_json
        self.seconds = 0.0

    def answer(self, kind: str, body: bytes) -> Outcome:
        """Return the answer to a body in one of the formats; whatever fails is an answer too."""
        begin = time.perf_counter()
        try:
            rows, params = self.reader.read(kind, body)
            if self._takes_params:
                predictions = self._predict(*self._first, rows, params)
            else:
                predictions = self._predict(*self._first, rows)
            dumped = self._dump(predictions, warnings="error")
        except Refusal as refusal:
            return Outcome(refusal.status, 0, str(refusal).encode())
        except Exception as error:  # noqa: BLE001 # its text could show a value
            return Outcome(500, 0, f"the model failed with {type(error).__name__}".encode())
        took_s = time.perf_counter() - begin
        kept = rows, predictions
        return Outcome(200, len(rows), b'{"predictions": %b}' % dumped, took_s, kept)

    def warm_up(self, example: bytes) -> None:
        """Answer a request in JSON, and measure how long that takes.

        Raises
        ------
        mlflow_model.container.StartError
            If it gets no answer.
        """
        for _ in range(2):  # the first also makes what is made once
            outcome = self.answer(JSON, example)
            self.seconds = outcome.seconds
            if outcome.status != 200:  # noqa: PLR2004 # OK
                raise StartError(
                    f"the model does not answer its own input example: {outcome.body.decode()}"
                )


class Application:
    """The ASGI application. It runs on one event loop.

    Parameters
    ----------
    scoring
        Answers what is small.
    beside
        Answers what is not.
    settings
        The bounds, and who may ask.
    document
        The OpenAPI document, as JSON.
    metrics
        None counts nothing.
    """

    def __init__(
        self,
        scoring: Scoring,
        beside: Beside,
        settings: Settings,
        *,
        document: bytes,
        metrics: Metrics | None,
    ) -> None:
        self._scoring = scoring
        self._beside = beside
        self._settings = settings
        self._metrics = metrics
        self._seconds = scoring.seconds
        self._keys = [hashlib.sha256(key).digest() for key in settings.api_keys]
        self._draining = False
        self._lines: list[str] = []
        self._writes = False
        self._start, self._numbers = os.urandom(8).hex().encode(), itertools.count(1)
        ping = Reply(200, b"\n")
        self._pages: dict[str, Callable[[], Reply]] = {
            "/ping": lambda: ping,
            "/health": lambda: ping,
            "/version": lambda: Reply(200, mlflow.__version__.encode()),
            "/ready": self._ready,
            "/openapi.json": lambda: Reply(200, document),
            **({"/metrics": lambda: _metrics_page(metrics)} if metrics else {}),
            **{path: _page(path) for path in openapi.PAGES},
        }

    def drain(self) -> None:
        """Say on /ready, from now on, that no further request should come."""
        self._draining = True

    def close(self) -> None:
        """Write the last lines and counts, and end the process beside this one."""
        self._write()
        self._beside.close()

    @property
    def patience_s(self) -> float:
        """How long the event loop may be held up by a model, in seconds."""
        return self._settings.timeout_s + 1

    def at_once(self, headers: Mapping[bytes, bytes], body: bytes) -> Sent | None:
        """Answer a small body for /invocations without a task of its own, or return None.

        It is for who has the whole request at hand (connection.py): a task, and what ASGI asks for,
        cost as much as the model does. None where the answer has to wait, or is no prediction: that
        is what ``__call__`` is for.
        """
        begin = time.perf_counter()
        if (
            self._draining
            or len(body) > SMALL_BYTES
            or not (self._is_quick() and self._may(headers))
        ):
            return None
        try:
            kind = media_type(headers.get(b"content-type"))
        except Refusal:
            return None
        if kind == PARQUET:
            return None
        outcome = self._answer_here(kind, body)
        reply = Reply(outcome.status, outcome.body, rows=outcome.rows)
        return self._sent(reply, _INVOCATIONS, headers, begin)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and write one line about it."""
        begin = time.perf_counter()
        path = scope["path"]
        headers = dict(scope["headers"])
        body = Body(headers, receive, self._settings)
        try:
            if path == _INVOCATIONS and scope["method"] == "POST":
                reply = await self._invocations(headers, body)
            else:
                reply = self._page(path, scope["method"], headers)
            if not body.ended:
                await body.discard()
        except Exception as error:  # noqa: BLE001 # uvicorn would log a stack trace
            reply = Reply(500, f"the server failed with {type(error).__name__}".encode())
        if not body.ended:
            reply = reply._replace(headers=(*reply.headers, *_CLOSE))
        route = path if path == _INVOCATIONS or path in self._pages else "other"
        sent = self._sent(reply, route, headers, begin)
        start = {"type": "http.response.start", "status": sent.status, "headers": sent.headers}
        await send(start)
        await send({"type": "http.response.body", "body": sent.body})

    def _sent(self, reply: Reply, route: str, headers: Mapping[bytes, bytes], begin: float) -> Sent:
        """Return what is sent, after it is counted and noted for the log."""
        request_id = self._request_id(headers.get(b"x-request-id"))
        if reply.status >= 400:  # noqa: PLR2004 # where HTTP's errors begin
            reply = _error(reply, request_id)
        seconds = time.perf_counter() - begin
        if self._metrics:
            self._metrics.count(Answer(route, reply.status, reply.rows, seconds))
        self._log(request_id.decode(), route, reply, seconds)
        self._write_soon()
        return Sent(
            reply.status,
            [
                (b"content-type", reply.content_type),
                (b"content-length", b"%d" % len(reply.body)),
                (b"x-request-id", request_id),
                (b"x-content-type-options", b"nosniff"),
                *reply.headers,
            ],
            reply.body,
        )

    def _page(self, path: str, method: str, headers: Mapping[bytes, bytes]) -> Reply:
        page = self._pages.get(path)
        if page is None and path != _INVOCATIONS:
            return Reply(404, b"there is nothing here: see /docs")
        if page is None or method not in _READ:
            allowed = ", ".join(_READ if page else ("POST",)).encode()
            return Reply(
                405, b"this method is not allowed here: see /docs", headers=((b"allow", allowed),)
            )
        if path == "/metrics" and not self._may(headers):
            return _UNAUTHENTICATED
        return page()

    async def _invocations(self, headers: Mapping[bytes, bytes], body: "Body") -> Reply:
        if not self._may(headers):
            return _UNAUTHENTICATED
        if self._metrics:
            self._metrics.begin()
            self._write_soon()
        try:
            kind = media_type(headers.get(b"content-type"))
            outcome = await self._outcome(kind, await body.read(), body.deadline)
        except Refusal as refusal:
            more = _MORE_HEADERS.get(refusal.status, ())
            return Reply(refusal.status, str(refusal).encode(), headers=more)
        finally:
            if self._metrics:
                self._metrics.end()
        return Reply(outcome.status, outcome.body, rows=outcome.rows)

    async def _outcome(self, kind: str, body: bytes, deadline: float) -> Outcome:
        if len(body) <= SMALL_BYTES and kind != PARQUET:
            if self._is_quick():
                return self._answer_here(kind, body)
            outcome = await self._aside(kind, body, deadline)
            self._learn(outcome)
            return outcome
        return await self._aside(kind, body, deadline)

    def _is_quick(self) -> bool:
        """Return whether the model answers a small body so fast that the event loop can wait."""
        return self._seconds * 1000 < self._settings.inline_ms

    def _answer_here(self, kind: str, body: bytes) -> Outcome:
        outcome = self._scoring.answer(kind, body)  # where it hangs: see worker.py
        self._learn(outcome)
        return outcome

    def _learn(self, outcome: Outcome) -> None:
        """Note how long a small body took; a refusal is quick, and says nothing.

        One answer counts for so much and no more: a machine that stalls is no model that is slow.
        """
        if outcome.status == 200:  # noqa: PLR2004 # OK
            seconds = min(outcome.seconds, 2 * self._settings.inline_ms / 1000)
            self._seconds += (seconds - self._seconds) / 16

    async def _aside(self, kind: str, body: bytes, deadline: float) -> Outcome:
        try:
            async with asyncio.timeout_at(deadline):
                return await self._beside.answer(kind, body)
        except TimeoutError:
            raise Refusal(504, "the answer took too long: send fewer rows") from None
        except BusyError:
            raise Refusal(503, "too many requests at once") from None
        except EndedError:
            if kind == PARQUET:
                raise Refusal(400, "the body is Parquet that cannot be read") from None
            raise Refusal(500, "the model's process ended before it answered") from None

    def _may(self, headers: Mapping[bytes, bytes]) -> bool:
        """Return whether a request has a key; how long that takes says nothing of the keys."""
        if not self._keys:
            return True
        sent = headers.get(b"x-api-key")
        if sent is None:
            scheme, _, sent = headers.get(b"authorization", b"").partition(b" ")
            if scheme.lower() != b"bearer":
                return False
        digest = hashlib.sha256(sent.strip()).digest()
        return any([hmac.compare_digest(digest, key) for key in self._keys])  # noqa: C419 # every one

    def _request_id(self, sent: bytes | None) -> bytes:
        """Return the client's id if it is one and nothing else, a new one otherwise."""
        if sent is not None and _ID.fullmatch(sent):
            return sent
        return b"%b%016x" % (self._start, next(self._numbers))

    def _log(self, request_id: str, route: str, reply: Reply, seconds: float) -> None:
        """Note a line for the log."""
        now = time.time()
        line = (
            f'{{"time": "{_second(int(now))}.{int(now % 1 * 1000):03}Z", "id": "{request_id}", '
            f'"route": "{route}", "status": {reply.status}, "rows": {reply.rows}, '
            f'"ms": {seconds * 1000:.3f}}}\n'
        )
        self._lines.append(line)

    def _write_soon(self) -> None:
        if not self._writes:
            self._writes = True
            asyncio.get_running_loop().call_later(LAG_S, self._write)

    def _write(self) -> None:
        """Write what was noted for the log, and what was counted."""
        self._writes = False
        lines, self._lines = self._lines, []
        if lines:
            with suppress(OSError):  # who reads the log may go before the clients do
                os.write(sys.stdout.fileno(), "".join(lines).encode())
        if self._metrics:
            self._metrics.write()

    def _ready(self) -> Reply:
        if self._draining:
            return Reply(503, b"this server is about to end")
        return Reply(200, b"\n")


class Body:
    """The body of one request, which is read at most once and within bounds.

    A client reads its answer after it has sent what it has to send. So what is not looked at is
    received too, and a connection whose client has more to send than that is closed.

    Parameters
    ----------
    headers
        The request's.
    receive
        ASGI's.
    settings
        The bounds.

    Attributes
    ----------
    deadline
        When the request's time is up, in the event loop's time.
    ended
        Whether nothing more will come.
    """

    def __init__(
        self, headers: Mapping[bytes, bytes], receive: Receive, settings: Settings
    ) -> None:
        self.deadline = asyncio.get_running_loop().time() + settings.timeout_s
        self.ended = b"content-length" not in headers and b"transfer-encoding" not in headers
        self._receive = receive
        self._most = settings.max_body_bytes
        self._size = 0
        self._waits = headers.get(b"expect", b"").lower() == b"100-continue"

    async def read(self) -> bytes:
        """Return it, whole.

        Raises
        ------
        mlflow_model.rows.Refusal
            If it has too many bytes (413), is not here in time (408), or never will be (400).
        """
        parts: list[bytes] = []
        await self._take(self._most, parts)
        if self._size > self._most:
            raise Refusal(
                413,
                f"the body has more than {self._most} bytes: send several requests, or let the "
                "server take more with SCORING_MAX_BODY_BYTES",
            )
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def discard(self) -> None:
        """Receive what was not read, unless the client waits to be asked for it."""
        if not self._waits:
            with suppress(Refusal):
                await self._take(0, [])

    async def _take(self, most: int, parts: list[bytes]) -> None:
        """Receive what comes, and keep the first so many bytes."""
        self._waits = False
        try:
            async with asyncio.timeout_at(self.deadline):
                while not self.ended and self._size <= _SWALLOWED * self._most:
                    message = await self._receive()
                    self.ended = not message.get("more_body", False)
                    if message["type"] == "http.disconnect":
                        raise Refusal(400, "the client went away")
                    part = message.get("body", b"")
                    self._size += len(part)
                    if self._size <= most:
                        parts.append(part)
        except TimeoutError:
            raise Refusal(408, "the body did not arrive in time") from None


_CLOSE: Final = ((b"connection", b"close"),)
_MORE_HEADERS: Final = {503: ((b"retry-after", b"1"),)}
_UNAUTHENTICATED: Final = Reply(
    401,
    b"an API key is needed: send it in X-API-Key, or as a Bearer token",
    headers=((b"www-authenticate", b"Bearer"),),
)


def load(folder: Path, settings: Settings) -> Application:
    """Make the application that serves a model.

    Raises
    ------
    mlflow_model.container.StartError
        If the model has no type hints, or does not answer its own input example.
    """
    # They would show the paths of whoever warns in the log. No filter: MLflow sets its own.
    warnings.showwarning = lambda *_, **__: None
    model = mlflow.pyfunc.load_model(str(folder))
    scoring = Scoring(model, max_rows=settings.max_rows)
    example, identity = _example(folder), _identity(folder)
    # What is loaded stays: the collector need not look at it again, nor touch its memory.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    template = Template(scoring.answer)
    if example:
        scoring.warm_up(example)
    return Application(
        scoring,
        Beside(template.spawn, most=settings.max_requests),
        settings,
        document=openapi.document(
            scoring.reader,
            scoring.result,
            identity=identity,
            example=example,
            authenticated=bool(settings.api_keys),
        ),
        metrics=Metrics(identity) if settings.metrics else None,
    )


def _python_model(model: PyFuncModel) -> tuple[Any, Any]:
    try:
        return model.unwrap_python_model(), model._model_impl.context  # noqa: SLF001 # no other way
    except (AttributeError, mlflow.MlflowException):
        raise StartError(
            "this model is no pyfunc of Python code: log one with type hints on predict"
        ) from None


def _types(predict: Callable[..., Any]) -> tuple[Any, Any]:
    """Return the type of a row, and the type of what ``predict`` returns."""
    hints = typing.get_type_hints(predict)
    result = hints.pop("return", Any)
    names = [
        name for name in inspect.signature(predict).parameters if name not in {"self", "context"}
    ]
    rows = hints.get(names[0]) if names else None
    if typing.get_origin(rows) is not list:
        raise StartError(
            "predict of this model does not say list[…] of what it takes: log it with type hints"
        )
    return typing.get_args(rows)[0], result


def _example(folder: Path) -> bytes | None:
    path = folder / _EXAMPLE
    return path.read_bytes() if path.is_file() else None


def _identity(folder: Path) -> dict[str, str]:
    """Return the names and versions by which a model is known."""
    logged = Model.load(str(folder))
    path = folder / "registered_model_meta"
    registered = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    told = {
        "model": registered.get("model_name") or "model",
        "version": registered.get("model_version") or "",
        "run_id": logged.run_id or "",
        "mlflow": mlflow.__version__,
        **{
            name: value for name, value in (logged.metadata or {}).items() if isinstance(value, str)
        },
    }
    return {name: str(value) for name, value in told.items()}


def _metrics_page(metrics: Metrics) -> Reply:
    return Reply(200, metrics.page(), CONTENT_TYPE.encode())


def _page(path: str) -> Callable[[], Reply]:
    def page() -> Reply:
        body, content_type = openapi.page(path)
        return Reply(200, body, content_type, openapi.HEADERS)

    return page


def _error(reply: Reply, request_id: bytes) -> Reply:
    """Return an error in MLflow's shape, with the id that the log has too."""
    body = {
        "error_code": openapi.CODES.get(reply.status, "INTERNAL_ERROR"),
        "message": reply.body.decode(),
        "request_id": request_id.decode(),
    }
    return reply._replace(body=json.dumps(body).encode())


@lru_cache(maxsize=1)
def _second(now: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
