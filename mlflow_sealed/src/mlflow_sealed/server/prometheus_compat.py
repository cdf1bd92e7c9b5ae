"""What the server uses of prometheus-client that is not part of its public interface.

tests/mlflow_sealed/server/test_prometheus_compat.py fails when prometheus-client changes it. The
supervisor imports this module and stays small: prometheus-client is imported in the worker alone.
"""

import os
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Histogram


def count_in_this_process() -> None:
    """Let metrics made from now on belong to this process, without asking for its id each time.

    A worker does not count in what it forks, and asking costs more than counting.
    """
    from prometheus_client import values  # noqa: PLC0415 # see above

    process_id = os.getpid()
    values.ValueClass = values.MultiProcessValue(lambda: process_id)  # type: ignore[no-untyped-call]


def forget_process(folder: str, pid: int) -> None:
    """Remove the live gauges of a process that has ended; its counters stay.

    It does what ``multiprocess.mark_process_dead`` does, without importing it. Without a folder
    nothing was counted.
    """
    for path in Path(folder).glob(f"gauge_live*_{pid}.db") if folder else ():
        path.unlink(missing_ok=True)


def observe_all(histogram: "Histogram", amounts: Sequence[float]) -> None:
    """Observe amounts as ``Histogram.observe`` does one, with one step for each bucket.

    A step costs as much as reading a request: it writes to a file that all workers share.
    """
    histogram._sum.inc(sum(amounts))  # noqa: SLF001 # see above
    bounds = histogram._upper_bounds  # noqa: SLF001 # likewise
    found = Counter(bisect_left(bounds, amount) for amount in amounts)
    for bucket, count in found.items():
        histogram._buckets[bucket].inc(count)  # noqa: SLF001 # likewise
