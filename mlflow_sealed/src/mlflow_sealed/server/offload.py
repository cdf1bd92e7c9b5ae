"""A subprocess for slow requests, which can be killed.

A thread cannot be stopped, and it would hold up the event loop while it checks a large body. A
process can be killed once a request's time is up, and a broken file that crashes it crashes nothing
else.

The subprocess is forked, so that it shares the memory of the loaded model. It is forked from a
process that has loaded the model but never predicted: threads do not survive a fork, so a library
that predicts with threads of its own would deadlock.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import struct
from collections.abc import Callable
from typing import Final, NoReturn

from mlflow_sealed.server.memory import RequestMemory
from mlflow_sealed.server.result import Score, ScoringResult

_REQUEST: Final = struct.Struct("!HI")  # bytes of the media type, bytes of the body
_RESULT: Final = struct.Struct("!HIId")  # status, rows, bytes of the body, seconds
_PID: Final = struct.Struct("!I")
_PR_SET_PDEATHSIG: Final = 1
_BUFFER_BYTES: Final = 2**22
_RENEWAL_BYTES: Final = 2**28


class BusyError(Exception):
    """Too many requests are waiting already."""


class EndedError(Exception):
    """The subprocess ended before it gave a result."""


class Offload:
    """Scores requests in a subprocess, one after the other.

    Parameters
    ----------
    spawn
        Starts a subprocess; returns the socket to it and its process id.
    max_requests
        How many requests may wait or run at once.
    """

    def __init__(
        self, spawn: Callable[[], tuple[socket.socket, int]], *, max_requests: int
    ) -> None:
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
            writer.writelines((_REQUEST.pack(len(name), len(body)), name, body))
            await writer.drain()
            head = await reader.readexactly(_RESULT.size)
            status, rows, size, seconds = _RESULT.unpack(head)
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


class ForkServer:
    """A process that does nothing but fork the subprocesses.

    It ends when this process ends, and so do the subprocesses.

    Parameters
    ----------
    score
        What the subprocesses do with a request.
    """

    def __init__(self, score: Score) -> None:
        self._socket, theirs = socket.socketpair()
        if os.fork() == 0:
            _run_forked(lambda: _fork_on_demand(theirs, score), keep=theirs)
        theirs.close()

    def spawn(self) -> tuple[socket.socket, int]:
        """Return a socket to a new subprocess, and its process id."""
        ours, theirs = socket.socketpair()
        found = b""
        with theirs, contextlib.suppress(ConnectionError):
            socket.send_fds(self._socket, [b"+"], [theirs.fileno()])
            found = _read(self._socket, _PID.size)
        if not found:  # the fork server was killed: this worker ends, and is replaced as a whole
            os.kill(os.getpid(), signal.SIGTERM)
            raise ConnectionResetError
        (pid,) = _PID.unpack(found)
        ours.setblocking(False)  # noqa: FBT003 # the socket's own signature
        return ours, pid


def signal_on_parents_end(number: signal.Signals) -> None:
    """Let the kernel send this process a signal when its parent ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def _fork_on_demand(control: socket.socket, score: Score) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the subprocesses that end
    while True:
        asked, passed, _, _ = socket.recv_fds(control, 1, 1)
        if not asked:
            return
        with socket.socket(fileno=passed[0]) as requests:
            pid = os.fork()
            if pid == 0:
                _run_forked(lambda: _score_all(requests, score), keep=requests)
        control.sendall(_PID.pack(pid))


def _score_all(requests: socket.socket, score: Score) -> None:
    """Score requests until the other side closes the socket."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    memory = RequestMemory()
    while True:
        memory.trim_when_idle(requests)
        head = _read(requests, _REQUEST.size)
        if not head:
            return
        length, size = _REQUEST.unpack(head)
        memory.begin(size)
        media_type = _read(requests, length).decode()
        result = score(media_type, _read(requests, size))
        status, rows, body, seconds, kept = result
        requests.sendall(_RESULT.pack(status, rows, len(body), seconds))
        requests.sendall(body)
        memory.keep(size, kept)
        del result, body, kept  # now, not when the next request is here
        memory.end()


def _run_forked(task: Callable[[], None], *, keep: socket.socket) -> NoReturn:
    """Run the task of a forked process and end it, without the exit handlers of its parent."""
    status = 1
    try:
        signal_on_parents_end(signal.SIGKILL)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # its parent ends it, once work is done
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # The server closes its clients' connections and its listening socket: hold no copy.
        os.closerange(3, keep.fileno())
        os.closerange(keep.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
        task()
        status = 0
    finally:
        os._exit(status)


def _read(source: socket.socket, size: int) -> bytes:
    """Return exactly `size` bytes, or none at all if the other side has gone."""
    found = source.recv(size, socket.MSG_WAITALL)
    return found if len(found) == size else b""
