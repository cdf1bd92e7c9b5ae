"""How the subprocess for slow requests keeps memory fast for large requests, and gives it back.

These are tricks: `benchmarks/tricks.py` measures what each of them gains.
"""

import ctypes
import gc
import select
import socket
import time
from collections.abc import Sequence
from typing import Final

_LARGE_BYTES: Final = 2**18
_IDLE_S: Final = 0.05
_TRIM_S: Final = 0.25
_ANCHOR_STEP: Final = 128  # each MiB holds several hundred rows


class RequestMemory:
    """The memory of one process that scores requests one after the other.

    Python allocates memory by the MiB and returns each piece as soon as nothing is left in it.
    Getting it back from the kernel, page by page, takes a tenth of a large request's time. So a few
    rows of the last large request stay alive and hold its pieces, until a small request comes or
    no request comes.
    """

    def __init__(self) -> None:
        self._anchors: list[Sequence[object]] = []
        self._is_large = False
        self._trimmed = time.monotonic()

    def trim_when_idle(self, requests: socket.socket) -> None:
        """Give memory back to the kernel if no request comes soon, and from time to time anyway.

        A small request does not need what a large one took, another large one does. But under
        steady load, free memory between the rows would never be given back.
        """
        if self._is_large and (self._is_due() or not _comes_soon(requests)):
            self._anchors.clear()
            trim()
            self._is_large, self._trimmed = False, time.monotonic()

    def begin(self, size: int) -> None:
        """Prepare for a request whose body has `size` bytes."""
        if size <= _LARGE_BYTES:
            self._anchors.clear()
        gc.disable()  # a collection would visit all rows; it can wait until they are freed

    def keep(self, size: int, kept: Sequence[Sequence[object]]) -> None:
        """Keep a few of the rows and predictions of a large request."""
        if size > _LARGE_BYTES:
            self._is_large, self._anchors = True, [rows[::_ANCHOR_STEP] for rows in kept]

    def end(self) -> None:
        """Let the garbage collector run again, after the rows are freed."""
        gc.enable()

    def _is_due(self) -> bool:
        return time.monotonic() - self._trimmed > _TRIM_S


def trim() -> None:
    """Return the C library's free memory to the kernel."""
    ctypes.CDLL(None).malloc_trim(0)


def _comes_soon(requests: socket.socket) -> bool:
    return bool(select.select([requests], [], [], _IDLE_S)[0])
