"""What a large request has freed is kept for the next one, until it is given back."""

import subprocess
import sys

FAULTS = """
import resource
from mlflow_sealed.server import memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def request():
    before = faults()
    blocks = [bytearray(100_000) for _ in range(200)]
    del blocks
    return faults() - before

{keep}
request(), request()
again = request()
memory.trim()
print(again, request())
"""
PAGES = 20_000_000 // 4096


def faults(keep: str) -> tuple[int, int]:
    """How many pages the kernel gives a request that follows another, and one after a trim."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS.format(keep=keep)], capture_output=True, text=True, check=True
    )
    again, trimmed = map(int, done.stdout.split())
    return again, trimmed


def test_a_request_takes_the_memory_of_the_one_before() -> None:
    again, trimmed = faults("memory.keep()")
    assert again <= 0.01 * PAGES
    assert trimmed >= 0.9 * PAGES  # it was given back


def test_control_without_it_the_kernel_clears_each_page_again() -> None:
    assert faults("")[0] >= 0.9 * PAGES
