"""Why a process has ended, told from its wait status and from what the kernel counts."""

import os
import signal

import pytest

from mlflow_sealed.server import cgroup_memory
from mlflow_sealed.server.run.deaths import WORKERS, Deaths

TIME_LIMIT = (
    "was killed: the model held it up for longer than the time limit "
    "(MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT)"
)
ADVICE = WORKERS.format(8)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many processes the kernel says that it has killed for lack of memory."""
    count = [3]
    monkeypatch.setattr(cgroup_memory, "kills", lambda: count[0])
    monkeypatch.setattr(cgroup_memory, "limit_bytes", lambda: 512 * 2**20)
    return count


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (signal.SIGKILL, "was killed by SIGKILL"),
        (signal.SIGSEGV, "was killed by SIGSEGV"),
        (
            signal.SIGALRM,
            TIME_LIMIT,
        ),
        (3 << 8, "ended with exit status 3"),
        (0, "ended with exit status 0"),
        (40, "was killed by signal 40"),
    ],
)
def test_the_reason_is_the_signal_the_time_limit_or_the_exit_status(
    counted: list[int], status: int, reason: str
) -> None:
    del counted
    assert Deaths().reason(int(status), advice=ADVICE) == reason


def test_a_kill_that_the_kernel_counts_is_for_lack_of_memory_and_names_the_setting(
    counted: list[int],
) -> None:
    deaths = Deaths()
    counted[0] += 1
    assert deaths.reason(signal.SIGKILL, advice=ADVICE) == (
        "was killed by the kernel for lack of memory (it has 512 MiB): give the container more, or "
        "set MLFLOW_MODELS_WORKERS to fewer than 8"
    )
    assert deaths.reason(signal.SIGKILL, advice=ADVICE) == "was killed by SIGKILL"


def test_a_wait_status_is_the_one_of_a_real_process(counted: list[int]) -> None:
    del counted
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    assert Deaths().reason(os.waitpid(pid, 0)[1], advice="") == "ended with exit status 7"


def test_more_than_five_in_a_minute_are_too_many() -> None:
    deaths = Deaths()
    assert [deaths.are_too_many() for _ in range(6)] == [False] * 5 + [True]
