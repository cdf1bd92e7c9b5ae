"""Let Spark's executors score the parts of a plan: send them the code and the model, and wait."""

import re
import threading
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import mlflow_sealed
from mlflow_sealed.batch import environment, java, plan, score, session, tally
from mlflow_sealed.batch.model import ARCHIVE, RegisteredModel
from mlflow_sealed.batch.options import ScoringOptions
from mlflow_sealed.batch.plan import Plan
from mlflow_sealed.batch.progress import Progress
from mlflow_sealed.batch.stopwatch import Stopwatch
from mlflow_sealed.batch.storage import Place
from mlflow_sealed.batch.tally import TooManyRefusedError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_LOOK_EVERY_S: Final = 1.0
_ERROR_NAME: Final = re.compile(r"^(?:\w+\.)*(\w+(?:Error|Exception))\b", re.MULTILINE)


class SparkJobError(RuntimeError):
    """Spark has given the job up; the message says why, in one line."""


class Work(NamedTuple):
    """What the executors have to do: some parts of a plan, with a model."""

    job: Plan
    left: Sequence[int]
    output: Place
    model: RegisteredModel


def score_parts(
    work: Work, options: ScoringOptions, *, progress: Progress, watch: Stopwatch
) -> None:
    """Let the executors score parts.

    Parameters
    ----------
    watch
        Gets the stages ``environment``, ``Spark`` (its start) and ``scoring``, which has the start
        of the executors' Pythons.

    Raises
    ------
    SparkJobError
        If Spark gives the job up.
    mlflow_sealed.batch.tally.TooManyRefusedError
        As soon as it is certain that too many rows are refused.
    mlflow_sealed.batch.plan.InputError
        If a part cannot be read.
    """
    job, left, output, model = work
    java.home()  # both are checked first: to pack an environment takes a minute
    master = options.spark_master
    session.check_reachable(master)
    packed = None
    if not (session.is_local(master) or master == session.GIVEN):
        packed = environment.packed([model.requirements, options.executors])
        watch.lap("environment")
    name, quick = f"score {job.model}", session.quick(master)
    with session.connected(name, master, environment=packed, options=quick) as spark:
        watch.lap("Spark")
        _send(spark, model.folder)
        with _followed(spark, output, progress):
            faults = _run_tasks(spark, left, output)
        watch.lap("scoring")
    if faults:
        raise plan.InputError(min(faults))


def zip_toolkit(archive: Path) -> None:
    """Write the Python files of the installed toolkit to a zip that can be imported from."""
    top = Path(mlflow_sealed.__file__).parent
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(top.rglob("*.py")):
            file.write(path, str(path.relative_to(top.parent)))


def _send(spark: "SparkSession", model: Path) -> None:
    """Let the executors have the toolkit's code and the model."""
    code, archive = model.parent / "code.zip", model.parent / f"{ARCHIVE}.tar.gz"
    zip_toolkit(code)
    environment.pack(model, archive)
    spark.sparkContext.addPyFile(str(code))
    spark.sparkContext.addArchive(f"{archive}#{ARCHIVE}")


def _run_tasks(spark: "SparkSession", left: Sequence[int], output: Place) -> list[str]:
    """Run a task for each part; Spark gives it to another executor if one is lost.

    The tasks are made from numbers, not from a table: Spark's SQL takes seconds to start.

    Returns
    -------
    list of str
        Why parts cannot be read.

    Raises
    ------
    SparkJobError
        If Spark gives the job up.
    """
    from py4j.protocol import Py4JError  # noqa: PLC0415 # `session.connected` makes it importable
    from pyspark.errors import PySparkException  # noqa: PLC0415 # likewise

    run = partial(score.run, output=output.address, model=ARCHIVE)
    try:
        faults: list[str] = (
            spark.sparkContext.parallelize(left, len(left)).mapPartitions(run).collect()
        )
    except (PySparkException, Py4JError) as error:
        names = _ERROR_NAME.findall(str(error))
        # Only the name of the error: its message may show a row.
        raise SparkJobError(
            f"Spark gave the job up ({names[-1] if names else type(error).__name__}); what is done "
            "stays: start it again. SPARK_LOG_LEVEL=warn shows Spark's own log"
        ) from None
    return faults


@contextmanager
def _followed(spark: "SparkSession", output: Place, progress: Progress) -> Iterator[None]:
    """Count what is done, and cancel the tasks once it is certain that too many are refused."""
    ended, found = threading.Event(), list[TooManyRefusedError]()

    def watch() -> None:
        while not ended.wait(_LOOK_EVERY_S):
            try:
                for part, counted in tally.done(output, but=progress.parts).items():
                    progress.finished(part, counted)
            except TooManyRefusedError as error:
                found.append(error)
                spark.sparkContext.cancelAllJobs()
                return

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    except SparkJobError:
        if found:
            raise found[0] from None
        raise
    finally:
        ended.set()
        watching.join()
