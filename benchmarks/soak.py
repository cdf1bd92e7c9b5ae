"""Ten minutes of mixed load on the scoring server, whose memory may not grow.

    python -m benchmarks.soak --minutes 2

One worker serves the project's model, trained here. Clients send single rows, batches and bad
requests in every format, on connections that stay and on new ones. After the warm-up, the resident
memory of the worker, and of its subprocesses, may grow by less than a bound. What is
compared are medians, of the first quarter and of the last: a moment's figure goes up and down by
megabytes with the batches that were just answered.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import pandas as pd
import requests

from benchmarks.project import ROOT
from mlflow_sealed.server.protocol.media_types import CSV, JSON, PARQUET
from tests.mlflow_sealed.server.running import Running, resident_kib, save_diabetes_model, serving
from training.dataset import read
from training.options import DATA

CLIENTS: Final = 4
WARM_UP_SHARE: Final = 0.2
GROWTH_KIB: Final = 1024


class Request(NamedTuple):
    """What is sent, and the status that it gets."""

    content_type: str
    body: bytes
    expected: int


def main() -> int:
    """Print the memory over the time, and return 1 if it grew too much or an answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10, help="how long, the warm-up included")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = save_diabetes_model(folder / "model")
        with serving(model, folder) as server:
            return _soak(server, options.minutes * 60)


def _soak(server: Running, seconds: float) -> int:
    statuses: Counter[tuple[int, int]] = Counter()
    done = threading.Event()
    sent = requests_of_all_kinds()
    clients = [
        threading.Thread(target=_send, args=(server, sent, number, statuses, done))
        for number in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    try:
        series = _watch(server, seconds)
    finally:
        done.set()
        for client in clients:
            client.join()
    wrong = {pair: count for pair, count in statuses.items() if pair[0] != pair[1]}
    grown = {part: growth_kib(found) for part, found in series.items()}
    print(f"{sum(statuses.values())} requests in {seconds / 60:g} minutes")
    for part, kib in grown.items():
        print(f"{part}: {kib:+.0f} KiB after the warm-up, allowed are {GROWTH_KIB}")
    for (expected, got), count in wrong.items():
        print(f"expected {expected}, got {got}: {count} times")
    return int(bool(wrong) or any(kib >= GROWTH_KIB for kib in grown.values()))


def growth_kib(series: list[int]) -> float:
    """Return what the last quarter after the warm-up has more than the first, by their medians.

    Examples
    --------
    >>> growth_kib([900] * 20 + [1000] * 40 + [1010] * 40)
    10.0
    """
    after = series[int(len(series) * WARM_UP_SHARE) :]
    count = len(after) // 4
    return float(statistics.median(after[-count:]) - statistics.median(after[:count]))


def requests_of_all_kinds() -> list[Request]:
    """Return single rows, batches and faults, in all formats."""
    records = read(ROOT / DATA).records
    single, batch, large = records.iloc[:1], records.iloc[:200], pd.concat([records] * 13)
    good = [
        *(_json(rows) for rows in [single] * 12 + [batch]),
        *(_split(rows) for rows in (single, batch)),
        *(_csv(rows) for rows in (single, batch)),
        *(_parquet(rows) for rows in (single, batch)),
        _json(large.iloc[:9_900]),
    ]
    bad = [
        Request(JSON, b"{", 400),
        Request(JSON, _json(single).body.replace(b'"age"', b'"edge"'), 400),
        Request(JSON, _json(pd.concat([records] * 14).iloc[:10_001]).body, 413),
        Request(JSON, b" " * 4_500_000, 413),
        Request(CSV, b"age\n1,2\n", 400),
        Request(PARQUET, b"PAR1", 400),
        Request("text/plain", b"1", 415),
    ]
    # What is large comes once in a while.
    return [*good[:-1] * 20, *bad * 2, good[-1]]


def _json(rows: pd.DataFrame) -> Request:
    found = json.loads(rows.to_json(orient="records"))
    return Request(JSON, json.dumps({"inputs": found}).encode(), 200)


def _split(rows: pd.DataFrame) -> Request:
    found = json.loads(rows.to_json(orient="split", index=False))
    return Request(JSON, json.dumps({"dataframe_split": found}).encode(), 200)


def _csv(rows: pd.DataFrame) -> Request:
    return Request(CSV, rows.to_csv(index=False).encode(), 200)


def _parquet(rows: pd.DataFrame) -> Request:
    return Request(PARQUET, rows.to_parquet(), 200)


def _send(
    server: Running,
    sent: list[Request],
    number: int,
    statuses: Counter[tuple[int, int]],
    done: threading.Event,
) -> None:
    chosen = random.Random(number)  # noqa: S311 # the order of a load
    session = requests.Session()
    while not done.is_set():
        one = chosen.choice(sent)
        headers: Mapping[str, str | bytes] = {
            "Content-Type": one.content_type,
            # A new connection now and then, and an id of the client's own.
            "Connection": "close" if chosen.random() < 0.1 else "keep-alive",  # noqa: PLR2004
            "X-Request-Id": f"{chosen.getrandbits(128):032x}",
        }
        try:
            url = f"{server.url}/invocations"
            found = session.post(url, data=one.body, headers=headers, timeout=60).status_code
        except requests.RequestException:
            found = 0
        statuses[one.expected, found] += 1
        if chosen.random() < 0.02:  # noqa: PLR2004 # as Prometheus, the probes and the curious do
            for path in ("/metrics", "/ready", "/openapi.json", "/docs"):
                session.get(f"{server.url}{path}", timeout=60)


def _watch(server: Running, seconds: float) -> dict[str, list[int]]:
    series: dict[str, list[int]] = {"worker": [], "subprocesses": []}
    begin = time.monotonic()
    shown = 0.0
    while (now := time.monotonic() - begin) < seconds:
        (worker,) = server.workers()
        others = [pid for pid in server.processes() if pid not in {server.pid, worker}]
        with suppress(FileNotFoundError, ProcessLookupError):  # one was replaced just now
            series["subprocesses"].append(sum(map(_own_kib, others)))
            series["worker"].append(resident_kib(worker))
        if now >= shown:
            latest = {part: found[-1] for part, found in series.items()}
            print(f"{now:5.0f} s {latest} KiB, processes: {2 + len(others)}", flush=True)
            shown += 30
        time.sleep(0.25)
    return series


def _own_kib(pid: int) -> int:
    """Return the resident memory of a process that it shares with no other."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    own = [line.split()[1] for line in text.splitlines() if line.startswith("Private_")]
    return sum(map(int, own))


if __name__ == "__main__":
    sys.exit(main())
