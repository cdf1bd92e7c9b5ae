"""How much memory the processes of a command have at most, by what they are."""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import psutil

from mlflow_sealed import process

DRIVER: Final = "driver Python"
JVM: Final = "driver JVM"
WORKER: Final = "Python worker"

_EVERY_S: Final = 0.25  # to look takes some of the time that is measured


class Measured(NamedTuple):
    """What a command took.

    Attributes
    ----------
    seconds
        From its start to its end.
    peak_mib
        The greatest resident memory that any process of each kind had, shared pages included.
    tree_mib
        The greatest memory that all processes had together, shared pages counted once.
    """

    seconds: float
    peak_mib: dict[str, float]
    tree_mib: float


def measure(
    command: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path, cores: int
) -> Measured:
    """Run a command to its end, on some cores alone, and look at the memory of its processes.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If it fails; the message ends with the last line of the log.
    """
    peak: dict[str, float] = {}
    whole = 0.0
    with log.open("wb") as output, on_cores(cores):
        began = time.monotonic()
        child = psutil.Popen(
            command, env=dict(env), cwd=cwd, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            while child.poll() is None:
                for kind, mib in resident_mib(child):
                    peak[kind] = max(peak.get(kind, 0), mib)
                whole = max(whole, together_mib(child))
                time.sleep(_EVERY_S)
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
        seconds = time.monotonic() - began
    if child.returncode:
        last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
        raise process.ProcessError(f"{' '.join(command[1:3])} failed: {last} (see {log})")
    return Measured(seconds, peak, whole)


def resident_mib(root: psutil.Process) -> Iterator[tuple[str, float]]:
    """Give the kind and the resident memory of a process and of all below it."""
    for each in _tree(root):
        try:
            yield _kind(each, root), each.memory_info().rss / (1 << 20)
        except psutil.Error:  # it has ended
            continue


def together_mib(root: psutil.Process) -> float:
    """Return the memory of a process and of all below it, each shared page counted once."""
    found = 0
    for each in _tree(root):
        with suppress(psutil.Error):  # it has ended
            found += each.memory_full_info().pss
    return found / (1 << 20)


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Keep this process, and those that it starts, to some of its cores for a ``with`` block."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _kind(each: psutil.Process, root: psutil.Process) -> str:
    if each.pid == root.pid:
        return DRIVER
    return JVM if each.name() == "java" else WORKER
