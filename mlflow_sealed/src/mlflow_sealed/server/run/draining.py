"""uvicorn's server, which says when it is ready and drops no request when it ends."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Final

from uvicorn import Config

from mlflow_sealed.server.uvicorn_compat import UvicornServer

_LINGER_S: Final = 1.5  # a request that arrives by then on an open connection gets its response


class DrainingServer(UvicornServer):
    """A server that watches its connections, and drains them when it ends.

    Parameters
    ----------
    config
        uvicorn's.
    ready
        The file descriptor of a pipe that gets one byte once requests are answered.
    drain
        Called when the server is about to end.
    delay_s
        How long new connections are still taken then, in seconds.
    patience_s
        How long the event loop may be held up, in seconds.
    """

    def __init__(
        self,
        config: Config,
        ready: int,
        *,
        drain: Callable[[], None],
        delay_s: float,
        patience_s: float,
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._drain = drain
        self._delay_s = delay_s
        self._patience_s = patience_s

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
        deadline = time.monotonic() + _LINGER_S
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


def _accept_all(listener: socket.socket) -> Iterator[socket.socket]:
    with contextlib.suppress(BlockingIOError):
        while True:
            connection, _ = listener.accept()
            connection.setblocking(False)  # noqa: FBT003 # the socket's own signature
            yield connection
