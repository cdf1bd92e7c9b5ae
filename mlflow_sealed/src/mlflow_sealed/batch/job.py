"""A job: a table through a registered model, as a run of MLflow."""

import os
import re
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import mlflow
import mlflow.pyfunc
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from pydantic import ValidationError

import mlflow_sealed
from mlflow_sealed.batch import engine, environment, java, plan, score, session, storage
from mlflow_sealed.batch.plan import Plan, Record
from mlflow_sealed.batch.storage import Place
from mlflow_sealed.feed import credential
from mlflow_sealed.flavor import manifest
from mlflow_sealed.flavor.download import download

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_ARCHIVE: Final = "model"
_LOOK_EVERY_S: Final = 1.0
_SHOWN: Final = 5
_OURS: Final = frozenset({"experiment", "executors"})  # the project's, and no parameters of a run


class ScoringError(RuntimeError):
    """The job cannot be begun or ended; the message says why, in a line."""


FAILURES: Final = (
    credential.CredentialError,
    manifest.ManifestError,
    engine.EngineError,
    java.JavaError,
    MlflowException,
    plan.InputError,
    ScoringError,
    session.MasterError,
    OSError,
)


@dataclass(frozen=True)
class Options:
    """What is asked for.

    Attributes
    ----------
    input, output, model, master
        Addresses: of a table, of a folder that is not there yet, of a registered model, of Spark.
    partitions
        About how many parts to divide the input into; 0: see `mlflow_sealed.batch.plan.make`.
    max_bad_share
        The greatest share of the rows that may be refused, from 0 to 1.
    experiment
        The name of the experiment that the run belongs to.
    executors
        The lock of what executors need on top of a model's requirements.
    """

    input: str
    output: str
    model: str
    experiment: str
    executors: Path
    master: str = session.LOCAL
    partitions: int = 0
    max_bad_share: float = 0.05


@dataclass(frozen=True)
class Model:
    """A registered version of the model, its files, and the columns of its rows."""

    name: str
    folder: Path
    features: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """That of its manifest, which has those of all of its files."""
        return manifest.digest(self.folder)


