"""Batch scoring: how its cost grows with both engines, next to a script and bare XGBoost.

    python -m benchmarks.batch
    python -m benchmarks.batch --rows 100000 --cores 2 --engines local

Each job is the command that users type, in processes or with a local master of Spark, kept to as
many of the machine's cores as it is told to use, Java and Python together. Generated patients, one
of a thousand bad. It writes BATCH.md and batch.png to the folder that --output names.
"""

import argparse
import datetime as dt
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import mlflow
from mlflow.models import Model

from benchmarks import batch_report, machine, memory
from benchmarks.batch_report import ENGINES, LOCAL, Job, Peer, Results, report, tables
from benchmarks.project import NAME, PROJECT, ROOT
from examples.generate import Table, write
from mlflow_model import save
from mlflow_sealed import process
from training.dataset import read
from training.fit import fit
from training.options import DATA, Options

WORK: Final = ROOT / ".cache" / "batch"
"""What a run leaves behind: the model's registry, and a log of every job; the tables go."""

ALL_CORES: Final = 2
BAD_SHARE: Final = 0.001
PARTITIONS: Final = 16
ROWS_BOOSTER: Final = 3_000_000
ROWS_PYFUNC: Final = 200_000
ROWS_SCRIPT: Final = 10_000_000
"""What the peers are measured on: their rate does not depend on it, and the pyfunc is slow."""


@process.command(process.ProcessError)
def main(arguments: list[str] | None = None) -> int:
    """Measure, print the tables, write the page and the picture, and return the exit status."""
    options = _parse(arguments)
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    os.environ["MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING"] = "false"  # it would change a saved file
    sys.dont_write_bytecode = True  # MLflow loads the model that it logs, where it lies
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    results = measure(options.rows, options.cores, options.engines)
    print(tables(results))
    if options.output:
        page = report(results, made(options.rows, options.cores, options.engines))
        (options.output / "BATCH.md").write_text(f"{page}\n", encoding="utf-8")
        batch_report.draw(results, options.output / "batch.png")
    return 0


def measure(rows: list[int], cores: list[int], engines: list[str]) -> Results:
    """Score each number of rows on each number of cores with each engine, and measure the peers.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If a command fails.
    """
    model, environ = _registered()
    before = _peers(model, environ, max(rows))
    for engine in engines:  # pyspark is installed, and files are in the page cache
        _job(engine, 10_000, max(cores), environ)
    jobs = [
        _job(engine, count, each, environ) for count in rows for each in cores for engine in engines
    ]
    after = _peers(model, environ, max(rows))
    return Results(jobs, *(one + other for one, other in zip(before, after, strict=True)))


def _peers(model: Path, environ: Mapping[str, str], most: int) -> tuple[Peer, Peer, Peer]:
    """Measure the others: before the jobs and after them, for machines change their pace."""
    return (
        _peer("pyfunc", "pyfunc, one process", model, ROWS_PYFUNC, environ),
        _peer("booster", "bare booster", model, min(most, ROWS_BOOSTER), environ),
        _peer("script", "script", model, min(most, ROWS_SCRIPT), environ, cores=ALL_CORES),
    )


def _job(engine: str, rows: int, cores: int, environ: Mapping[str, str]) -> Job:
    """Score a table with ``mlflow-sealed score``; the table and the output are removed."""
    _say(f"{engine}: {rows:,} rows on {cores} cores")
    source, output = WORK / f"patients-{rows}", WORK / "scored"
    if not source.exists():
        _remove_tables()
        write(Table(rows, PARTITIONS, BAD_SHARE), source)
    command = [
        *(sys.executable, "-m", "mlflow_sealed.cli", "score"),
        *(("--engine", LOCAL) if engine == LOCAL else ("--master", f"local[{cores}]")),
        *("--input", str(source), "--output", str(output), "--model", f"models:/{NAME}/1"),
    ]
    done = memory.measure(
        command, env=environ, cwd=ROOT, log=WORK / f"{engine}-{rows}-{cores}.log", cores=cores
    )
    shutil.rmtree(output)
    return Job(engine, rows, cores, done.seconds, _scoring_seconds(), done.peak_mib, done.tree_mib)


