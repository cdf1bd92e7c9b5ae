"""What Linux lets a process say of itself, and Python has no call for: prctl(2)."""

import ctypes
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36


def signal_on_parents_end(number: int) -> None:
    """Let the kernel send this process a signal when its parent ends; 0: none."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def set_name(name: str) -> None:
    """Set the name that `ps -e` and `top` show, at most 15 bytes."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()))


def adopt_orphans() -> None:
    """Make the processes that this one's children leave behind its own, as process 1 does."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
