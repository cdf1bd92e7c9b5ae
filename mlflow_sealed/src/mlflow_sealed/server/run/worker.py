"""One worker of the container: loads the model and serves it on the supervisor's socket."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from uvicorn import Config, Server

from mlflow_sealed.server.beside import signal_on_parents_end
from mlflow_sealed.server.run.supervisor import CANNOT_START, GRACE_S
from mlflow_sealed.server.settings import Settings, StartError

if TYPE_CHECKING:
    from mlflow_sealed.server.asgi.application import Application

ENVIRON: Final = {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}
"""What MLflow has to find in the environment when it is imported."""

_CONNECTION: Final = "mlflow_sealed.server.asgi.connection:Connection"
_LINGER_S: Final = 1.5  # what a client sends by then on an open connection is answered


def work(listener: int, ready: int, model: Path) -> int:
    """Serve the model on a listening socket until SIGTERM, and return the exit status.

    Parameters
    ----------
    listener
        The file descriptor of the socket.
    ready
        The file descriptor of a pipe that gets one byte once requests are answered.
    model
        The model's folder.
    """
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: see Supervisor
    signal_on_parents_end(signal.SIGTERM)  # outside of a container, nobody else ends it then
    try:
        app = _load_app(model)
    except StartError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return CANNOT_START
    # Until the server has its own handlers, and after it gives them back and signals itself again.
    signal.signal(signal.SIGTERM, _quit)
    config = Config(
        app,
        http=_CONNECTION,
        loop="uvloop",
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = DrainingServer(config, ready, drain=app.drain, patience_s=app.patience_s)
    try:
        server.run(sockets=[socket.socket(fileno=listener)])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        app.close()
    return 0


class DrainingServer(Server):
    """uvicorn's server, which says when it is ready and drops no request when it ends."""

    def __init__(
        self, config: Config, ready: int, *, drain: Callable[[], None], patience_s: float
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._drain = drain
        self._patience_s = patience_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell the supervisor."""
        await super().startup(sockets)
        self._watching = asyncio.create_task(self._watch())
        with contextlib.suppress(BrokenPipeError):  # the supervisor listens to the first alone
            os.write(self._ready, b"1")
        os.close(self._ready)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let open connections send what is under way, answer it, and close them then.

        Alone, uvicorn drops a connection that waits to be accepted, and closes one at once on
        which it has read no request yet.
        """
        self._drain()
        waiting = [found for one in sockets or [] for found in _accept_all(one)]
        for listening in self.servers:
            listening.close()
        for connection in waiting:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        self.server_state.default_headers = [
            *self.server_state.default_headers,
            (b"connection", b"close"),
        ]
        deadline = time.monotonic() + _LINGER_S
        # uvicorn has no event to wait for.
        while self.server_state.connections and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    async def _watch(self) -> None:
        while True:
            # The last resort where a model hangs: the kernel ends this worker, and it is replaced.
            signal.setitimer(signal.ITIMER_REAL, self._patience_s)
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                connection.check(now)  # type: ignore[union-attr] # all are of our own class
            await asyncio.sleep(min(1.0, self._patience_s / 4))

    def _protocol(self) -> asyncio.Protocol:
        protocol: Any = self.config.http_protocol_class
        made: asyncio.Protocol = protocol(
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        return made


def _load_app(model: Path) -> "Application":
    os.environ.update(ENVIRON)
    try:
        # Here, for MLflow reads its settings on import, and a model may lack what the server needs.
        from mlflow_sealed.server.asgi import application, connection  # noqa: F401, PLC0415

        return application.load(model, Settings.read())
    except StartError:
        raise
    except Exception as error:  # noqa: BLE001 # whatever it is, nothing can be served
        said = " ".join(str(error).split())
        raise StartError(f"the model cannot be loaded: {type(error).__name__}: {said}") from None


def _accept_all(listener: socket.socket) -> Iterator[socket.socket]:
    with contextlib.suppress(BlockingIOError):
        while True:
            connection, _ = listener.accept()
            connection.setblocking(False)  # noqa: FBT003 # the socket's own signature
            yield connection


def _leave(number: int, frame: FrameType | None) -> None:
    del number, frame
    os._exit(0)  # an exception could be lost in what is imported then; nothing is open yet


def _quit(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(work(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
