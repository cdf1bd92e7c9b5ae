"""Where the seconds went."""

import re
import time

import pytest

from mlflow_sealed.batch.stopwatch import Stopwatch


def test_stages_add_up_to_the_whole() -> None:
    watch = Stopwatch()
    watch.lap("first")
    time.sleep(0.02)
    watch.lap("second")
    watch.lap("first")
    told = watch.told()
    assert re.fullmatch(r"[\d.]+ s: first [\d.]+, second 0\.0, other 0\.0", told)
    assert watch.seconds["second"] >= 0.02
    assert sum(watch.seconds.values()) == pytest.approx(watch.total_s, abs=0.05)


def test_the_first_stage_begins_with_the_process() -> None:
    assert Stopwatch().total_s > 0.05  # Python's own start, at least
