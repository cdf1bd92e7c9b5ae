"""The scoring server: MLflow's protocol for any pyfunc whose ``predict`` has Pydantic type hints.

An ASGI application: `load` makes it from a model's folder. How a request is answered is in
scoring.py, what its bytes mean in rows.py, what is answered beside the event loop in beside.py,
what is sent in replies.py, the description of it all in openapi.py.
"""

import asyncio
import gc
import hashlib
import hmac
import itertools
import os
import re
import sys
import time
import warnings
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import mlflow
import mlflow.pyfunc
import yaml
from mlflow.models import Model

from mlflow_sealed.server import openapi
from mlflow_sealed.server.asgi import replies
from mlflow_sealed.server.asgi.body import Body, Message, Receive
from mlflow_sealed.server.asgi.polling import BusyPoll
from mlflow_sealed.server.asgi.replies import Reply, Sent
from mlflow_sealed.server.beside import Beside, BusyError, EndedError, Outcome, Template
from mlflow_sealed.server.metrics import CONTENT_TYPE, LAG_S, Answer, Metrics
from mlflow_sealed.server.protocol.refusals import Refusal
from mlflow_sealed.server.protocol.rows import PARQUET, media_type
from mlflow_sealed.server.scoring import Scoring
from mlflow_sealed.server.settings import Settings

Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

SMALL_BYTES: Final = 8 * 2**10
"""The largest body that is answered in the event loop."""

_INVOCATIONS: Final = "/invocations"
_READ: Final = ("GET", "HEAD")
_EXAMPLE: Final = "serving_input_example.json"
_ID: Final = re.compile(rb"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


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
        self._poll = BusyPoll(settings.busy_poll_us / 1e6)
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
        self._poll.begin()
        outcome = self._answer_here(kind, body)
        reply = Reply(outcome.status, outcome.body, rows=outcome.rows)
        sent = self._sent(reply, _INVOCATIONS, headers, begin)
        self._poll.end()
        return sent

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
            reply = reply._replace(headers=(*reply.headers, *replies.CLOSE))
        route = path if path == _INVOCATIONS or path in self._pages else "other"
        sent = self._sent(reply, route, headers, begin)
        start = {"type": "http.response.start", "status": sent.status, "headers": sent.headers}
        await send(start)
        await send({"type": "http.response.body", "body": sent.body})

    def _sent(self, reply: Reply, route: str, headers: Mapping[bytes, bytes], begin: float) -> Sent:
        """Return what is sent, after it is counted and noted for the log."""
        request_id = self._request_id(headers.get(b"x-request-id"))
        if reply.status >= 400:  # noqa: PLR2004 # where HTTP's errors begin
            reply = replies.error(reply, request_id)
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
            return replies.UNAUTHENTICATED
        return page()

    async def _invocations(self, headers: Mapping[bytes, bytes], body: Body) -> Reply:
        if not self._may(headers):
            return replies.UNAUTHENTICATED
        if self._metrics:
            self._metrics.begin()
            self._write_soon()
        try:
            kind = media_type(headers.get(b"content-type"))
            outcome = await self._outcome(kind, await body.read(), body.deadline)
        except Refusal as refusal:
            more = replies.MORE_HEADERS.get(refusal.status, ())
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


def load(folder: Path, settings: Settings) -> Application:
    """Make the application that serves a model.

    Raises
    ------
    mlflow_sealed.server.settings.StartError
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


@lru_cache(maxsize=1)
def _second(now: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
