"""Training on Spark: the same model as without, whatever became of a node."""

import contextlib
import functools
import hashlib
import io
import json
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import numpy as np
import pandas as pd
import pytest
import xgboost
from mlflow.artifacts import download_artifacts

from mlflow_sealed.batch import session
from mlflow_sealed.training.measure.evaluate import split
from mypreprocessing import FEATURES
from tests.conftest import Feed
from tests.environ import ROOT
from tests.spark import Cluster
from training.__main__ import main
from training.dataset import read
from training.fit_on_spark import PLACE, SparkFitError, divided, fit_on_spark
from training.options import DATA, Options

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

QUICK = ["--data", str(ROOT / DATA), "--folds", "2", "--repeats", "1"]
ON_SPARK = ["--engine", "spark", "--master", "local[2]"]


@dataclass(frozen=True)
class Trainings:
    """What three trainings have left: without Spark, then with one task of it, then with two."""

    client: mlflow.MlflowClient
    said: list[str]

    def run(self, version: int) -> mlflow.entities.Run:
        registered = self.client.get_model_version("diabetes", str(version))
        return self.client.get_run(str(registered.run_id))


@pytest.fixture(scope="module")
def root(pyspark: Path) -> str:
    """Where pyspark is installed and environments are packed."""
    return str(pyspark.parents[1])


