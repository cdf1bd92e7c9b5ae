"""What the kernel says about this container's memory: cgroup version 2, or version 1."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mlflow_sealed.server.settings import CGROUP

PROC: Final = Path("/proc")
"""Where the kernel tells about processes and the whole machine."""

_LIMITS: Final = ("memory.max", "memory.limit_in_bytes")
_KILLS: Final = ("memory.events", "memory.oom_control")


def limit_bytes(cgroup: Path = CGROUP, proc: Path = PROC) -> int:
    """Return how much memory may be used: the least limit, or else what the machine has."""
    found = [_machine_bytes(proc)]
    for folder in _folders(cgroup, proc):
        for name in _LIMITS:
            text = _read(folder / name).strip()
            found += [int(text)] if text.isdigit() else []
    return min(found)


def kills(cgroup: Path = CGROUP, proc: Path = PROC) -> int:
    """Return how many processes the kernel has killed here so far for lack of memory."""
    for folder in _folders(cgroup, proc):
        for name in _KILLS:
            if counted := re.search(r"^oom_kill (\d+)$", _read(folder / name), re.MULTILINE):
                return int(counted[1])
    counted = re.search(r"^oom_kill (\d+)$", _read(proc / "vmstat"), re.MULTILINE)
    return int(counted[1]) if counted else 0


def process_bytes(pid: int, *, proc: Path = PROC) -> tuple[int, int]:
    """Return the resident memory of a process, and what of it is its own alone."""
    text = _read(proc / str(pid) / "smaps_rollup")
    sizes = {
        name: int(kib) * 1024 for name, kib in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)
    }
    if "Rss" not in sizes:  # the kernel is older than 4.14
        pages = (_read(proc / str(pid) / "statm").split() or ["0", "0"])[1]
        return (int(pages) * os.sysconf("SC_PAGE_SIZE"),) * 2
    return sizes["Rss"], sizes.get("Private_Dirty", 0) + sizes.get("Private_Clean", 0)


def _folders(cgroup: Path, proc: Path) -> Iterator[Path]:
    """Give the folders that tell about this process's control group, and about those above it."""
    for line in _read(proc / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in {"", "memory"}:
            root = cgroup / "memory" if controllers else cgroup
            own = root / path.lstrip("/")
            yield from (one for one in (own, *own.parents) if one.is_relative_to(root))
    yield from (cgroup, cgroup / "memory")


def _machine_bytes(proc: Path) -> int:
    found = re.search(r"^MemTotal:\s+(\d+) kB$", _read(proc / "meminfo"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 2**63


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
