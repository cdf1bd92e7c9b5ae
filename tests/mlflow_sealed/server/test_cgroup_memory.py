"""What the kernel says about memory: control groups of both versions, and none."""

import os
from pathlib import Path

import pytest

from mlflow_sealed.server import cgroup_memory

MIB = 2**20


def write(root: Path, files: dict[str, str]) -> tuple[Path, Path]:
    """Write files below two folders, and return both: of control groups, and of processes."""
    for name, text in {"proc/meminfo": "MemTotal:  2048000 kB\n", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    return root / "cgroup", root / "proc"


V2 = {"proc/self/cgroup": "0::/\n"}
V1 = {"proc/self/cgroup": "5:cpu:/a\n4:memory:/docker/abc\n0::/\n"}
LIMITS: dict[str, tuple[dict[str, str], int]] = {
    "none": ({}, 2000),
    "version 2": ({**V2, "cgroup/memory.max": "536870912\n"}, 512),
    "version 2, none": ({**V2, "cgroup/memory.max": "max\n"}, 2000),
    "version 2, of a folder above": (
        {
            "proc/self/cgroup": "0::/pod/container\n",
            "cgroup/pod/container/memory.max": "max\n",
            "cgroup/pod/memory.max": f"{300 * MIB}\n",
        },
        300,
    ),
    "version 1": ({**V1, "cgroup/memory/memory.limit_in_bytes": f"{128 * MIB}\n"}, 128),
    "version 1, with the whole path": (
        {**V1, "cgroup/memory/docker/abc/memory.limit_in_bytes": f"{129 * MIB}\n"},
        129,
    ),
    "version 1, none": (
        {**V1, "cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"},
        2000,
    ),
    "more than there is": ({**V2, "cgroup/memory.max": f"{4000 * MIB}\n"}, 2000),
}


@pytest.mark.parametrize(("files", "mib"), LIMITS.values(), ids=LIMITS)
def test_the_memory_that_may_be_used(tmp_path: Path, files: dict[str, str], mib: int) -> None:
    cgroup, proc = write(tmp_path, files)
    assert cgroup_memory.limit_bytes(cgroup, proc) == mib * MIB


KILLS: dict[str, dict[str, str]] = {
    "version 2": {**V2, "cgroup/memory.events": "low 0\noom 9\noom_kill 7\noom_group_kill 0\n"},
    "version 1": {
        **V1,
        "cgroup/memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n",
    },
    "no control group": {"proc/vmstat": "nr_free_pages 1\noom_kill 7\n"},
}


@pytest.mark.parametrize("files", KILLS.values(), ids=KILLS)
def test_how_many_were_killed_for_lack_of_it(tmp_path: Path, files: dict[str, str]) -> None:
    cgroup, proc = write(tmp_path, files)
    assert cgroup_memory.kills(cgroup, proc) == 7


def test_without_a_counter_none_was_killed(tmp_path: Path) -> None:
    assert cgroup_memory.kills(*write(tmp_path, {})) == 0


def test_what_a_process_has(tmp_path: Path) -> None:
    resident, private = cgroup_memory.process_bytes(os.getpid())
    assert 10 * MIB < private < resident
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "statm").write_text("300 100 50 1 0 50 0\n", encoding="ascii")
    assert cgroup_memory.process_bytes(1, proc=tmp_path)[0] == 100 * os.sysconf("SC_PAGE_SIZE")
