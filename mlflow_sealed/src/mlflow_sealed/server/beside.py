"""A process beside the event loop that answers what takes long, and that can be ended.

A thread cannot be stopped, and holds up the event loop while it checks a large body. A process can
be killed once a request's time is up, and a broken file that takes it down takes nothing else.

It is forked, so that it shares the memory of the loaded model, and it is forked from a process that
has loaded the model and never predicted with it: libraries that predict with threads of their own
do not outlive a fork after that.
"""

import asyncio
import contextlib
import ctypes
import gc
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, NoReturn

_ASKED: Final = struct.Struct("!HI")  # bytes of the format's name, bytes of the body
_ANSWERED: Final = struct.Struct("!HIId")  # status, rows, bytes of the body, seconds
_PID: Final = struct.Struct("!I")
_PR_SET_PDEATHSIG: Final = 1
_BUFFER_BYTES: Final = 2**22
_LARGE_BYTES: Final = 2**18
_RENEWAL_BYTES: Final = 2**28
_IDLE_S: Final = 0.05
_TRIM_S: Final = 0.25
_ANCHORED: Final = 128  # each MiB has several hundred rows


class Outcome(NamedTuple):
    """What became of a request.

    Attributes
    ----------
    status
        As HTTP has it.
    rows
        How many were answered.
    body
        The answer; where the status is an error, the message alone.
    seconds
        How long that took; 0 where nobody knows.
    kept
        The rows and the predictions of the answer. To free ten thousand of them takes as long as to
        serialise them, and can wait until the answer is sent.
    """

    status: int
    rows: int
    body: bytes
    seconds: float = 0.0
    kept: tuple[Sequence[object], ...] = ()


Answer = Callable[[str, bytes], Outcome]
"""Answers a body in one of the formats; raises nothing."""


class BusyError(Exception):
    """As many requests wait as may."""


class EndedError(Exception):
    """The process ended before it answered."""


class Beside:
    """Answers requests one after the other in a process of its own.

    Parameters
    ----------
    spawn
        Makes the process: gives the socket to it and its process id.
    most
        How many requests may wait or run at once.
    """

    def __init__(self, spawn: Callable[[], tuple[socket.socket, int]], *, most: int) -> None:
        self._spawn = spawn
        self._most = most
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._process: tuple[asyncio.StreamReader, asyncio.StreamWriter, int] | None = None
        self._taken = 0  # bytes that it was asked about

    async def answer(self, kind: str, body: bytes) -> Outcome:
        """Answer a request in its turn. Cancelled, it has not begun or its process is killed.

        Raises
        ------
        BusyError
            If too many wait already.
        EndedError
            If the process ends by itself.
        """
        if self._waiting >= self._most:
            raise BusyError
        self._waiting += 1
        try:
            async with self._turn:
                return await self._ask(kind, body)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            _, writer, pid = self._process
            self._process = None
            writer.transport.abort()
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def _ask(self, kind: str, body: bytes) -> Outcome:
        try:
            if self._process is None:
                ours, pid = self._spawn()
                # An answer of megabytes would stop and go at the usual 64 KiB.
                streams = await asyncio.open_connection(sock=ours, limit=_BUFFER_BYTES)
                self._process, self._taken = (*streams, pid), 0
            reader, writer, _ = self._process
            name = kind.encode()
            writer.writelines((_ASKED.pack(len(name), len(body)), name, body))
            await writer.drain()
            head = await reader.readexactly(_ANSWERED.size)
            status, rows, size, seconds = _ANSWERED.unpack(head)
            answered = await reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.close()
            raise EndedError from None
        except BaseException:
            self.close()
            raise
        # What large requests leave lies in ever more places, and small ones keep it from being
        # given back: a process that has done so much makes way for a new one.
        self._taken += len(body)
        if self._taken >= _RENEWAL_BYTES:
            self.close()
        return Outcome(status, rows, answered, seconds)


class Template:
    """The process that the others are forked from.

    It does nothing but fork. It ends with this one, and so do those that it has forked.

    Parameters
    ----------
    answer
        What they do.
    """

    def __init__(self, answer: Answer) -> None:
        self._socket, theirs = socket.socketpair()
        if os.fork() == 0:
            _run(lambda: _fork_on_demand(theirs, answer), keep=theirs)
        theirs.close()

    def spawn(self) -> tuple[socket.socket, int]:
        """Return a socket to a new process, and its process id."""
        ours, theirs = socket.socketpair()
        told = b""
        with theirs, contextlib.suppress(ConnectionError):
            socket.send_fds(self._socket, [b"+"], [theirs.fileno()])
            told = _read(self._socket, _PID.size)
        if not told:  # killed from outside: this worker ends too, and is replaced whole
            os.kill(os.getpid(), signal.SIGTERM)
            raise ConnectionResetError
        (pid,) = _PID.unpack(told)
        ours.setblocking(False)  # noqa: FBT003 # the socket's own signature
        return ours, pid


def signal_on_parents_end(number: signal.Signals) -> None:
    """Let the kernel send this process a signal when the one that has started it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def _fork_on_demand(control: socket.socket, answer: Answer) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those that end leave nothing to collect
    while True:
        asked, passed, _, _ = socket.recv_fds(control, 1, 1)
        if not asked:
            return
        with socket.socket(fileno=passed[0]) as theirs:
            pid = os.fork()
            if pid == 0:
                _run(lambda: _answer_all(theirs, answer), keep=theirs)
        control.sendall(_PID.pack(pid))


def _answer_all(asking: socket.socket, answer: Answer) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    trim = ctypes.CDLL(None).malloc_trim
    # Python gives memory back by the MiB, each as soon as nothing is left in it, and to get it from
    # the kernel again, page by page, takes a tenth of a large request's time. A few rows of the
    # last one stay in it until a small one comes, or it is trimmed.
    anchors: list[Sequence[object]] = []
    large, trimmed = False, time.monotonic()
    while True:
        # What a large request took, the next small ones do not need; another large one would. But
        # where there is always a next one, what lies between would never be given back.
        if large and (
            time.monotonic() - trimmed > _TRIM_S or not select.select([asking], [], [], _IDLE_S)[0]
        ):
            anchors.clear()
            trim(0)
            large, trimmed = False, time.monotonic()
        head = _read(asking, _ASKED.size)
        if not head:
            return
        name, size = _ASKED.unpack(head)
        if size <= _LARGE_BYTES:
            anchors.clear()
        kind = _read(asking, name).decode()
        gc.disable()  # it would look through all the rows: it can do so once they are answered
        outcome = answer(kind, _read(asking, size))
        status, rows, answered, seconds = outcome[:4]
        asking.sendall(_ANSWERED.pack(status, rows, len(answered), seconds))
        asking.sendall(answered)
        if size > _LARGE_BYTES:
            large, anchors = True, [kept[::_ANCHORED] for kept in outcome.kept]
        del outcome, answered  # now, and not when the next request is here
        gc.enable()


def _run(task: Callable[[], None], *, keep: socket.socket) -> NoReturn:
    """Do a forked process's task and end it, without a trace of what it was forked from."""
    status = 1
    try:
        signal_on_parents_end(signal.SIGKILL)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # whoever forked it ends it, after its work
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # A client's connection, and the socket that listens, are closed when the server says so.
        os.closerange(3, keep.fileno())
        os.closerange(keep.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
        task()
        status = 0
    finally:
        os._exit(status)


def _read(source: socket.socket, size: int) -> bytes:
    """Return exactly so many bytes, or none at all where the other side has gone."""
    found = source.recv(size, socket.MSG_WAITALL)
    return found if len(found) == size else b""
