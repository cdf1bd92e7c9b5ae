"""How many workers there are: as many as there are CPUs, if there is memory for them."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from mlflow_sealed.server.settings import cpus, workers_asked_for

RESERVE_BYTES: Final = 64 * 2**20
"""What a worker may need beyond what it has at its start: slow requests, and its subprocess."""

SUPERVISOR_BYTES: Final = 16 * 2**20


class Capacity(NamedTuple):
    """How many workers there are.

    Attributes
    ----------
    workers
        The number.
    reason
        Why: the end of the start line.
    """

    workers: int
    reason: str


def capacity(
    environ: Mapping[str, str], *, limit_bytes: int, shared_bytes: int, worker_bytes: int
) -> Capacity:
    """Return how many workers to start.

    Parameters
    ----------
    environ
        Has MLFLOW_MODELS_WORKERS, if it is set.
    limit_bytes
        The memory that may be used.
    shared_bytes
        What the loaded model takes, once for all workers.
    worker_bytes
        What a worker takes that has just been started.
    """
    left = limit_bytes - SUPERVISOR_BYTES - shared_bytes
    most = max(1, left // (worker_bytes + RESERVE_BYTES))
    memory = f"{limit_bytes // 2**20} MiB of memory"
    asked, available = workers_asked_for(environ), cpus()
    if asked is not None:
        warning = f", but {memory} are enough for {most} only" if asked > most else ""
        return Capacity(asked, f"set by MLFLOW_MODELS_WORKERS{warning}")
    if most < available:
        return Capacity(most, f"as {memory} allow; there are {available} CPUs")
    return Capacity(available, "one for each CPU")
