"""The scoring server, side by side with what else serves the same model.

Every server has an environment of its own, the same booster, one worker, and listens on 127.0.0.1.
All are up at once and loaded in turns, one kind of load and one round after the other, every other
round backwards: a machine that changes its pace does so for all of them. Figures are medians over
the rounds, ratios are taken round by round. First every server has to give the booster's
probabilities.

    python -m benchmarks.serving
    python -m benchmarks.serving --rounds 1 --seconds 2 --only ours,fastapi

It writes RESULTS.md and serving.png, unless servers are left out.
"""

import argparse
import datetime as dt
import http.client
import itertools
import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import mlflow.pyfunc
import numpy as np
import numpy.typing as npt
import pandas as pd
from mlflow.models import infer_signature

from benchmarks import environments, load, machine, picture
from benchmarks.load import Sample
from benchmarks.project import NAME, ROOT
from benchmarks.report import report, tables
from benchmarks.results import CELLS, MANY, ONE, SIXTEEN, Results
from benchmarks.servers import Place, Row, Server, every
from mlflow_model import save
from mlflow_sealed import process
from mlflow_sealed.training.measure.evaluate import split
from training.dataset import read
from training.fit import fit, probabilities
from training.options import DATA, Options

WORK: Final = ROOT / ".cache" / "serving"
"""What a run leaves behind: the models, the requests, and a log of every server."""

ROWS: Final = 10_000
TOLERANCE: Final = 1e-6
"""How far a probability may be from the booster's own."""

_DATAFRAME_CODE: Final = ROOT / "benchmarks" / "peers" / "mlflow" / "dataframe_model.py"
_CONNECTIONS: Final = {ONE: 1, SIXTEEN: 16}
_WARM_UP_S: Final = 1
_START_S: Final = 120


@dataclass(frozen=True)
class Trained:
    """The models' folders, and what they have to answer to the held-out rows."""

    typed: Path
    dataframe: Path
    rows: list[Row]
    expected: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Running:
    """A server that answers: where, and with what it is loaded.

    Attributes
    ----------
    bodies
        A file of requests, one row and one line each.
    many
        The request for `ROWS` rows.
    """

    server: Server
    port: int
    bodies: Path
    many: bytes


@process.command(process.ProcessError)
def main(arguments: list[str] | None = None) -> int:
    """Measure, print the tables, write the page and the picture, and return the exit status."""
    options = parse(arguments)
    servers = _chosen(options.only)
    load.find_wrk()  # before anything is made
    binaries = {one.name: environments.make(one.locks) for one in servers}
    results = _measure(servers, binaries, options)
    print(tables(results))
    if options.only:
        print("servers were left out: RESULTS.md and serving.png stay as they are", file=sys.stderr)
        return 0
    versions = {name: environments.versions(folder) for name, folder in binaries.items()}
    page = report(results, versions, made(options))
    (options.output / "RESULTS.md").write_text(f"{page}\n", encoding="utf-8")
    picture.draw(results, options.output / "serving.png")
    return 0


def check(server: Server, port: int, rows: Sequence[Row], expected: npt.ArrayLike) -> None:
    """Ask a server for every row alone, and for all at once, and compare its answers.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If a probability is not the expected one.
    """
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_START_S)) as connection:
        alone = [_ask(server, connection, [row]) for row in rows]
        for found in (list(itertools.chain(*alone)), _ask(server, connection, rows)):
            same = len(found) == len(rows) and np.allclose(found, expected, rtol=0, atol=TOLERANCE)
            if not same:
                raise process.ProcessError(
                    f"{server.title} does not answer with the booster's probabilities: "
                    "the comparison is void"
                )


def made(options: argparse.Namespace) -> str:
    """Return when, where and how the results are made: a paragraph."""
    day = dt.datetime.now(tz=dt.UTC).date()
    return (
        f"Made on {day} with `python -m benchmarks.serving --rounds {options.rounds} --seconds "
        f"{options.seconds}` (`make bench`) on {machine.describe()}. One worker each, the same "
        "booster, wrk on 127.0.0.1, all in turns. Figures are medians over the rounds; a ratio is "
        "the median of the rounds' ratios, with the least and the greatest of them. Single rows "
        "are those held out in training, one after the other."
    )


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options of a command line, or end the program."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="rounds (%(default)s)")
    parser.add_argument(
        "--seconds", type=int, default=1, help="seconds a server, kind of load and round"
    )
    parser.add_argument("--only", default="", help="some servers only, for instance ours,fastapi")
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent, help="where the results go"
    )
    return parser.parse_args(arguments)


