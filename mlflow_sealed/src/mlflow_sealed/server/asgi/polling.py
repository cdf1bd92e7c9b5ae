"""Busy polling: staying awake between requests that follow one another closely.

It is a trick, see benchmarks/tricks.py.
"""

import asyncio
from os import sched_yield
from time import perf_counter


class BusyPoll:
    """Keeps the event loop from sleeping if the next request is about to come.

    Waking a process takes as long as half a request of one row. A client that sends its next
    request as soon as it has its response pays for that each time. So while requests follow one
    another that closely, the event loop looks for the next one without sleeping. The first that
    does not come in time ends that; if requests are further apart, it never begins.

    Parameters
    ----------
    most_s
        How soon after a response a request has to come, in seconds; 0: the event loop always
        sleeps.
    """

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._responded = float("-inf")
        self._follows = self._polls = False

    def begin(self) -> None:
        """Note that a request is here."""
        self._follows = perf_counter() - self._responded < self._most_s

    def end(self) -> None:
        """Note that it has its response. An event loop has to be running."""
        self._responded = perf_counter()
        if self._follows and not self._polls:
            self._polls = True
            asyncio.get_running_loop().call_soon(self._poll)

    def _poll(self) -> None:
        if perf_counter() - self._responded < self._most_s:
            sched_yield()  # lets another process have this processor, such as the client
            # An event loop with something to call soon does not wait for its sockets.
            asyncio.get_running_loop().call_soon(self._poll)
        else:
            self._polls = False
