"""Waiting for files and signals at once: no signal is lost."""

import subprocess
import sys

LOST = """
import os, signal, time
from mlflow_sealed.server.run.wakeup import Wakeup
wakeup = Wakeup()
readable, tell = os.pipe()
begin = time.monotonic()
if {during}:
    os.kill(os.getpid(), signal.SIGCHLD)
assert wakeup.read(readable, timeout_s=0.1) is None
wakeup.wait([], timeout_s=1)
first = time.monotonic() - begin
wakeup.wait([], timeout_s=1)
print(first < 0.9, time.monotonic() - begin - first < 0.9)
"""


def waits(*, during: bool) -> str:
    command = [sys.executable, "-c", LOST.format(during=during)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_signal_that_came_while_something_was_read_ends_the_next_wait_and_no_other() -> None:
    assert waits(during=True) == "True False"


def test_control_without_a_signal_each_wait_takes_its_time() -> None:
    assert waits(during=False) == "False False"
