"""Ten times what the server can do: it answers what it can and rejects the rest."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.mlflow_sealed.server.running import (
    Running,
    median,
    post,
    save_diabetes_model,
    save_slow_model,
    serving,
    split,
    task,
    until,
)
from tests.records import record

WORK_S = 0.05
CAPACITY = 1 / WORK_S  # requests a second, one after the other
SECONDS = 30
TOLERANCE_KIB = 20_000  # buffers of what is under way; what leaks would be a multiple


@dataclass
class Load:
    """What became of the requests of a load."""

    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    async def send(self, port: int, request: bytes) -> None:
        """Send a request on a connection of its own."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            self.statuses[await _status(reader)] += 1
            writer.close()
            await writer.wait_closed()
        except OSError as error:
            self.failures[type(error).__name__] += 1

    async def repeat(self, port: int, request: bytes, until_s: float) -> None:
        """Send a request again and again on one connection, as soon as it is answered."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < until_s:
            writer.write(request)
            self.statuses[await _status(reader)] += 1
        writer.close()
        await writer.wait_closed()


async def at_a_rate(server: Running, load: Load, request: bytes, per_second: float) -> None:
    """Send requests when they are due, whether the earlier ones are answered or not."""
    begin, sent = time.monotonic(), 0
    async with asyncio.TaskGroup() as group:
        while (now := time.monotonic() - begin) < SECONDS:
            while sent < now * per_second:
                group.create_task(load.send(server.port, request))
                sent += 1
            await asyncio.sleep(0.01)


async def in_a_loop(
    server: Running, load: Load, request: bytes, connections: int, seconds: float
) -> None:
    """Send on many connections, each request once the one before is answered."""
    until_s = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(load.repeat(server.port, request, until_s))


def test_ten_times_the_capacity_gets_answers_and_503s_and_nothing_else(tmp_path: Path) -> None:
    model = save_slow_model(tmp_path / "model", example_s=WORK_S)
    request = post(task(WORK_S))
    with serving(model, tmp_path) as server:
        usual = latency_s(lambda: server.work(WORK_S))
        load = Load()
        memory = watched(server, lambda: at_a_rate(server, load, request, 10 * CAPACITY))
        recovery = until(lambda: latency_s(lambda: server.work(WORK_S), 1) < 2 * usual)
        assert load.failures == {}
        assert set(load.statuses) == {200, 503}
        assert load.statuses.total() > 9 * CAPACITY * SECONDS
        assert load.statuses[200] > 0.5 * CAPACITY * SECONDS
        assert load.statuses[503] > 7 * CAPACITY * SECONDS
        assert recovery < 5
        assert growth_kib(memory) < TOLERANCE_KIB
        assert server.samples()["scoring_requests_in_flight"] == 0


def test_160_connections_to_a_quick_model_are_all_answered(tmp_path: Path) -> None:
    model = save_diabetes_model(tmp_path / "model")
    body = json.dumps({"inputs": [record()]}).encode()
    with serving(model, tmp_path) as server:
        usual = latency_s(lambda: server.post(body))
        load = Load()
        memory = watched(server, lambda: in_a_loop(server, load, post(body), 160, SECONDS / 6))
        recovery = until(lambda: latency_s(lambda: server.post(body), 1) < 3 * usual)
        assert set(load.statuses) == {200}
        assert load.statuses[200] > 1000
        assert recovery < 5
        assert growth_kib(memory) < TOLERANCE_KIB


def test_what_can_be_done_is_done_while_ten_times_as_much_is_asked(tmp_path: Path) -> None:
    """A queue's waiting time is not the model's: a quick one stays in the event loop."""
    model = save_diabetes_model(tmp_path / "model")
    small = json.dumps({"inputs": [record()]}).encode()
    large = json.dumps({"inputs": [record()] * 2000}).encode()
    # The default of 5 ms is for a machine that has the time: here the load has its share too.
    with serving(model, tmp_path, SCORING_INLINE_MS="100") as server:
        batches, rows = Load(), Load()

        async def both() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(in_a_loop(server, batches, post(large), 48, 5))
                group.create_task(in_a_loop(server, rows, post(small), 8, 5))

        asyncio.run(both())
        assert set(batches.statuses) == {200, 503}
        assert set(rows.statuses) == {200}


def latency_s(send: Callable[[], object], times: int = 9) -> float:
    found = []
    for _ in range(times):
        begin = time.monotonic()
        send()
        found.append(time.monotonic() - begin)
    return median(found)


def watched(server: Running, load: Callable[[], Awaitable[None]]) -> list[int]:
    """Run a load, and return the resident memory of all processes in KiB, a few times a second."""
    series = []

    async def watch() -> None:
        while True:
            series.append(sum(server.resident_kib().values()))
            await asyncio.sleep(0.25)

    async def run() -> None:
        watching = asyncio.create_task(watch())
        await load()
        watching.cancel()

    asyncio.run(run())
    return series


def growth_kib(series: list[int]) -> float:
    """Return what the last third has more than the second: the first one warms up."""
    third = len(series) // 3
    return median(series[2 * third :]) - median(series[third : 2 * third])


async def _status(reader: asyncio.StreamReader) -> int:
    received = b""
    while not (found := list(split(received))):
        part = await reader.read(2**20)
        if not part:
            raise ConnectionResetError
        received += part
    return found[0][0]