def batch_score(options: Options) -> Record:
    """Score what is left of an input, and log it as a run of MLflow.

    Returns
    -------
    Record
        What became of all rows, also of those that an earlier run has done.

    Raises
    ------
    ScoringError
        If the output is another job's or finished, or too many rows are refused.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, _run(options):
        model = fetch(options.model, Path(folder))
        output = storage.locate(options.output)
        job = begin(_planned(options, model), output)
        mlflow.set_tags({"model.version": job.model_version, "model.sha256": job.model_sha256})
        left = sorted(set(range(len(job.parts))) - plan.records(output).keys())
        print(f"{len(left)} of {len(job.parts)} parts to score with {job.model}", flush=True)
        scoring_s = work(job, left, output, model, options) if left else 0.0
        done = plan.total(plan.records(output))
        check_share(done, done.scored + done.refused, options.max_bad_share)
        finish(job, output, done)
        _log(done, time.monotonic() - began, scoring_s)
    print(
        f"{done.scored} rows scored, {done.refused} refused, by {job.model}: "
        f"{options.output} ({_reasons(done)})"
    )
    return done


def fetch(uri: str, folder: Path) -> Model:
    """Download a registered model, and look whether it is the one that was logged and fits here.

    Raises
    ------
    ScoringError
        If the address is not that of a registered version, or it was trained beside another
        mypreprocessing than is here.
    mlflow.exceptions.MlflowException
        If the registry does not have it.
    mlflow_sealed.flavor.manifest.ManifestError
        If its files were changed.
    """
    found = re.fullmatch(r"models:/([^/@]+)(?:/(\d+)|@([^/@]+))", uri)
    if found is None:
        raise ScoringError(
            f"model {uri!r}: expected a registered one, models:/NAME@champion or models:/NAME/3"
        )
    name, version, alias = found.groups()
    version = version or str(MlflowClient().get_model_version_by_alias(name, alias).version)
    address = f"models:/{name}/{version}"
    files = download(address, folder / _ARCHIVE)
    manifest.check(files)
    try:
        model = mlflow.pyfunc.load_model(str(files)).unwrap_python_model()
    except RuntimeError as error:  # of the model's own copy of the code, as PreprocessingMismatch
        raise ScoringError(f"{address} cannot be used here: {error}") from None
    if not hasattr(model, "decide"):
        raise ScoringError(f"{address} was logged before it could score in batches: train again")
    return Model(address, files, tuple(score.record(model).model_fields))


def begin(job: Plan, output: Place) -> Plan:
    """Write the plan to a new output, or return the one of a job that was begun there.

    Raises
    ------
    ScoringError
        If the output is finished, or is not of a job with this input and model.
    """
    place = output.at(plan.PLAN)
    if output.at(plan.DONE).exists():
        raise ScoringError(f"{output.path} exists, and is finished: choose another output")
    if place.exists():
        try:
            begun = Plan.model_validate_json(place.read())
        except ValidationError:
            raise ScoringError(f"{place.path} is no plan: remove {output.path}") from None
        if begun.fingerprint != job.fingerprint:
            raise ScoringError(
                f"{output.path} exists, begun with {begun.model} on {begun.input} as it was then: "
                "choose another output, or remove this one"
            )
        return begun
    if output.exists() and storage.files(output, ("",)):
        raise ScoringError(f"{output.path} exists, and is no output of this: choose another one")
    for folder in (plan.SCORED, plan.REFUSED, plan.PARTS):
        output.at(folder).make_folder()
    place.write(plan.as_json(job.model_dump(mode="json")))
    return job


def work(job: Plan, left: list[int], output: Place, model: Model, options: Options) -> float:
    """Let the executors do the parts that are left.

    Returns
    -------
    float
        How long they took, in seconds: their start is in it, Spark's own is not.

    Raises
    ------
    ScoringError
        If too many rows are refused, or Spark gives the job up.
    mlflow_sealed.batch.plan.InputError
        If a part cannot be read.
    """
    java.home()  # these two at once, and not when an environment is packed
    session.check_reachable(options.master)
    packed = None
    if not (session.is_local(options.master) or options.master == session.GIVEN):
        packed = environment.packed([model.folder / "requirements.txt", options.executors])
    with session.connected(f"score {job.model}", options.master, environment=packed) as spark:
        _ship(spark, model.folder)
        began = time.monotonic()
        with _stopped_early(spark, job, output, options.max_bad_share):
            faults = _do_parts(spark, left, output)
        took_s = time.monotonic() - began
    if faults:
        raise plan.InputError(min(faults))
    return took_s


def check_share(done: Record, rows: int, most: float) -> None:
    """Refuse a share of refused rows that is too great.

    Parameters
    ----------
    rows
        How many there are in all. While some are still to come, what is found is certain.

    Raises
    ------
    ScoringError
        If more than this share are refused.
    """
    if rows and done.refused / rows > most:
        raise ScoringError(
            f"{done.refused} of {rows} rows are refused, more than max_bad_share {most:g} allows "
            f"({_reasons(done)}): correct the input, or start again with a greater share"
        )


def finish(job: Plan, output: Place, done: Record) -> None:
    """Say in the output that it is complete.

    Raises
    ------
    ScoringError
        If a part is not there.
    """
    rows = done.scored + done.refused
    if job.rows not in {None, rows} or len(plan.records(output)) != len(job.parts):
        raise ScoringError(f"{output.path} lacks rows: start the job again")
    for folder in (plan.SCORED, plan.REFUSED, plan.PARTS):
        storage.sweep(output.at(folder))
    output.at(plan.DONE).write(plan.as_json({"model": job.model, **done.model_dump()}))


def _planned(options: Options, model: Model) -> Plan:
    return plan.make(
        options.input,
        model=model.name,
        model_sha256=model.sha256,
        features=model.features,
        parts=options.partitions,
    )


def _do_parts(spark: "SparkSession", left: list[int], output: Place) -> list[str]:
    """Run the job: a task for each part, which Spark gives to another executor if one is lost.

    Numbers need no table: Spark's SQL takes seconds to begin, which are saved.

    Returns
    -------
    list of str
        Why parts cannot be read.

    Raises
    ------
    ScoringError
        If Spark gives it up.
    """
    from py4j.protocol import Py4JError  # noqa: PLC0415 # `session.connected` finds it
    from pyspark.errors import PySparkException  # noqa: PLC0415 # `session.connected` finds it

    do = partial(score.run, output=output.address, model=_ARCHIVE)
    try:
        faults: list[str] = (
            spark.sparkContext.parallelize(left, len(left)).mapPartitions(do).collect()
        )
    except (PySparkException, Py4JError) as error:
        kinds = re.findall(r"^(?:\w+\.)*(\w+(?:Error|Exception))\b", str(error), re.MULTILINE)
        # The name alone: what an error says may be a patient's.
        raise ScoringError(
            f"Spark gave the job up ({kinds[-1] if kinds else type(error).__name__}); what is done "
            "stays: start it again. SPARK_LOG_LEVEL=warn shows Spark's own log"
        ) from None
    return faults


def _ship(spark: "SparkSession", model: Path) -> None:
    """Let the executors have the model, and the code that runs there."""
    folder, top = model.parent, Path(mlflow_sealed.__file__).parent
    code, archive = folder / "code.zip", folder / f"{_ARCHIVE}.tar.gz"
    with zipfile.ZipFile(code, "w") as file:
        for path in sorted(top.rglob("*.py")):
            file.write(path, str(path.relative_to(top.parent)))
    environment.pack(model, archive)
    spark.sparkContext.addPyFile(str(code))
    spark.sparkContext.addArchive(f"{archive}#{_ARCHIVE}")


@contextmanager
def _stopped_early(spark: "SparkSession", job: Plan, output: Place, most: float) -> Iterator[None]:
    """End the job within a ``with`` block as soon as it is certain that too many are refused."""
    ended, found = threading.Event(), list[ScoringError]()

    def watch() -> None:
        while not ended.wait(_LOOK_EVERY_S):
            try:
                check_share(plan.total(plan.records(output)), job.rows or sys.maxsize, most)
            except ScoringError as error:
                found.append(error)
                spark.sparkContext.cancelAllJobs()
                return

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    except ScoringError:
        if found:
            raise found[0] from None
        raise
    finally:
        ended.set()
        watching.join()


@contextmanager
def _run(options: Options) -> Iterator[None]:
    """Keep a run of MLflow: the one that ``mlflow run`` has made, or a new one."""
    if "MLFLOW_RUN_ID" not in os.environ:
        mlflow.set_experiment(options.experiment)
    with mlflow.start_run(tags={"step": "batch scoring"}) as run:
        known = mlflow.get_run(run.info.run_id).data.params
        mlflow.log_params({k: v for k, v in asdict(options).items() if k not in {*known, *_OURS}})
        yield


def _log(done: Record, seconds: float, scoring_s: float) -> None:
    """Log how many rows there were, and why some are refused; nothing about a row."""
    rows = done.scored + done.refused
    mlflow.log_metrics(
        {
            "rows": rows,
            "rows_scored": done.scored,
            "rows_refused": done.refused,
            "refused_share": done.refused / rows if rows else 0.0,
            "seconds": seconds,
            "seconds_scoring": scoring_s,
        }
    )
    mlflow.log_dict(done.reasons, "refused.json")


def _reasons(done: Record) -> str:
    most = sorted(done.reasons.items(), key=lambda each: -each[1])
    shown = [f"{reason}: {count}" for reason, count in most[:_SHOWN]]
    more = [f"{len(most) - _SHOWN} more reasons"] if len(most) > _SHOWN else []
    return "; ".join([*shown, *more]) or "none refused"
