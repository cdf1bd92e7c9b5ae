"""What each trick of the server gains: a server with it and one without, measured in turns.

    python -m benchmarks.tricks
    python -m benchmarks.tricks --rounds 3 --seconds 1 --only "busy polling,ctypes"

A line for each trick and kind of load says how many times as many rows a second the server with the
trick answers, and how many times as much memory its processes have afterwards: the median of the
rounds with the least and the greatest. A ratio whose spread includes 1 shows nothing. Each server
has one worker on this machine, and no busy polling unless that is the trick.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks import load, without
from mlflow_model import save
from mlflow_sealed import process
from tests.mlflow_sealed.server.running import Running, python_path, serving
from training.dataset import read
from training.fit import fit
from training.options import DATA, Options

ROOT: Final = Path(__file__).parents[1]
ONE, SIXTEEN = "1 connection", "16 connections"
TEXT, MANY = "numbers as text", "10,000 rows"
_CONNECTIONS: Final = {ONE: 1, SIXTEEN: 16, TEXT: 1}
_ROWS: Final = 10_000
_SINGLE: Final = (ONE, SIXTEEN)
_SLEEPS: Final = {"SCORING_BUSY_POLL_US": "0"}


class Trick(NamedTuple):
    """A trick of the server.

    Attributes
    ----------
    name
        Its name in `benchmarks.without`.
    loads
        The kinds of load that it is for.
    settings
        The settings of both servers.
    """

    name: str
    loads: Sequence[str]
    settings: dict[str, Any] = _SLEEPS


TRICKS: Final = (
    Trick("busy polling", _SINGLE, {"SCORING_BUSY_POLL_US": "200"}),
    Trick("no task", _SINGLE),
    Trick("one write", _SINGLE),
    Trick("malloc_trim", (MANY,)),
    Trick("kept memory", (MANY,)),
    Trick("second thread", (MANY,)),
    Trick("freeze", (*_SINGLE, MANY)),
    Trick("colons", (*_SINGLE, MANY)),
    Trick("ctypes", _SINGLE),
    Trick("patterns", (TEXT,)),
    Trick("showwarning", (ONE,)),
)


class Bodies(NamedTuple):
    """What is sent: files with a request in each line, and a request with many rows."""

    single: Path
    text: Path
    many: bytes


class Gain(NamedTuple):
    """How a server with a trick compares with one without: a ratio for each round.

    Attributes
    ----------
    rates
        Of the rows a second.
    memory
        Of the resident memory.
    """

    rates: list[float]
    memory: list[float]


@process.command(process.ProcessError)
def main(arguments: list[str] | None = None) -> int:
    """Measure, print a line for each trick and load, and return the exit status."""
    options = parse(arguments)
    load.find_wrk()  # before anything is made
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, bodies = _model(folder / "model"), _bodies(folder)
        for number, trick in enumerate(options.only):
            with _pair(trick, model, folder / str(number)) as (having, lacking):
                for kind in trick.loads:
                    gain = _measure(having, lacking, kind, bodies, options)
                    print(line(trick.name, kind, gain), flush=True)
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options of a command line, or end the program."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="rounds (%(default)s)")
    parser.add_argument(
        "--seconds", type=int, default=2, help="seconds a server and round (%(default)s)"
    )
    parser.add_argument(
        "--only", type=_chosen, default=TRICKS, help="some tricks, separated by commas"
    )
    return parser.parse_args(arguments)


def line(trick: str, kind: str, gain: Gain) -> str:
    """Return the result of one trick under one kind of load.

    Examples
    --------
    >>> line("one write", "1 connection", Gain([1.1, 1.3, 1.2], [1.0, 1.0, 1.0]))
    'one write        1 connection           rows/s x 1.20 (1.10 to 1.30)  memory x 1.00'
    """
    median, least, most = statistics.median(gain.rates), min(gain.rates), max(gain.rates)
    return (
        f"{trick:<17}{kind:<23}rows/s x {median:.2f} ({least:.2f} to {most:.2f})  "
        f"memory x {statistics.median(gain.memory):.2f}"
    )


def _chosen(names: str) -> list[Trick]:
    known = {trick.name: trick for trick in TRICKS}
    if unknown := [name for name in names.split(",") if name not in known]:
        raise argparse.ArgumentTypeError(f"got {unknown}, expected some of {list(known)}")
    return [known[name] for name in names.split(",")]


@contextmanager
def _pair(trick: Trick, model: Path, folder: Path) -> Iterator[tuple[Running, Running]]:
    """Give a server with a trick and one without.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If the trick was not removed.
    """
    having, lacking = folder / "with", folder / "without"
    for made in (having, lacking):
        made.mkdir(parents=True)
    (lacking / "sitecustomize.py").write_text(without.SITECUSTOMIZE, encoding="utf-8")
    removal: dict[str, Any] = {
        without.VARIABLE: trick.name,
        "PYTHONPATH": os.pathsep.join((str(lacking), python_path(lacking))),
    }
    with (
        serving(model, having, **trick.settings) as first,
        serving(model, lacking, **trick.settings, **removal) as second,
    ):
        if f"{without.SAID}{trick.name}" not in second.said():
            raise process.ProcessError(f"the trick {trick.name!r} was not removed")
        yield first, second


def _measure(
    having: Running, lacking: Running, kind: str, bodies: Bodies, options: argparse.Namespace
) -> Gain:
    """Load both servers in turns, every other round in the other order."""
    for server in (having, lacking):
        _load(server, kind, bodies, seconds=1)
    gain = Gain([], [])
    for number in range(options.rounds):
        order = (having, lacking) if number % 2 == 0 else (lacking, having)
        rates = {server.pid: _load(server, kind, bodies, options.seconds) for server in order}
        gain.rates.append(rates[having.pid] / rates[lacking.pid])
        gain.memory.append(_memory_kib(having) / _memory_kib(lacking))
    return gain


def _load(server: Running, kind: str, bodies: Bodies, seconds: int) -> float:
    """Return how many rows a second a server answers."""
    if kind in _CONNECTIONS:
        file = bodies.text if kind == TEXT else bodies.single
        url, connections = f"{server.url}/invocations", _CONNECTIONS[kind]
        return load.single_rows(url, file, connections=connections, seconds=seconds).rate
    return load.large_requests(
        server.port, "/invocations", bodies.many, rows=_ROWS, seconds=seconds
    ).rate


def _memory_kib(server: Running) -> int:
    """Return what a server's processes have, once they had the time to give memory back."""
    time.sleep(0.3)
    return sum(server.resident_kib().values())


def _model(path: Path) -> Path:
    data, options = read(ROOT / DATA), Options()
    booster = fit(data.records, data.labels, options).get_booster()
    save.save_model(path, booster=booster, threshold=0.5, model_name="model")
    return path


def _bodies(folder: Path) -> Bodies:
    records = json.loads(read(ROOT / DATA).records.to_json(orient="records", double_precision=15))
    single, text = folder / "single.jsonl", folder / "text.jsonl"
    single.write_text("\n".join(_body([row]) for row in records), encoding="utf-8")
    texts = [_as_text(row) for row in records]
    text.write_text("\n".join(_body([row]) for row in texts), encoding="utf-8")
    many = (records * (_ROWS // len(records) + 1))[:_ROWS]
    return Bodies(single, text, _body(many).encode())


def _body(rows: list[dict[str, Any]]) -> str:
    return json.dumps({"inputs": rows})


def _as_text(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if value is None else f"{value}" for name, value in row.items()}


if __name__ == "__main__":
    sys.exit(main())