def _ask(
    server: Server, connection: http.client.HTTPConnection, rows: Sequence[Row]
) -> list[float]:
    path, body = server.request(rows)
    return server.probabilities(load.post(connection, path, body))


def _measure(
    servers: Sequence[Server], binaries: dict[str, Path], options: argparse.Namespace
) -> Results:
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    trained = _train()
    samples: dict[str, dict[str, list[Sample]]] = {
        server.name: {cell: [] for cell in CELLS} for server in servers
    }
    with ExitStack() as stack:
        running = [
            stack.enter_context(_running(server, binaries[server.name], trained))
            for server in servers
        ]
        for one, cell in itertools.product(running, CELLS):
            _load(one, cell, _WARM_UP_S)
        for number, cell in itertools.product(range(options.rounds), CELLS):
            print(f"round {number + 1}: {cell}", file=sys.stderr, flush=True)
            for one in running if number % 2 == 0 else reversed(running):
                samples[one.server.name][cell].append(_load(one, cell, options.seconds))
    return Results(servers, samples)


@contextmanager
def _running(server: Server, binaries: Path, trained: Trained) -> Iterator[Running]:
    port = process.free_port()
    place = Place(binaries, port, typed_model=trained.typed, dataframe_model=trained.dataframe)
    with process.background(
        server.command(place),
        port=port,
        timeout_s=_START_S,
        env=server.environment(place),
        log=WORK / f"{server.name}.log",
    ):
        _await_answer(server, port, trained.rows[:1])
        check(server, port, trained.rows, trained.expected)
        bodies = WORK / f"{server.name}.jsonl"
        bodies.write_bytes(b"\n".join(server.request([row])[1] for row in trained.rows))
        many = list(itertools.islice(itertools.cycle(trained.rows), ROWS))
        yield Running(server, port, bodies, server.request(many)[1])


def _await_answer(server: Server, port: int, rows: Sequence[Row]) -> None:
    """Wait until a server that listens answers: some load the model after that."""
    deadline = time.monotonic() + _START_S
    while True:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            try:
                _ask(server, connection, rows)
            except process.ProcessError as error:
                if time.monotonic() > deadline:
                    log = WORK.relative_to(ROOT) / f"{server.name}.log"
                    raise process.ProcessError(f"{server.title}: {error}; see {log}") from error
            else:
                return
        time.sleep(0.2)


def _load(running: Running, cell: str, seconds: int) -> Sample:
    server, port = running.server, running.port
    if cell == MANY:
        path = server.path_many or server.path
        return load.large_requests(port, path, running.many, rows=ROWS, seconds=seconds)
    url, connections = f"http://127.0.0.1:{port}{server.path}", _CONNECTIONS[cell]
    return load.single_rows(url, running.bodies, connections=connections, seconds=seconds)


def _train() -> Trained:
    """Train once, as the project does, and save the model with both kinds of signature."""
    options, data = Options(), read(ROOT / DATA)
    rows = split(data, options)
    classifier = fit(data.records.iloc[rows.training], data.labels[rows.training], options)
    typed, dataframe = WORK / "typed", WORK / "dataframe"
    save.save_model(typed, booster=classifier.get_booster(), threshold=0.5, model_name=NAME)
    held_out = data.records.iloc[rows.held_out]
    _save_dataframe_model(dataframe, typed / "artifacts", held_out)
    return Trained(
        typed,
        dataframe,
        rows=json.loads(held_out.to_json(orient="records", double_precision=15)),
        expected=probabilities(classifier, held_out),
    )


def _save_dataframe_model(folder: Path, artifacts: Path, records: pd.DataFrame) -> None:
    # As MLflow advises: a column of whole numbers cannot have a missing one.
    records = records.astype("float64")
    mlflow.pyfunc.save_model(
        folder,
        python_model=str(_DATAFRAME_CODE),
        artifacts={
            "booster": str(artifacts / "booster.ubj"),
            "training": str(artifacts / "training.json"),
        },
        model_config={"name": NAME},
        signature=infer_signature(records),
        input_example=records.head(1),
        pip_requirements=str(_DATAFRAME_CODE.with_name("requirements.txt")),
    )


def _chosen(names: str) -> list[Server]:
    servers = every()
    wanted = names.split(",") if names else [server.name for server in servers]
    if unknown := sorted(set(wanted) - {server.name for server in servers}):
        known = ", ".join(server.name for server in servers)
        raise process.ProcessError(f"--only has {', '.join(unknown)}, expected some of {known}")
    return [server for server in servers if server.name in wanted]


if __name__ == "__main__":
    sys.exit(main())
