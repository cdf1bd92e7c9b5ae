"""The access log: a line of JSON for each request, on standard output."""

import os
import sys
import time
from contextlib import suppress
from functools import lru_cache

from mlflow_sealed.server.served import Served


class AccessLog:
    """Logs each request, without anything that a client sent but its request id."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def note(self, served: Served) -> None:
        """Log a request."""
        self._lines.append(_line(served))

    def write(self) -> None:
        """Write the lines so far."""
        lines, self._lines = self._lines, []
        if lines:
            with suppress(OSError):  # the reader of the log may end before the clients do
                os.write(sys.stdout.fileno(), "".join(lines).encode())


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
