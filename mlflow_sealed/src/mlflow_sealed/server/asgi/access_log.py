"""The access log: a line of JSON for each request, on standard output."""

import asyncio
import os
import sys
import time
from contextlib import suppress
from functools import lru_cache
from typing import Final

from mlflow_sealed.server import log_output
from mlflow_sealed.server.asgi.delayed_write import DelayedWrite
from mlflow_sealed.server.asgi.request import Handler, Request
from mlflow_sealed.server.asgi.responses import Response

_RETRY_S: Final = 0.25


class AccessLog:
    """Logs each request, without anything that a client sent but its request id.

    Parameters
    ----------
    handler
        Responds to the requests.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._lines: list[str] = []
        self._delayed = DelayedWrite(self._write_and_retry)

    async def respond(self, request: Request) -> Response:
        """Respond to a request, and log it."""
        response = await self._handler.respond(request)
        self._lines.append(_line(request, response))
        self._delayed.schedule()
        return response

    def write(self) -> None:
        """Write the lines so far; see `log_output` for those that nothing reads."""
        lines, self._lines = self._lines, []
        data = "".join(lines).encode()
        if output := log_output.of(sys.stdout):
            output.write(data)
        elif lines and sys.stdout is not None:
            with suppress(OSError):  # the reader of the log may end before the clients do
                os.write(sys.stdout.fileno(), data)

    def _write_and_retry(self) -> None:
        self.write()
        output = log_output.of(sys.stdout)
        if output and output.is_late:
            asyncio.get_running_loop().call_later(_RETRY_S, self._delayed.schedule)


def _line(request: Request, response: Response) -> str:
    now = time.time()
    return (
        f'{{"time": "{_second(int(now))}.{int(now % 1 * 1000):03}Z", '
        f'"id": "{request.id.decode()}", "route": "{request.route}", '
        f'"status": {response.status}, "rows": {response.rows}, '
        f'"ms": {request.seconds() * 1000:.3f}}}\n'
    )


@lru_cache(maxsize=1)
def _second(now: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
