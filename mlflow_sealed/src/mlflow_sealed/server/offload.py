"""A subprocess for slow requests, which can be killed.

A thread cannot be stopped, and it would hold up the event loop while it checks a large body. A
process can be killed once a request's time is up, and a broken file that crashes it crashes nothing
else.

The subprocess is forked from a process that has loaded the model: see `forks`.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from typing import Final

from mlflow_sealed.server.result import ScoringResult
from mlflow_sealed.server.subprocess_loop import REQUEST, RESULT

_BUFFER_BYTES: Final = 2**22
_RENEWAL_BYTES: Final = 2**28


Spawn = Callable[[], tuple[socket.socket, int]]
"""Starts a subprocess; returns the socket to it and its process id, or raises ConnectionError."""


class BusyError(Exception):
    """Too many requests are waiting already."""


class EndedError(Exception):
    """The subprocess ended before it gave a result."""


class Offload:
    """Scores requests in a subprocess, one after the other.

    Parameters
    ----------
    spawn
        Starts a subprocess.
    max_requests
        How many requests may wait or run at once.
    """

    def __init__(self, spawn: Spawn, *, max_requests: int) -> None:
        self._spawn = spawn
        self._max_requests = max_requests
        self._requests = 0
        self._turn = asyncio.Lock()
        self._process: tuple[asyncio.StreamReader, asyncio.StreamWriter, int] | None = None
        self._sent_bytes = 0

    async def score(self, media_type: str, body: bytes) -> ScoringResult:
        """Score a request when its turn comes.

        If it is cancelled while it runs, the subprocess is killed; before that, it just never runs.

        Raises
        ------
        BusyError
            If too many requests are waiting already.
        EndedError
            If the subprocess ends by itself.
        """
        if self._requests >= self._max_requests:
            raise BusyError
        self._requests += 1
        try:
            async with self._turn:
                return await self._score(media_type, body)
        finally:
            self._requests -= 1

    def close(self) -> None:
        """Kill the subprocess, whatever it is doing."""
        if self._process is not None:
            _, writer, pid = self._process
            self._process = None
            writer.transport.abort()
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def _score(self, media_type: str, body: bytes) -> ScoringResult:
        try:
            reader, writer = await self._connection()
            name = media_type.encode()
            writer.writelines((REQUEST.pack(len(name), len(body)), name, body))
            await writer.drain()
            head = await reader.readexactly(RESULT.size)
            status, rows, size, seconds = RESULT.unpack(head)
            result = ScoringResult(status, rows, await reader.readexactly(size), seconds)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.close()
            raise EndedError from None
        except BaseException:
            self.close()
            raise
        # Large requests leave memory fragmented, and what small requests allocate in between keeps
        # it from being given back. So a subprocess that has done this much is replaced.
        self._sent_bytes += len(body)
        if self._sent_bytes >= _RENEWAL_BYTES:
            self.close()
        return result

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return the streams to the subprocess, which is started if there is none."""
        if self._process is None:
            ours, pid = self._spawn()
            # A result of megabytes would stop and go with the usual 64 KiB.
            streams = await asyncio.open_connection(sock=ours, limit=_BUFFER_BYTES)
            self._process, self._sent_bytes = (*streams, pid), 0
        reader, writer, _ = self._process
        return reader, writer
