"""Fit the booster on Apache Spark: the same trees, grown together by tasks that share the rows."""

import logging
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from xgboost import XGBClassifier

from mlflow_model.save import REQUIREMENTS
from mlflow_sealed.batch import environment, session
from mlflow_sealed.batch.engine import EngineError
from mlflow_sealed.batch.java import JavaError
from mlflow_sealed.feed.credential import CredentialError
from training.fit import parameters
from training.options import Options
from training.preprocessing import FEATURES, preprocess
from training.project import LABEL, PROJECT

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS_A_WORKER: Final = 10_000
"""Fewer rows are not worth a task of their own: it waits longer for the others than it works."""

ATTEMPTS: Final = 4
"""How many times the tasks may fail, as many as Spark lets a single task. It gives up tasks that
only work together when one of them is lost, so that they start again from here."""

_SETTINGS: Final = {
    # The tasks start together or not at all. Spark asks every second whether there is room for
    # them, and not every quarter of a minute.
    "spark.scheduler.barrier.maxConcurrentTasksCheck.interval": "1s",
    "spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures": f"{session.TIMEOUT_S:.0f}",
}
PLACE: Final = "_place"
"""The column with a row's place in the table."""

_LOST: Final = "failed barrier"  # what Spark says then
_LOGGER: Final = "XGBoost-PySpark"


class SparkFitError(RuntimeError):
    """Spark cannot fit; the message says why."""


def fit_on_spark(
    records: pd.DataFrame, labels: npt.NDArray[np.int64], options: Options
) -> XGBClassifier:
    """Fit gradient-boosted trees as `training.fit.fit` does, in tasks of the master of the options.

    What it returns is alike, so that nothing after it can tell. One task gives the very same
    booster, several another one that is as good: each draws its own sample of the rows.

    Parameters
    ----------
    records, labels
        As for `training.fit.fit`.

    Raises
    ------
    SparkFitError
        If there is no Spark, no Java, no master or no room on it, the feed's credential is missing
        for a cluster, or the tasks fail.
    """
    try:
        packed = None
        if not session.is_local(options.master) and options.master != session.GIVEN:
            session.check_reachable(options.master)  # before the packing, which takes a minute
            packed = environment.packed([REQUIREMENTS, PROJECT.lock("fitting")])
        with session.connected(
            f"{PROJECT.names.model} training", options.master, environment=packed, options=_SETTINGS
        ) as spark:
            return _fit(spark, records, labels, options)
    except (EngineError, JavaError, session.MasterError, CredentialError) as error:
        raise SparkFitError(str(error)) from error


def workers(options: Options, rows: int, slots: int) -> int:
    """Return how many tasks fit together.

    Parameters
    ----------
    rows
        How many there are to fit to.
    slots
        How many tasks the cluster runs at a time.

    Examples
    --------
    >>> [workers(Options(), rows, slots=8) for rows in (614, 25_000, 10_000_000)]
    [1, 3, 8]
    >>> workers(Options(workers=4), 614, slots=8)
    4
    """
    if options.workers != "auto":
        return options.workers
    return max(1, min(slots, math.ceil(rows / ROWS_A_WORKER)))


def _fit(
    spark: "SparkSession", records: pd.DataFrame, labels: npt.NDArray[np.int64], options: Options
) -> XGBClassifier:
    from py4j.protocol import Py4JError  # noqa: PLC0415 # where a session is, it is importable
    from pyspark.errors import PySparkException  # noqa: PLC0415 # likewise
    from xgboost.spark import SparkXGBClassifier  # noqa: PLC0415 # it imports pyspark

    logging.getLogger(_LOGGER).setLevel(logging.WARNING)
    numbered = records.astype("float64").assign(**{LABEL: labels, PLACE: np.arange(len(records))})
    table = spark.createDataFrame(numbered)
    for attempt in range(1, ATTEMPTS + 1):
        count = _count(spark, len(records), options)
        estimator = SparkXGBClassifier(
            **parameters(options),
            features_col=list(FEATURES),
            label_col=LABEL,
            num_workers=count,
            verbose=False,
            # A new one for every attempt, where the first of the tasks is.
            launch_tracker_on_driver=False,
        )
        try:
            model = estimator.fit(_preprocessed(divided(table, count)))
            break
        except (Py4JError, PySparkException) as error:
            if attempt == ATTEMPTS or _LOST not in str(error):
                raise SparkFitError(f"Spark could not fit: {session.said(error)}") from error
            print(f"a task of {count} was lost: attempt {attempt + 1} of {ATTEMPTS}", flush=True)
    classifier = XGBClassifier(**parameters(options), n_jobs=1)
    classifier.load_model(model.get_booster().save_raw("ubj"))
    return classifier


def _count(spark: "SparkSession", rows: int, options: Options) -> int:
    """Return how many tasks fit together on the nodes that there are now."""
    slots = spark.sparkContext.defaultParallelism
    count = workers(options, rows, slots)
    if session.is_local(options.master) and count > slots:  # a cluster's nodes may yet come
        raise SparkFitError(f"workers {count}: the master {options.master} runs {slots} at a time")
    return count


def divided(table: "DataFrame", count: int) -> "DataFrame":
    """Return a table in as many parts, with the same rows in the same order whatever the nodes.

    `DataFrame.repartition` promises neither: which rows a part gets depends on how many parts there
    were, which is a matter of how many nodes there were, and their order on which of the nodes
    answers first. A ``coalesce(1)`` before it is optimised away (Spark 4.2, CollapseRepartition).

    Parameters
    ----------
    table
        With the column `PLACE`, an integer: row *i* goes to part *i* modulo `count`.
    """
    part = (table[PLACE] % count).cast("int")
    return table.repartitionById(count, part).sortWithinPartitions(PLACE)


def _preprocessed(table: "DataFrame") -> "DataFrame":
    """Return the features and labels of a table of records, preprocessed where its rows are."""

    # Within a function it travels whole; the nodes have no module of ours to find it in.
    def of_batches(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            features = preprocess(batch[list(FEATURES)])
            yield pd.DataFrame(features, columns=list(FEATURES)).assign(
                **{LABEL: batch[LABEL].to_numpy()}
            )

    columns = [*(f"{name} float" for name in FEATURES), f"{LABEL} long"]
    return table.mapInPandas(of_batches, ", ".join(columns))
