"""Waiting for files and signals at once."""

import os
import select
import signal
import time
from collections.abc import Sequence
from types import FrameType


class Wakeup:
    """Wakes the supervisor up when a child ends, or when it is to end itself.

    Attributes
    ----------
    is_ending
        Whether SIGTERM or SIGINT has come.
    """

    def __init__(self) -> None:
        self.is_ending = False
        self._came = False  # a signal, since the last `wait` began
        self._woken, tell = os.pipe()
        for descriptor in (self._woken, tell):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler, nothing wakes it up
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)

    def wait(self, descriptors: Sequence[int], *, timeout_s: float) -> list[int]:
        """Wait for a signal, the time or a descriptor; return the descriptors with something.

        A signal that came during `read` counts: the caller has not looked at the children since.
        """
        came, self._came = self._came, False
        found = self._select(descriptors, 0 if came else timeout_s)
        self._came = False
        return found

    def read(self, descriptor: int, *, timeout_s: float | None = None) -> bytes | None:
        """Return what a pipe or socket gives; None if the supervisor is to end, or it is late."""
        deadline = time.monotonic() + (timeout_s or float("inf"))
        while not self.is_ending and time.monotonic() < deadline:
            if self._select([descriptor], min(1.0, max(0, deadline - time.monotonic()))):
                try:
                    return os.read(descriptor, 4096)
                except ConnectionResetError:
                    return b""
        return None

    def _select(self, descriptors: Sequence[int], timeout_s: float) -> list[int]:
        found = select.select([self._woken, *descriptors], [], [], timeout_s)[0]
        if self._woken in found:
            os.read(self._woken, 4096)
            found.remove(self._woken)
            self._came = True
        return found

    def _end(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.is_ending = True
