"""The subprocess for slow requests: turns, ends, and requests that are cancelled."""

import asyncio
import io
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar
from weakref import WeakSet

import pytest
from pyarrow import csv as arrow_csv

from mlflow_sealed.server import forks
from mlflow_sealed.server.forks import ForkClient
from mlflow_sealed.server.offload import BusyError, EndedError, Offload
from mlflow_sealed.server.result import ScoringResult
from tests.mlflow_sealed.server.running import lives, until


def work(media_type: str, body: bytes) -> ScoringResult:
    """Do what the media type says."""
    if media_type == "end":
        os._exit(1)
    if media_type == "sleep":
        time.sleep(float(body))
    return ScoringResult(200, 7, body * 2, os.getpid())


class Row:
    """Something that is known as long as it is there."""

    alive: ClassVar["WeakSet[Row]"] = WeakSet()

    def __init__(self) -> None:
        self.alive.add(self)


def many(media_type: str, body: bytes) -> ScoringResult:
    """Tell how many rows there are from before, and make a thousand."""
    del media_type
    before = str(len(Row.alive)).encode()
    return ScoringResult(
        200, 1000, before, kept=([Row() for _ in range(1000 if len(body) > 9 else 0)],)
    )


@pytest.fixture
def fork_server() -> Iterator[ForkClient]:
    made = forks.fork_server(work)
    yield made
    made.close()
    os.wait()


@pytest.fixture
def spawned() -> list[int]:
    return []


@pytest.fixture
def spawn(fork_server: ForkClient, spawned: list[int]) -> Callable[[], tuple[socket.socket, int]]:
    def counted() -> tuple[socket.socket, int]:
        ours, pid = fork_server.spawn()
        spawned.append(pid)
        return ours, pid

    return counted


@pytest.fixture
def rows() -> Iterator[Offload]:
    made = forks.fork_server(many)
    yield Offload(made.spawn, max_requests=2)
    made.close()
    os.wait()


Spawn = Callable[[], tuple[socket.socket, int]]


def test_a_subprocess_scores_and_is_kept(spawn: Spawn, spawned: list[int]) -> None:
    async def ask() -> None:
        offload = Offload(spawn, max_requests=2)
        large = os.urandom(3_000_000)
        for body in (b"", b"x", large):
            status, rows, answered, pid = (await offload.score("double", body))[:4]
            assert (status, rows, answered, pid) == (200, 7, body * 2, spawned[0])
        offload.close()

    asyncio.run(ask())
    assert len(spawned) == 1
    assert spawned[0] != os.getpid()
    until(lambda: not lives(spawned[0]), timeout_s=5)


def test_it_scores_in_turn_and_rejects_more_than_may_wait(spawn: Spawn) -> None:
    async def ask() -> None:
        offload = Offload(spawn, max_requests=2)
        first, second = (asyncio.create_task(offload.score("sleep", b"0.2")) for _ in range(2))
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await offload.score("sleep", b"0")
        begin = time.monotonic()
        assert (await second).status == (await first).status == 200
        assert time.monotonic() - begin > 0.35
        assert (await offload.score("sleep", b"0")).status == 200
        offload.close()

    asyncio.run(ask())


def test_a_subprocess_that_has_done_much_is_replaced(
    spawn: Spawn, spawned: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlflow_sealed.server.offload._RENEWAL_BYTES", 200)

    async def ask() -> list[float]:
        offload = Offload(spawn, max_requests=4)
        results = (offload.score("double", b"x" * 100) for _ in range(4))
        pids = [result.seconds for result in await asyncio.gather(*results)]
        offload.close()
        return pids

    found = asyncio.run(ask())
    assert len(spawned) == 2
    assert found == [spawned[0], spawned[0], spawned[1], spawned[1]]
    until(lambda: not lives(spawned[0]), timeout_s=5)


def test_a_cancelled_request_kills_the_subprocess_and_the_next_gets_a_new_one(
    spawn: Spawn, spawned: list[int]
) -> None:
    async def ask() -> None:
        offload = Offload(spawn, max_requests=2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(offload.score("sleep", b"30"), 0.2)
        assert (await offload.score("double", b"x")).body == b"xx"
        offload.close()

    asyncio.run(ask())
    assert len(spawned) == 2
    until(lambda: not lives(spawned[0]), timeout_s=5)


def test_a_request_cancelled_before_its_turn_leaves_the_subprocess_alone(
    spawn: Spawn, spawned: list[int]
) -> None:
    async def ask() -> None:
        offload = Offload(spawn, max_requests=2)
        first = asyncio.create_task(offload.score("sleep", b"0.4"))
        await asyncio.sleep(0.05)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(offload.score("double", b"x"), 0.1)
        assert (await first).status == 200
        offload.close()

    asyncio.run(ask())
    assert len(spawned) == 1


def test_a_subprocess_that_ends_is_an_error_and_is_replaced(
    spawn: Spawn, spawned: list[int]
) -> None:
    async def ask() -> None:
        offload = Offload(spawn, max_requests=2)
        with pytest.raises(EndedError):
            await offload.score("end", b"")
        assert (await offload.score("double", b"x")).body == b"xx"
        offload.close()

    asyncio.run(ask())
    assert len(spawned) == 2


def files(pid: int) -> list[str]:
    """What a process has open, without its input and outputs, and without the null device."""
    found = Path(f"/proc/{pid}/fd").iterdir()
    names = [str(one.readlink()) for one in found if int(one.name) > 2]
    return [name for name in names if name != os.devnull]


def test_it_holds_no_file_of_the_process_that_it_is_forked_from(
    tmp_path: Path, spawn: Spawn, spawned: list[int]
) -> None:
    with (tmp_path / "open").open("w", encoding="utf-8") as file:

        async def ask() -> None:
            offload = Offload(spawn, max_requests=1)
            await offload.score("double", b"x")
            held = files(spawned[0])
            assert len(held) == 1
            assert held[0].startswith("socket:")
            assert file.name not in held
            offload.close()

        asyncio.run(ask())


@pytest.fixture
def arrow() -> None:
    """Arrow has files of its own from when it reads CSV, and closes them at each fork."""
    arrow_csv.read_csv(io.BytesIO(b"a\n1\n"))


@pytest.mark.usefixtures("arrow")
def test_a_library_that_closes_its_files_at_each_fork_ends_no_subprocess(spawn: Spawn) -> None:
    """Arrow ends a process in which they are closed already."""

    async def ask() -> bytes:
        offload = Offload(spawn, max_requests=1)
        found = await offload.score("double", b"x")
        offload.close()
        return found.body

    assert asyncio.run(ask()) == b"xx"


def test_no_row_of_a_request_is_left_when_the_next_one_comes(rows: Offload) -> None:
    async def ask_all() -> list[int]:
        sizes = (2**18 + 1, 2**18 + 1, 1)
        found = [int((await rows.score("", bytes(size))).body) for size in sizes]
        rows.close()
        return found

    assert asyncio.run(ask_all()) == [0, 0, 0]
