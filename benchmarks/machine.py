"""What machine a benchmark ran on, in words that do not tell which one it was."""

import os
import platform
import re
from pathlib import Path


def describe() -> str:
    """Return the processor, the memory, the kernel and the Python of this machine, in one line."""
    cores = len(os.sched_getaffinity(0))
    processor = cpu_model(Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    kernel = re.match(r"[\d.]+\d", platform.release())  # without the name of its build
    return (
        f"{cores} cores of {processor}, {memory_gib:.0f} GiB of memory, "
        f"Linux {kernel[0] if kernel else ''}, Python {platform.python_version()}"
    )


def cpu_model(cpuinfo: str) -> str:
    r"""Return the name of the processor in the text of /proc/cpuinfo.

    Examples
    --------
    >>> cpu_model("processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\n")
    'Some CPU @ 2.00GHz'
    """
    found = re.search(r"^model name\s*: (.+)$", cpuinfo, re.MULTILINE)
    return found[1] if found else f"an unnamed {platform.machine()}"
