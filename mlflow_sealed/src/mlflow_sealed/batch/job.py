"""A scoring job: a table is scored with a registered model, in a run of MLflow."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import mlflow
from mlflow.exceptions import MlflowException
from pydantic import ValidationError

from mlflow_sealed import drivers, process, tracking
from mlflow_sealed.batch import distribute, engine, java, plan, session, storage, tally, workers
from mlflow_sealed.batch.distribute import SparkJobError
from mlflow_sealed.batch.model import ModelError, RegisteredModel, fetch, get
from mlflow_sealed.batch.options import ScoringOptions
from mlflow_sealed.batch.plan import Plan
from mlflow_sealed.batch.progress import Progress
from mlflow_sealed.batch.stopwatch import Stopwatch
from mlflow_sealed.batch.storage import Place
from mlflow_sealed.batch.tally import Tally, TooManyRefusedError
from mlflow_sealed.batch.worker import Load, WorkerError
from mlflow_sealed.batch.workers import KilledError, Workers
from mlflow_sealed.command import be_quiet
from mlflow_sealed.feed import credential
from mlflow_sealed.flavor import manifest
from mlflow_sealed.project import Project

LARGE_ROWS: Final = 100_000_000
LARGE_BYTES: Final = 10_000_000_000
"""A table above either gets a line that Spark is there."""


class OutputError(RuntimeError):
    """The output cannot be used or is incomplete; the message says why, in one line."""


FAILURES: Final = (
    credential.CredentialError,
    manifest.ManifestError,
    engine.EngineError,
    java.JavaError,
    KilledError,
    MlflowException,
    ModelError,
    OutputError,
    plan.InputError,
    session.MasterError,
    SparkJobError,
    TooManyRefusedError,
    WorkerError,
    OSError,
)
"""What a job may end with: the message of each is one line for the user."""


@process.command(*FAILURES)
def run(options: ScoringOptions, project: Project, watch: Stopwatch) -> int:
    """Score for a project and return the exit status."""
    be_quiet()
    tracking.use_default(project)
    score_table(options, watch)
    return 0


def score_table(options: ScoringOptions, watch: Stopwatch | None = None) -> Tally:
    """Score what is left of an input, and log it as a run of MLflow.

    Returns
    -------
    Tally
        The counts of all rows, also of those that an earlier run has scored.

    Raises
    ------
    OutputError
        If the output is another job's or finished.
    mlflow_sealed.batch.tally.TooManyRefusedError
        If too many rows are refused.
    """
    watch = watch or Stopwatch()
    with tempfile.TemporaryDirectory() as folder, _run(options), workers.started() as here:
        watch.lap("tracking")
        model = _model(options, Path(folder), here)
        watch.lap("model")
        output = storage.locate(options.output)
        job = begin(_planned(options, model), output)
        mlflow.set_tags({"model.version": job.model_version, "model.sha256": job.model_sha256})
        done = tally.done(output)
        left = sorted(set(range(len(job.parts))) - done.keys())
        many = workers.count(len(left), most=options.workers)
        print(_announced(job, len(left), many, options), flush=True)
        watch.lap("plan")
        progress = Progress(job, done, options.max_bad_share)
        with contextlib.closing(progress):
            if left and options.on_spark:
                work = distribute.Work(job, left, output, model)
                distribute.score_parts(work, options, progress=progress, watch=watch)
            elif left:
                here.score(left, output, model.folder, progress, most=many)
                watch.lap("scoring")
        total = tally.total(output)
        tally.check_share(total, total.rows, options.max_bad_share)
        finish(job, output, total)
        _log(total, watch)
    print(
        f"{total.scored} rows scored, {total.refused} refused, by {job.model}: "
        f"{options.output} ({total.summary()})\n{watch.told()}"
    )
    return total


def _model(options: ScoringOptions, folder: Path, here: Workers) -> RegisteredModel:
    """Fetch the model; who scores with it loads it."""
    if options.on_spark:
        return fetch(options.model, folder)
    worker = here.start()  # it starts while the model is fetched
    address, files = get(options.model, folder)
    found: RegisteredModel = worker.ask(Load(address, str(files)))
    return found


def _processes(many: int) -> str:
    return "1 process" if many == 1 else f"{many} processes"


def _announced(job: Plan, left: int, many: int, options: ScoringOptions) -> str:
    """Return what is about to be done, by what, and that there is more if a table is large."""
    engine = f"Spark ({options.spark_master})" if options.on_spark else _processes(many)
    told = f"{left} of {len(job.parts)} parts to score with {job.model}, in {engine}"
    unit, most = ("bytes of CSV", LARGE_BYTES) if job.rows is None else ("rows", LARGE_ROWS)
    if not options.on_spark and job.size > most:
        told += (
            f"\n{job.size:,} {unit} are more than {most:,}: Spark on several machines would be "
            "faster (engine=spark, docs/batch.md)"
        )
    return told


def begin(job: Plan, output: Place) -> Plan:
    """Write the plan to a new output, or return the one of a job that was begun there.

    Raises
    ------
    OutputError
        If the output is finished, or is not of a job with this input and model.
    """
    place = output.at(plan.PLAN)
    if output.at(plan.DONE).exists():
        raise OutputError(f"{output.path} exists, and is finished: choose another output")
    if place.exists():
        return _begun(job, output)
    if output.exists() and storage.files(output, ("",)):
        raise OutputError(f"{output.path} exists, and is no output of this: choose another one")
    for folder in (plan.SCORED, plan.REFUSED, plan.PARTS):
        output.at(folder).make_folder()
    place.write(plan.as_json(job.model_dump(mode="json")))
    return job


def _begun(job: Plan, output: Place) -> Plan:
    """Return the plan in an output, which has to be of the same job."""
    place = output.at(plan.PLAN)
    try:
        begun = Plan.model_validate_json(place.read())
    except ValidationError:
        raise OutputError(f"{place.path} is no plan: remove {output.path}") from None
    if begun.fingerprint != job.fingerprint:
        raise OutputError(
            f"{output.path} exists, begun with {begun.model} on {begun.input} as it was then: "
            "choose another output, or remove this one"
        )
    return begun


def finish(job: Plan, output: Place, total: Tally) -> None:
    """Mark the output as complete.

    Raises
    ------
    OutputError
        If a part is missing.
    """
    if job.rows not in {None, total.rows} or len(tally.done(output)) != len(job.parts):
        raise OutputError(f"{output.path} lacks rows: start the job again")
    for folder in (plan.SCORED, plan.REFUSED, plan.PARTS):
        storage.sweep(output.at(folder))
    output.at(plan.DONE).write(plan.as_json({"model": job.model, **total.model_dump()}))


def _planned(options: ScoringOptions, model: RegisteredModel) -> Plan:
    return plan.make(
        options.input,
        model.planned,
        parts=options.partitions,
        kept=options.kept,
        explain=options.explain,
    )


@contextmanager
def _run(options: ScoringOptions) -> Iterator[None]:
    """Use the run of MLflow that ``mlflow run`` has made, or start one."""
    if "MLFLOW_RUN_ID" not in os.environ:
        tracking.prepare(options.experiment)
        mlflow.set_experiment(options.experiment)
    with mlflow.start_run(tags={"step": "batch scoring"}) as run:
        drivers.check_artifacts(run.info.artifact_uri)  # before the work
        logged = mlflow.get_run(run.info.run_id).data.params  # by ``mlflow run``
        given = options.parameters()
        mlflow.log_params({name: given[name] for name in given.keys() - logged.keys()})
        yield


def _log(total: Tally, watch: Stopwatch) -> None:
    """Log how many rows there were and why some are refused, but no row."""
    mlflow.log_metrics(
        {
            "rows": total.rows,
            "rows_scored": total.scored,
            "rows_refused": total.refused,
            "refused_share": total.refused / total.rows if total.rows else 0.0,
            "seconds": watch.total_s,
            "seconds_scoring": watch.seconds.get("scoring", 0.0),
        }
    )
    mlflow.log_dict(total.reasons, "refused.json")
