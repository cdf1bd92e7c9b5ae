"""The access log: a line of JSON for each request, on standard output."""

import asyncio
import os
import sys
import time
from contextlib import suppress
from functools import lru_cache
from typing import Final

from mlflow_sealed.server import log_output
from mlflow_sealed.server.served import Served

_RETRY_S: Final = 0.25


class AccessLog:
    """Logs each request, without anything that a client sent but its request id."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._retries = False

    def note(self, served: Served) -> None:
        """Log a request."""
        self._lines.append(_line(served))

    def write(self) -> None:
        """Write the lines so far; see `log_output` for those that nothing reads."""
        lines, self._lines = self._lines, []
        data = "".join(lines).encode()
        if output := log_output.of(sys.stdout):
            output.write(data)
            self._retry_later(output)
        elif lines and sys.stdout is not None:
            with suppress(OSError):  # the reader of the log may end before the clients do
                os.write(sys.stdout.fileno(), data)

    def _retry_later(self, output: log_output.LogOutput) -> None:
        """Write again in a while what its reader was late for, even if no request comes."""
        if output.is_late and not self._retries:
            with suppress(RuntimeError):  # the event loop has ended
                asyncio.get_running_loop().call_later(_RETRY_S, self._retry)
                self._retries = True

    def _retry(self) -> None:
        self._retries = False
        self.write()


def _line(served: Served) -> str:
    now = time.time()
    return (
        f'{{"time": "{_second(int(now))}.{int(now % 1 * 1000):03}Z", '
        f'"id": "{served.id.decode()}", "route": "{served.route}", '
        f'"status": {served.status}, "rows": {served.rows}, '
        f'"ms": {served.seconds * 1000:.3f}}}\n'
    )


@lru_cache(maxsize=1)
def _second(now: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
