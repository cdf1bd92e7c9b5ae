"""uvicorn's server, which says when it is ready and drops no request when it ends."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from uvicorn import Config

from mlflow_sealed.server.run.supervisor import GRACE_S
from mlflow_sealed.server.settings import Settings
from mlflow_sealed.server.uvicorn_compat import UvicornServer

if TYPE_CHECKING:
    from mlflow_sealed.server.asgi.application import Application

LINGER_S: Final = 1.5
"""A request that arrives by then on an open connection gets its response."""


class DrainingServer(UvicornServer):
    """A server that watches its connections, and drains them when it ends.

    Parameters
    ----------
    app
        Responds to requests.
    settings
        How long a connection may be idle, and new ones are taken when the server is about to end.
    ready
        The file descriptor of a pipe that gets one byte once requests are answered.
    """

    def __init__(self, app: "Application", settings: Settings, ready: int) -> None:
        super().__init__(_config(app, settings))
        self._ready = ready
        self._drain = app.drain
        self._delay_s = settings.drain_delay_s
        self._patience_s = app.patience_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell the supervisor."""
        await super().startup(sockets)
        self._watching = asyncio.create_task(self._watch())
        with contextlib.suppress(BrokenPipeError):  # the supervisor waits for one worker only
            os.write(self._ready, b"1")
        os.close(self._ready)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let open connections send what is under way, respond, and close them then.

        uvicorn drops a connection that waits to be accepted, and closes at once a connection on
        which it has not read a request yet. While further ones are taken, each response closes its
        connection, so that the next request goes to another server once the port is closed.
        """
        self._drain()
        await self._delay()
        waiting = [accepted for listener in sockets or [] for accepted in _accept_all(listener)]
        self.stop_listening()
        for accepted in waiting:
            await self.adopt(accepted)
        self.announce_close()
        deadline = time.monotonic() + LINGER_S
        # uvicorn has no event to wait for.
        while self.connections and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    async def _delay(self) -> None:
        end = time.monotonic() + self._delay_s
        while (left := end - time.monotonic()) > 0:
            await self.on_tick(0)  # the header Date, which it writes anew
            self.announce_close()
            await asyncio.sleep(min(left, 1))

    async def _watch(self) -> None:
        while True:
            # The last resort if a model hangs: the kernel ends this worker, and it is replaced.
            signal.setitimer(signal.ITIMER_REAL, self._patience_s)
            now = asyncio.get_running_loop().time()
            for connection in self.connections:
                connection.check(now)
            await asyncio.sleep(min(1.0, self._patience_s / 4))


def _config(app: "Application", settings: Settings) -> Config:
    return Config(
        app,
        http="mlflow_sealed.server.asgi.connection:Connection",
        loop="uvloop",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,  # see worker.configure_log
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=GRACE_S - settings.drain_delay_s,
    )


def _accept_all(listener: socket.socket) -> Iterator[socket.socket]:
    with contextlib.suppress(BlockingIOError):
        while True:
            connection, _ = listener.accept()
            connection.setblocking(False)  # noqa: FBT003 # the socket's own signature
            yield connection
