"""Signals that come while work is done that may not be cut in two."""

import signal
import subprocess
import sys

from mlflow_sealed.training.register.interruption import deferred
from tests.environ import ROOT


def test_a_signal_waits_for_the_end_of_what_may_not_be_cut() -> None:
    code = """
import signal
from mlflow_sealed.training.register.interruption import deferred
with deferred():
    signal.raise_signal(signal.SIGTERM)
    print("done", flush=True)
print("never")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == "done\n"
    assert done.returncode == -signal.SIGTERM


def test_without_a_signal_the_handlers_are_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with deferred():
        assert signal.getsignal(signal.SIGTERM) is not before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
