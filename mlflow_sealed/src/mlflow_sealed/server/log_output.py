"""Standard output and error that never wait for their reader.

A pipe that is not read is full after some hundred lines, and then everything that writes to it
stops. Here, lines that cannot be written are kept, up to a bound. Further ones are dropped whole,
and once there is room again, a line says how many.
"""

import io
import os
import select
import socket
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple, TextIO

KEPT_BYTES: Final = 2**20
"""How much is kept for a reader that is late, in each process and for each output."""

_PIECE_BYTES: Final = (
    select.PIPE_BUF
)  # what a pipe takes whole or not at all, next to other writers


class _Writer(NamedTuple):
    """Writes as much as there is room for, or raises BlockingIOError; and what it has opened."""

    write: Callable[[bytes], int]
    close: Callable[[], None]


class LogOutput(io.RawIOBase):
    """Writes whole lines to a file descriptor that others may have too, without ever waiting.

    Parameters
    ----------
    descriptor
        Of a pipe, a terminal, a socket or a file.
    tell_dropped
        Returns the line that says how many lines were dropped.
    """

    def __init__(self, descriptor: int, tell_dropped: Callable[[int], bytes]) -> None:
        super().__init__()
        self.name = f"<output {descriptor}>"
        self._descriptor = descriptor
        self._writers = [_writer(descriptor)]
        self._tell_dropped = tell_dropped
        self._kept = bytearray()
        self._dropped = 0

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._descriptor

    def writable(self) -> bool:
        """Return that it can be written to."""
        return True

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        """Write lines as far as there is room; keep or drop the others."""
        self.flush()
        if self._dropped:  # how many they are is told where they would be
            self._dropped += bytes(data).count(b"\n")
        else:
            self._kept += data
            self._write_kept()
            self._bound()
        return len(data)

    def flush(self) -> None:
        """Write what was kept, as far as there is room now."""
        self._write_kept()
        if self._dropped and not self._kept:
            self._kept += self._tell_dropped(self._dropped)
            self._dropped = 0
            self._write_kept()

    def renew(self) -> None:
        """Begin anew in a forked process: its parent has what was kept, its files are closed."""
        # The last one is not closed: the number of its file may be another's by now.
        self._writers.append(_writer(self._descriptor))
        self._kept, self._dropped = bytearray(), 0

    def close(self) -> None:
        """Close what was opened to write, but not the descriptor."""
        if not self.closed:
            super().close()
            self._writers[-1].close()

    @property
    def is_late(self) -> bool:
        """Whether something is left to be written."""
        return bool(self._kept or self._dropped)

    def _bound(self) -> None:
        if len(self._kept) > KEPT_BYTES:
            end = self._kept.rfind(b"\n", 0, KEPT_BYTES) + 1
            self._dropped += self._kept.count(b"\n", end)
            del self._kept[end:]

    def _write_kept(self) -> None:
        kept, write, start = self._kept, self._writers[-1].write, 0
        with suppress(BlockingIOError):
            while start < len(kept):
                end = kept.rfind(b"\n", start, start + _PIECE_BYTES) + 1 or start + _PIECE_BYTES
                start += write(bytes(kept[start:end]))
        del kept[:start]


def never_wait() -> None:
    """Let all that Python writes to standard output and error be dropped rather than waited for."""
    if sys.stdout is not None:
        sys.stdout = _text(LogOutput(sys.stdout.fileno(), _dropped_as_json))
    if sys.stderr is not None:
        sys.stderr = _text(LogOutput(sys.stderr.fileno(), _dropped_as_text))


def outputs() -> list[LogOutput]:
    """Return what standard output and error are, if `never_wait` was called."""
    return [found for found in map(of, (sys.stdout, sys.stderr)) if found is not None]


def of(stream: TextIO | None) -> LogOutput | None:
    """Return what a stream writes to, None if `never_wait` did not make it."""
    found = getattr(stream, "buffer", None)
    return found if isinstance(found, LogOutput) else None


def _text(output: LogOutput) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        output, encoding="utf-8", errors="backslashreplace", line_buffering=True
    )


def _dropped_as_json(count: int) -> bytes:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return f'{{"time": "{now}", "dropped_lines": {count}}}\n'.encode()


def _dropped_as_text(count: int) -> bytes:
    return f"warning: {count} lines were dropped here, because nothing read the log\n".encode()


def _writer(descriptor: int) -> _Writer:
    """Return what writes to a descriptor.

    Whether a descriptor waits is a property that all who have it share: a shell, or the program
    that started this one. So it stays as it is, and a pipe or a terminal is opened once more.
    """
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return _Writer(len, _nothing)  # it is closed
    if stat.S_ISSOCK(mode):
        connection = socket.socket(fileno=os.dup(descriptor))
        return _Writer(partial(_sent, connection), connection.close)
    if not stat.S_ISFIFO(mode) and not stat.S_ISCHR(mode):
        return _Writer(partial(_written, descriptor), _nothing)  # a file has room
    path = f"/proc/self/fd/{descriptor}"
    try:
        own = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:  # it belongs to another user
        return _Writer(partial(_written_if_ready, descriptor), _nothing)
    return _Writer(partial(_written, own), partial(os.close, own))


def _nothing() -> None:
    """Close nothing."""


def _sent(connection: socket.socket, data: bytes) -> int:
    try:
        return connection.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except BlockingIOError:
        raise
    except OSError:
        return len(data)


def _written(descriptor: int, data: bytes) -> int:
    """Write, and take what nothing can read any more as written."""
    try:
        return os.write(descriptor, data)
    except BlockingIOError:
        raise
    except OSError:
        return len(data)


def _written_if_ready(descriptor: int, data: bytes) -> int:
    """Write if there is room for a piece; another process may still be faster."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    if not poll.poll(0):
        raise BlockingIOError
    return _written(descriptor, data)
