"""Where the seconds of a command go, for a line of its output."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_STARTTIME: Final = (
    19  # the 22nd field of proc_pid_stat(5), of which two are before the bracket's end
)


class Stopwatch:
    """Measures named stages, from the start of this process."""

    def __init__(self) -> None:
        self._began = time.monotonic() - _age_s()
        self._lap = self._began
        self.seconds: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """Count the time since the last stage for a stage."""
        now = time.monotonic()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._lap
        self._lap = now

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a stage that is a ``with`` block; what is since the last one is ``other``."""
        self.lap("other")
        try:
            yield
        finally:
            self.lap(name)

    @property
    def total_s(self) -> float:
        """The seconds since the process started."""
        return time.monotonic() - self._began

    def told(self) -> str:
        """Return the seconds of the whole, and of each stage."""
        self.lap("other")
        found = {name: each for name, each in self.seconds.items() if name != "other"}
        found["other"] = self.seconds["other"]
        stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in found.items())
        return f"{self.total_s:.1f} s: {stages}"


def _age_s() -> float:
    """Return how long ago this process started, in seconds; 0 where the kernel does not say."""
    try:
        text = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
        ticks = int(text.rpartition(")")[2].split()[_STARTTIME])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, IndexError, ValueError):
        return 0.0
