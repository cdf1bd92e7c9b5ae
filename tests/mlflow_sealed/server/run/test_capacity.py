"""How many workers there are, and what the start line says about it."""

import os

import pytest

from mlflow_sealed.server.run import capacity as capacities
from mlflow_sealed.server.run.capacity import RESERVE_BYTES, SUPERVISOR_BYTES, capacity

MIB = 2**20
SHARED, WORKER = 150 * MIB, 10 * MIB
SET = "set by MLFLOW_MODELS_WORKERS"


def memory_for(workers: int) -> int:
    return SUPERVISOR_BYTES + SHARED + workers * (WORKER + RESERVE_BYTES)


CASES = {
    # MLFLOW_MODELS_WORKERS, CPUs, memory, workers, reason
    "CPUs": ("", 8, memory_for(8), 8, "one for each CPU"),
    "memory": ("", 8, memory_for(8) - 1, 7, "as 757 MiB of memory allow; there are 8 CPUs"),
    "512 MiB": ("", 8, 512 * MIB, 4, "as 512 MiB of memory allow; there are 8 CPUs"),
    "at least one": ("", 8, 128 * MIB, 1, "as 128 MiB of memory allow; there are 8 CPUs"),
    "one CPU": ("", 1, 128 * MIB, 1, "one for each CPU"),
    "set": ("3", 8, memory_for(3), 3, SET),
    "set to too many": (
        "4",
        8,
        300 * MIB,
        4,
        f"{SET}, but 300 MiB of memory are enough for 1 only",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_as_many_as_there_are_cpus_if_there_is_memory_for_them(
    case: tuple[str, int, int, int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, cpus, limit, *expected = case
    monkeypatch.setattr(capacities, "cpus", lambda: cpus)
    environ = {"MLFLOW_MODELS_WORKERS": asked}
    found = capacity(environ, limit_bytes=limit, shared_bytes=SHARED, worker_bytes=WORKER)
    assert found == tuple(expected)


def test_without_a_limit_there_is_one_for_each_cpu_of_this_process() -> None:
    found = capacity({}, limit_bytes=2**50, shared_bytes=SHARED, worker_bytes=WORKER)
    assert found.workers <= len(os.sched_getaffinity(0))
