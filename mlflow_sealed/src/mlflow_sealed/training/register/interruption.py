"""Short stretches of work that a signal may not cut in two."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deferred() -> Iterator[None]:
    """Let SIGTERM and SIGINT wait until the work within is done; then they do what they did.

    A handler in Python runs in the main thread whichever thread the system has picked, so blocking
    the signals in this one would not hold them back.
    """
    waiting: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {
        number: signal.signal(number, lambda caught, _: waiting.append(caught))
        for number in numbers
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if waiting:
            signal.raise_signal(waiting[0])
