"""Know the runs whose process was killed without a chance to say so."""

import json
import os
import socket
from pathlib import Path
from typing import Final

from mlflow import MlflowClient
from mlflow.entities import Run

TAG: Final = "process"


def tag(pid: int | None = None) -> dict[str, str]:
    """Return the tag that tells which process a run belongs to: this one, or the one given."""
    return {TAG: json.dumps(_identity(os.getpid() if pid is None else pid), sort_keys=True)}


def left_running(client: MlflowClient, experiment_id: str) -> list[Run]:
    """Return the runs that MLflow takes for running and whose process is certainly dead.

    A run does not count unless it was of this host: of an earlier start of it, or of a process
    that this one would see. So nobody judges what runs elsewhere, or in another container.
    """
    running = client.search_runs([experiment_id], "attributes.status = 'RUNNING'", max_results=1000)
    return [run for run in running if _is_dead(run.data.tags.get(TAG))]


def _is_dead(recorded: str | None) -> bool:
    if recorded is None:
        return False
    theirs = json.loads(recorded)
    ours = _identity(os.getpid())
    if theirs["host"] != ours["host"]:
        return False
    if theirs["boot"] != ours["boot"]:
        return True
    if theirs["namespace"] != ours["namespace"]:
        return False
    return bool(theirs["started"] != _started(theirs["pid"]))


def _identity(pid: int) -> dict[str, str | int | None]:
    return {
        "host": socket.gethostname(),
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(),
        "namespace": str(Path("/proc/self/ns/pid").readlink()),
        "pid": pid,
        "started": _started(pid),
    }


def _started(pid: int) -> int | None:
    """Return when a process was started, in the kernel's ticks: numbers of processes are reused.

    Field 22 of /proc/PID/stat, see proc(5); the second, a name in brackets, may have spaces.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *rest = stat.rpartition(")")[2].split()
    return None if state == "Z" else int(rest[18])
