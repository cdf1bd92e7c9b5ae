"""The process beside the event loop: turns, ends, and what becomes of who waits."""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar
from weakref import WeakSet

import pytest
from mlflow_sealed.server.beside import Beside, BusyError, EndedError, Outcome, Template

from tests.mlflow_sealed.server.running import lives, until


def work(kind: str, body: bytes) -> Outcome:
    """Do what the kind says."""
    if kind == "end":
        os._exit(1)
    if kind == "sleep":
        time.sleep(float(body))
    return Outcome(200, 7, body * 2, os.getpid())


class Row:
    """Something that is known as long as it is there."""

    alive: ClassVar["WeakSet[Row]"] = WeakSet()

    def __init__(self) -> None:
        self.alive.add(self)


def many(kind: str, body: bytes) -> Outcome:
    """Tell how many rows there are from before, and make a thousand."""
    del kind
    before = str(len(Row.alive)).encode()
    return Outcome(200, 1000, before, kept=([Row() for _ in range(1000 if len(body) > 9 else 0)],))


@pytest.fixture
def template() -> Iterator[Template]:
    made = Template(work)
    yield made
    made._socket.close()  # noqa: SLF001 # it ends with its process, which goes on here
    os.wait()


@pytest.fixture
def spawned() -> list[int]:
    return []


@pytest.fixture
def spawn(template: Template, spawned: list[int]) -> Callable[[], tuple[socket.socket, int]]:
    def counted() -> tuple[socket.socket, int]:
        ours, pid = template.spawn()
        spawned.append(pid)
        return ours, pid

    return counted


@pytest.fixture
def rows() -> Iterator[Beside]:
    made = Template(many)
    yield Beside(made.spawn, most=2)
    made._socket.close()  # noqa: SLF001 # likewise
    os.wait()


Spawn = Callable[[], tuple[socket.socket, int]]


def test_a_process_of_its_own_answers_and_is_kept(spawn: Spawn, spawned: list[int]) -> None:
    async def ask() -> None:
        beside = Beside(spawn, most=2)
        large = os.urandom(3_000_000)
        for body in (b"", b"x", large):
            status, rows, answered, pid = (await beside.answer("double", body))[:4]
            assert (status, rows, answered, pid) == (200, 7, body * 2, spawned[0])
        beside.close()

    asyncio.run(ask())
    assert len(spawned) == 1
    assert spawned[0] != os.getpid()
    until(lambda: not lives(spawned[0]), timeout_s=5)


def test_it_answers_in_turn_and_refuses_more_than_may_wait(spawn: Spawn) -> None:
    async def ask() -> None:
        beside = Beside(spawn, most=2)
        first, second = (asyncio.create_task(beside.answer("sleep", b"0.2")) for _ in range(2))
        await asyncio.sleep(0)
        with pytest.raises(BusyError):
            await beside.answer("sleep", b"0")
        begin = time.monotonic()
        assert (await second).status == (await first).status == 200
        assert time.monotonic() - begin > 0.35
        assert (await beside.answer("sleep", b"0")).status == 200
        beside.close()

    asyncio.run(ask())


def test_a_process_that_has_done_much_makes_way_for_a_new_one(
    spawn: Spawn, spawned: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlflow_sealed.server.beside._RENEWAL_BYTES", 200)

    async def ask() -> list[float]:
        beside = Beside(spawn, most=4)
        answers = (beside.answer("double", b"x" * 100) for _ in range(4))
        pids = [outcome.seconds for outcome in await asyncio.gather(*answers)]
        beside.close()
        return pids

    found = asyncio.run(ask())
    assert len(spawned) == 2
    assert found == [spawned[0], spawned[0], spawned[1], spawned[1]]
    until(lambda: not lives(spawned[0]), timeout_s=5)


def test_who_is_cancelled_ends_the_process_and_the_next_gets_a_new_one(
    spawn: Spawn, spawned: list[int]
) -> None:
    async def ask() -> None:
        beside = Beside(spawn, most=2)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(beside.answer("sleep", b"30"), 0.2)
        assert (await beside.answer("double", b"x")).body == b"xx"
        beside.close()

    asyncio.run(ask())
    assert len(spawned) == 2
    until(lambda: not lives(spawned[0]), timeout_s=5)


def test_who_is_cancelled_before_its_turn_costs_nobody_the_process(
    spawn: Spawn, spawned: list[int]
) -> None:
    async def ask() -> None:
        beside = Beside(spawn, most=2)
        first = asyncio.create_task(beside.answer("sleep", b"0.4"))
        await asyncio.sleep(0.05)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(beside.answer("double", b"x"), 0.1)
        assert (await first).status == 200
        beside.close()

    asyncio.run(ask())
    assert len(spawned) == 1


def test_a_process_that_ends_is_told_and_replaced(spawn: Spawn, spawned: list[int]) -> None:
    async def ask() -> None:
        beside = Beside(spawn, most=2)
        with pytest.raises(EndedError):
            await beside.answer("end", b"")
        assert (await beside.answer("double", b"x")).body == b"xx"
        beside.close()

    asyncio.run(ask())
    assert len(spawned) == 2


def files(pid: int) -> list[str]:
    """What a process has open, without its input and outputs."""
    found = Path(f"/proc/{pid}/fd").iterdir()
    return [str(one.readlink()) for one in found if int(one.name) > 2]


def test_it_holds_no_file_of_the_process_that_it_is_forked_from(
    tmp_path: Path, spawn: Spawn, spawned: list[int]
) -> None:
    with (tmp_path / "open").open("w", encoding="utf-8") as file:

        async def ask() -> None:
            beside = Beside(spawn, most=1)
            await beside.answer("double", b"x")
            held = files(spawned[0])
            assert len(held) == 1
            assert held[0].startswith("socket:")
            assert file.name not in held
            beside.close()

        asyncio.run(ask())


def test_a_few_rows_of_a_large_request_hold_its_memory_until_no_other_comes(rows: Beside) -> None:
    async def ask(size: int) -> int:
        return int((await rows.answer("", bytes(size))).body)

    async def ask_all() -> list[int]:
        large = 2**18 + 1
        found = [await ask(size) for size in (large, large, 1, large)]
        await asyncio.sleep(0.5)
        found.append(await ask(large))
        rows.close()
        return found

    assert asyncio.run(ask_all()) == [0, 8, 0, 0, 0]
