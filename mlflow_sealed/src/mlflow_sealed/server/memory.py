"""How the subprocess for slow requests keeps memory for the next one, and gives it back.

It is a trick: `benchmarks/tricks.py` measures what it gains.
"""

import ctypes
import select
import socket
import time
from typing import Final

_LARGE_BYTES: Final = 2**18
_IDLE_S: Final = 0.05
_TRIM_S: Final = 0.25

_M_TRIM_THRESHOLD: Final = -1  # of malloc.h
_M_MMAP_THRESHOLD: Final = -3
_KEPT_BYTES: Final = 2**28
_LARGEST_BYTES: Final = 2**25  # the most that the C library takes for it


class RequestMemory:
    """The memory of one process that scores requests one after the other.

    While requests follow one another, the memory that one has freed is kept for the next: the
    kernel clears each page that it gives, which was a tenth of a large request's time. When they
    stop, it is given back; otherwise the process would stay as large as its largest request.
    """

    def __init__(self) -> None:
        keep()
        self._is_large = False
        self._trimmed = time.monotonic()

    def note(self, size: int) -> None:
        """Note that a request whose body has `size` bytes was scored."""
        self._is_large = self._is_large or size > _LARGE_BYTES

    def trim_when_idle(self, requests: socket.socket) -> None:
        """Give memory back to the kernel if no request comes soon, and from time to time anyway.

        Under steady load, free memory between the rows would never be given back.
        """
        if self._is_large and (self._is_due() or not _comes_soon(requests)):
            trim()
            self._is_large, self._trimmed = False, time.monotonic()

    def _is_due(self) -> bool:
        return time.monotonic() - self._trimmed > _TRIM_S


def keep() -> None:
    """Let the C library keep free memory until `trim`."""
    library = ctypes.CDLL(None)
    library.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_BYTES)


def trim() -> None:
    """Return the C library's free memory to the kernel."""
    ctypes.CDLL(None).malloc_trim(0)


def _comes_soon(requests: socket.socket) -> bool:
    return bool(select.select([requests], [], [], _IDLE_S)[0])
