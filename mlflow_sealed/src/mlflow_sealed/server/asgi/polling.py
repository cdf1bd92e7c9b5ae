"""Staying awake between requests that follow one another closely."""

import asyncio
from os import sched_yield
from time import perf_counter


class BusyPoll:
    """Keeps the event loop from sleeping where the next request is about to come.

    To wake a process that sleeps takes as long as half a request of one row. A client that sends
    its next request as soon as it has its answer pays for that each time; so, as long as requests
    follow one another that closely, the event loop looks for the next one without sleeping. The
    first that does not come in time ends it, and where requests are further apart it never begins.

    Parameters
    ----------
    most_s
        How soon after an answer a request has to come, in seconds; 0: the event loop always sleeps.
    """

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._answered = float("-inf")
        self._follows = self._polls = False

    def begin(self) -> None:
        """Note that a request is here."""
        self._follows = perf_counter() - self._answered < self._most_s

    def end(self) -> None:
        """Note that it is answered. An event loop has to be running."""
        self._answered = perf_counter()
        if self._follows and not self._polls:
            self._polls = True
            asyncio.get_running_loop().call_soon(self._poll)

    def _poll(self) -> None:
        if perf_counter() - self._answered < self._most_s:
            sched_yield()  # to whoever else wants this processor, such as the client
            # What is to be called soon keeps an event loop from waiting for what it listens to.
            asyncio.get_running_loop().call_soon(self._poll)
        else:
            self._polls = False