def _scoring_seconds() -> float:
    """Return what the latest run has logged."""
    runs: list[Any] = mlflow.search_runs(
        experiment_names=[PROJECT.names.experiment], max_results=1, output_format="list"
    )
    return float(runs[0].data.metrics["seconds_scoring"])


def _peer(  # noqa: PLR0913 # what a peer is
    name: str, title: str, model: Path, rows: int, environ: Mapping[str, str], *, cores: int = 1
) -> Peer:
    _say(f"{title}: {rows:,} rows")
    source, log_file = WORK / f"good-{rows}", WORK / f"{name}.log"
    write(Table(rows), source)
    command = [sys.executable, "-m", "benchmarks.batch_peers", name, str(model), str(source)]
    memory.measure(command, env=environ, cwd=ROOT, log=log_file, cores=cores)
    shutil.rmtree(source)
    found = json.loads(log_file.read_text(encoding="utf-8").splitlines()[-1])
    return Peer(title, found["rows"], found["seconds"])


def _registered() -> tuple[Path, dict[str, str]]:
    """Train and register the model in a registry of its own; its files, and who has it."""
    uri = f"sqlite:///{WORK}/mlflow.db"
    data = read(ROOT / DATA)
    booster = fit(data.records, data.labels, Options()).get_booster()
    mlflow.set_tracking_uri(uri)
    made = mlflow.create_experiment(
        PROJECT.names.experiment, artifact_location=str(WORK / "artifacts")
    )
    mlflow.set_experiment(experiment_id=made)
    flavor: Any = save
    with mlflow.start_run():
        logged = Model.log(
            artifact_path=None,
            name=NAME,
            flavor=flavor,
            booster=booster,
            threshold=0.5,
            model_name=NAME,
        )
    mlflow.register_model(logged.model_uri, NAME)
    model = mlflow.artifacts.download_artifacts(logged.model_uri, dst_path=str(WORK / "model"))
    return Path(model), {**os.environ, "MLFLOW_TRACKING_URI": uri}


def _remove_tables() -> None:
    for each in WORK.glob("patients-*"):
        shutil.rmtree(each)


def made(rows: list[int], cores: list[int], engines: list[str]) -> str:
    """Return when, where and how the results are made: a paragraph."""
    day = dt.datetime.now(tz=dt.UTC).date()
    given = f"--rows {' '.join(map(str, rows))} --cores {' '.join(map(str, cores))}"
    given += f" --engines {' '.join(engines)}"
    return (
        f"Made on {day} with `python -m benchmarks.batch {given}` on "
        f"{machine.describe()}. A job is the whole command, `mlflow-sealed score`, in processes or "
        "with a local master of Spark, kept to the cores that it is told to use, Java and Python "
        "together. It "
        "scores from when the engine is there until the last file is written: the start of Spark's "
        "Python workers, reading, checking, preprocessing, predicting and writing are in it, the "
        "start of Spark and of the command are not. Memory is the greatest that any one process of "
        "a kind had, shared pages included; together, shared pages count once. The script reads "
        "the whole table with pyarrow, predicts with both cores, checks nothing and writes; its "
        "rate is of the whole process. Generated patients, "
        f"{BAD_SHARE:.1%} of them bad. The bare booster predicts, with one thread, features that "
        "lie ready in memory; the pyfunc reads Parquet, checks each row with `Patient`, "
        "preprocesses and predicts; both before the jobs and after them. One run of each job."
    )


def _say(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[10**6, 3 * 10**6, 10**7], help="how many rows"
    )
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2], help="how many cores")
    parser.add_argument(
        "--engines", nargs="+", choices=ENGINES, default=list(ENGINES), help="local, spark"
    )
    parser.add_argument("--output", type=Path, help="where the page and the picture go, if at all")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