@pytest.fixture(autouse=True)
def _engine(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ENV_ROOT", root)


@pytest.fixture(scope="module")
def trainings(
    root: str, empty_database: Path, one_picture: None, tmp_path_factory: pytest.TempPathFactory
) -> Trainings:
    del one_picture
    folder, said = tmp_path_factory.mktemp("trainings"), []
    shutil.copy(empty_database, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_ENV_ROOT", root)
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
            patch.delenv(name, raising=False)
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        for engine in ([], ON_SPARK, [*ON_SPARK, "--workers", "2"]):
            with contextlib.redirect_stdout(io.StringIO()) as output:
                assert main([*QUICK, *engine]) == 0
            said.append(output.getvalue().splitlines()[-1])
    return Trainings(mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db"), said)


@pytest.fixture(scope="module")
def folders(trainings: Trainings, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The files of the two registered versions: of no Spark, and of two tasks."""
    mlflow.set_tracking_uri(trainings.client.tracking_uri)
    uris = [f"models:/diabetes/{version}" for version in (1, 2)]
    made = tmp_path_factory.mktemp("folders")
    return [Path(download_artifacts(uri, dst_path=str(made / uri[-1]))) for uri in uris]


def test_what_one_task_of_spark_trained_is_the_very_model(trainings: Trainings) -> None:
    assert trainings.said[0].endswith("models:/diabetes/1 is the champion")
    assert trainings.said[1].endswith(
        "models:/diabetes/1 is this very model and stays the champion"
    )
    assert len(trainings.client.search_model_versions("name='diabetes'")) == 2


def test_what_two_tasks_trained_is_another_model_of_the_very_same_kind(
    folders: list[Path],
) -> None:
    here, on_spark = (json.loads((each / "manifest.json").read_text()) for each in folders)
    assert here.keys() == on_spark.keys()
    assert here["artifacts/booster.ubj"] != on_spark["artifacts/booster.ubj"]
    differing = {name for name in here if here[name] != on_spark[name]}
    assert differing <= {"MLmodel", "artifacts/booster.ubj", "artifacts/training.json"}
    infos = [mlflow.models.get_model_info(str(each)) for each in folders]
    assert infos[0].signature == infos[1].signature
    assert infos[0].metadata == infos[1].metadata
    boosters = [xgboost.Booster(model_file=each / "artifacts/booster.ubj") for each in folders]
    assert boosters[1].feature_names == list(FEATURES)
    assert boosters[0].attributes() == boosters[1].attributes()


def test_both_engines_models_answer_alike(folders: list[Path]) -> None:
    rows = json.loads(read(ROOT / DATA).records.to_json(orient="records"))
    answers = [mlflow.pyfunc.load_model(str(each)).predict(rows) for each in folders]
    assert [list(answer) for (answer, *_) in answers] == [["model", "pred", "probability"]] * 2
    risks = [[answer["probability"] for answer in found] for found in answers]
    assert len(risks[1]) == len(rows)
    assert np.corrcoef(risks)[0, 1] > 0.98


def test_both_engines_models_agree_in_auc(trainings: Trainings) -> None:
    aucs = [trainings.run(version).data.metrics["held_out/auc"] for version in (1, 2)]
    assert abs(aucs[0] - aucs[1]) <= 0.005


def test_the_run_says_which_engine_it_was(trainings: Trainings) -> None:
    found = trainings.run(2).data.params
    assert (found["engine"], found["master"], found["workers"]) == ("spark", "local[2]", "2")
    assert trainings.run(1).data.params["engine"] == "xgboost"


def test_what_a_task_gets_does_not_depend_on_the_parts_that_there_were() -> None:
    with session.connected("test", "local[2]") as spark:
        tables = [_table(spark, count) for count in (1, 2, 5)]
        dealt = [_rows(divided(table, 2)) for table in tables]
        assert dealt == [[list(range(0, 60, 2)), list(range(1, 60, 2))]] * 3
        # The control: Spark's own division depends on them, also where one part is asked for first.
        assert len({str(_rows(table.coalesce(1).repartition(2))) for table in tables}) > 1


def _table(spark: "SparkSession", parts: int) -> "DataFrame":
    """Sixty numbered rows, in as many parts."""
    cuts = np.array_split(np.arange(60), parts)
    tables = [spark.createDataFrame(pd.DataFrame({PLACE: cut, "x": cut % 7})) for cut in cuts]
    return functools.reduce(lambda one, other: one.union(other), tables)


def _rows(table: "DataFrame") -> list[list[int]]:
    """The places of the rows of each part, in their order."""
    return [[row[PLACE] for row in part] for part in table.rdd.glom().collect()]


def test_a_worker_that_is_killed_in_the_middle_changes_nothing(
    cluster: Cluster, feed: Feed, folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIP_EXTRA_INDEX_URL", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, feed.environ[name])
    data, options = read(ROOT / DATA), Options(engine="spark", master=cluster.master, workers=2)
    rows, before = split(data, options).training, starts(cluster)
    killing = threading.Thread(target=kill_in_the_middle, args=(cluster, before), daemon=True)
    killing.start()
    found = fit_on_spark(data.records.iloc[rows], data.labels[rows], options)
    killing.join()
    assert starts(cluster) >= before + 2  # it was fitting when it was killed, and began again
    saved = (folders[1] / "artifacts/booster.ubj").read_bytes()
    again = bytes(found.get_booster().save_raw("ubj"))
    # Not the bytes: pytest would look for hours for where two boosters differ.
    assert hashlib.sha256(again).hexdigest() == hashlib.sha256(saved).hexdigest()


def kill_in_the_middle(cluster: Cluster, before: int) -> None:
    """Kill a worker as soon as the tasks have found one another, and start another one."""
    while starts(cluster) == before:
        time.sleep(0.1)
    cluster.kill_worker()
    cluster.restore()


def starts(cluster: Cluster) -> int:
    """How many times tasks have found one another on a cluster: the first of them says so."""
    logs = cluster.folder.glob("worker-*/app-*/*/stderr")
    return sum(log.read_text(errors="replace").count("Task 0 got rank 0") for log in logs)


def test_more_tasks_than_the_machine_runs_at_a_time_are_one_line() -> None:
    data, options = read(ROOT / DATA), Options(engine="spark", master="local[1]", workers=2)
    with pytest.raises(SparkFitError, match=r"workers 2: the master local\[1\] runs 1 at a time"):
        fit_on_spark(data.records, data.labels, options)


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(
    ("master", "said"),
    [
        ("spark://127.0.0.1:9", "the master spark://127.0.0.1:9 cannot be reached"),
        ("mesos://127.0.0.1", "'mesos://127.0.0.1' is no master"),
    ],
)
def test_a_master_that_is_not_there_ends_the_training_with_one_line(
    master: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*QUICK, "--engine", "spark", "--master", master]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == [lines[-1]]
    assert lines[-1].startswith(f"error: {said}")


@pytest.mark.usefixtures("client")
def test_without_java_the_training_ends_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert main([*QUICK, *ON_SPARK]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: the Java of JAVA_HOME")
