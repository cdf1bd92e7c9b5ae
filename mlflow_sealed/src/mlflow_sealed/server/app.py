"""The server's application for another ASGI server, such as uvicorn or Hypercorn.

It answers every request as the server does. What `mlflow_sealed.server.run` adds is not there: the
workers and their replacement, the drain, the bound on slow heads, and the way for small requests
that goes without a task of its own.
"""

import os
import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_sealed.flavor import manifest
from mlflow_sealed.server.run.loader import ENVIRON
from mlflow_sealed.server.settings import Settings, StartError

if TYPE_CHECKING:
    from mlflow_sealed.server.asgi.application import Application

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def app() -> "WithLifespan":
    """Make the application for the model in the folder that SCORING_MODEL names.

    The log, the counts and the model's subprocess end with the other server's lifespan protocol.

    Raises
    ------
    SystemExit
        If it cannot start; the message is one line that says why.
    """
    try:
        return WithLifespan(_load(os.environ))
    except (StartError, manifest.ManifestError) as error:
        raise SystemExit(f"error: {error}") from None


class WithLifespan:
    """An application that ends when its server says so.

    Parameters
    ----------
    application
        Responds to requests.
    """

    def __init__(self, application: "Application") -> None:
        self._application = application

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Respond to a request, or to the server's start and end."""
        if scope["type"] == "http":
            await self._application(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await send({"type": "websocket.close"})  # rejects the handshake with a 403

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._application.drain()
        self._application.close()
        await send({"type": "lifespan.shutdown.complete"})


def _load(environ: Mapping[str, str]) -> "Application":
    settings = Settings.read(environ)
    model = _folder(environ, "SCORING_MODEL", "the folder of a model")
    if settings.metrics:
        hint = "an empty folder that its workers share, or count nothing with SCORING_METRICS=0"
        _folder(environ, "PROMETHEUS_MULTIPROC_DIR", hint)
    manifest.check(model)
    sys.dont_write_bytecode = True  # in the model's folder it would change the model
    os.environ.update(ENVIRON)
    # Here, because MLflow and prometheus-client read their settings when they are imported.
    from mlflow_sealed.server import forks, load  # noqa: PLC0415

    loaded = load.load(model, settings)
    return loaded.application(forks.fork_server(loaded.scoring.score).spawn)


def _folder(environ: Mapping[str, str], name: str, expected: str) -> Path:
    """Return the folder that a variable names."""
    found = environ.get(name)
    if not found:
        raise StartError(f"{name} is not set: expected {expected}")
    if not Path(found).is_dir():
        raise StartError(f"{name} names no folder: expected {expected}")
    return Path(found)
