"""Why a process has ended, for the log, and how many may be killed."""

import os
import signal
import time
from typing import Final

from mlflow_sealed.server import cgroup_memory

LOADING: Final = "give the container more"
"""What to do if the memory is not enough to load the model."""

WORKERS: Final = "give the container more, or set MLFLOW_MODELS_WORKERS to fewer than {}"
"""What to do if it is not enough for so many workers."""

_MOST: Final = 5
_WITHIN_S: Final = 60


class Deaths:
    """Tells why processes end, and when too many of them were killed."""

    def __init__(self) -> None:
        self._killed_for_memory = cgroup_memory.kills()
        self._times: list[float] = []

    def reason(self, status: int, *, advice: str) -> str:
        """Return why a process ended: the end of a sentence about it.

        Parameters
        ----------
        status
            As `os.waitpid` returns it.
        advice
            What to do if it was killed for lack of memory.
        """
        if not os.WIFSIGNALED(status):
            return f"ended with exit status {os.waitstatus_to_exitcode(status)}"
        number = os.WTERMSIG(status)
        if number == signal.SIGALRM:
            return (
                "was killed: the model held it up for longer than the time limit "
                "(MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT)"
            )
        if number == signal.SIGKILL and self.is_for_memory():
            mib = cgroup_memory.limit_bytes() // 2**20
            return f"was killed by the kernel for lack of memory (it has {mib} MiB): {advice}"
        return f"was killed by {_name(number)}"

    def is_for_memory(self) -> bool:
        """Return whether the kernel has killed a process for lack of memory since the last time."""
        before, self._killed_for_memory = self._killed_for_memory, cgroup_memory.kills()
        return self._killed_for_memory > before

    def are_too_many(self) -> bool:
        """Count one more, and return whether these are too many in a short time."""
        now = time.monotonic()
        self._times = [one for one in self._times if now - one < _WITHIN_S] + [now]
        return len(self._times) > _MOST


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
