"""Whether the event loop stays awake for the next request."""

import asyncio
from typing import Final

import pytest

from mlflow_sealed.server.asgi import polling
from mlflow_sealed.server.asgi.polling import BusyPoll

MOST: Final = 2.0**-12
SOON: Final = MOST / 2
POLLS: Final = 8
"""How often the event loop polls in so long."""


class Clock:
    """A clock that goes on only while the event loop polls, or by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.polls = 0

    def poll(self) -> None:
        self.polls += 1
        self.now += MOST / POLLS


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(polling, "perf_counter", lambda: made.now)
    monkeypatch.setattr(polling, "sched_yield", made.poll)
    return made


def polls(clock: Clock, gaps: list[float], *, most_s: float = MOST) -> list[int]:
    """Return how often the event loop polled after each request; the gaps are those before them."""

    async def answer_all() -> list[int]:
        poll, counts = BusyPoll(most_s), []
        for gap in gaps:
            clock.now += gap
            poll.begin()
            poll.end()
            before, answered = clock.polls, clock.now
            for _ in range(10 * POLLS):
                await asyncio.sleep(0)
            counts.append(clock.polls - before)
            clock.now = answered
        return counts

    return asyncio.run(answer_all())


def test_it_stays_awake_while_requests_follow_one_another_and_no_longer(clock: Clock) -> None:
    assert polls(clock, [1, SOON, SOON, 2 * MOST, SOON]) == [0, POLLS, POLLS, 0, POLLS]


def test_it_sleeps_where_they_are_further_apart(clock: Clock) -> None:
    assert polls(clock, [1, MOST, 1]) == [0, 0, 0]


def test_without_a_time_it_never_stays_awake(clock: Clock) -> None:
    assert polls(clock, [1, SOON, 0], most_s=0) == [0, 0, 0]


def test_requests_that_come_together_are_polled_for_once(clock: Clock) -> None:
    async def answer_together() -> None:
        poll = BusyPoll(MOST)
        for _ in range(50):
            poll.begin()
            poll.end()
        for _ in range(10 * POLLS):
            await asyncio.sleep(0)

    asyncio.run(answer_together())
    assert clock.polls == POLLS
