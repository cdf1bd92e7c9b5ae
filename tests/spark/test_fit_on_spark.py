"""Training on Spark: the same model as without, whatever became of a node."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.artifacts import download_artifacts
from sklearn.metrics import roc_auc_score

from mypreprocessing import FEATURES
from tests.conftest import ROOT
from training.__main__ import main
from training.dataset import Dataset, read
from training.evaluate import split
from training.evaluation import Split
from training.fit import fit, probabilities
from training.fit_on_spark import SparkFitError, fit_on_spark
from training.options import DATA, Options

QUICK = ["--data", str(ROOT / DATA), "--trees", "5", "--folds", "2", "--repeats", "1"]
ON_SPARK = ["--engine", "spark", "--master", "local[2]"]

pytestmark = pytest.mark.usefixtures("java")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return read(ROOT / DATA)


@pytest.fixture(scope="module")
def rows(data: Dataset) -> Split:
    return split(data, Options())


def test_one_task_gives_the_very_same_booster(data: Dataset, rows: Split) -> None:
    options = Options(engine="spark", master="local[2]", trees=20)
    training = data.records.iloc[rows.training], data.labels[rows.training]
    on_spark, here = fit_on_spark(*training, options), fit(*training, options)
    saved = [one.get_booster().save_raw("ubj") for one in (on_spark, here)]
    assert saved[0] == saved[1]


def test_several_tasks_give_another_model_that_is_as_good(data: Dataset, rows: Split) -> None:
    options = Options(engine="spark", master="local[2]", workers=2)
    training = data.records.iloc[rows.training], data.labels[rows.training]
    on_spark, here = fit_on_spark(*training, options), fit(*training, options)
    assert on_spark.get_booster().feature_names == list(FEATURES)
    unseen = data.records.iloc[rows.held_out]
    risks = [probabilities(one, unseen) for one in (on_spark, here)]
    assert np.abs(risks[0] - risks[1]).max() > 1e-3  # two tasks did fit
    aucs = [roc_auc_score(data.labels[rows.held_out], risk) for risk in risks]
    assert abs(aucs[0] - aucs[1]) <= 0.005


def test_a_model_that_spark_trained_is_the_registered_one(
    client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(QUICK) == 0
    assert main([*QUICK, *ON_SPARK]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.endswith("models:/diabetes/1 is this very model and stays the champion")
    assert len(client.search_model_versions("name='diabetes'")) == 1


def test_what_two_tasks_trained_is_logged_as_the_very_same_kind_of_model(
    client: mlflow.MlflowClient, data: Dataset, tmp_path: Path
) -> None:
    assert main(QUICK) == 0
    assert main([*QUICK, *ON_SPARK, "--workers", "2"]) == 0
    uris = [f"models:/diabetes/{version}" for version in (1, 2)]
    folders = [Path(download_artifacts(uri, dst_path=str(tmp_path / uri[-1]))) for uri in uris]
    here, on_spark = (json.loads((each / "manifest.json").read_text()) for each in folders)
    assert here.keys() == on_spark.keys()
    differing = {name for name in here if here[name] != on_spark[name]}
    assert differing <= {"MLmodel", "artifacts/booster.ubj", "artifacts/training.json"}
    infos = [mlflow.models.get_model_info(uri) for uri in uris]
    assert infos[0].signature == infos[1].signature
    assert infos[0].metadata == infos[1].metadata
    model = mlflow.pyfunc.load_model(str(folders[1]))
    inputs = json.loads(data.records.head(20).to_json(orient="records"))
    assert [row.keys() for row in map(dict, model.predict(inputs))] == [
        {"model": 0, "pred": 0, "probability": 0}.keys()
    ] * 20
    run = client.get_run(str(client.get_model_version("diabetes", "2").run_id))
    assert run.data.params["engine"] == "spark"
    assert run.data.params["workers"] == "2"


def test_more_tasks_than_the_machine_runs_at_a_time_are_one_line(
    data: Dataset, rows: Split
) -> None:
    options = Options(engine="spark", master="local[1]", workers=2)
    training = data.records.iloc[rows.training], data.labels[rows.training]
    with pytest.raises(SparkFitError, match=r"workers 2: the master local\[1\] runs 1 at a time"):
        fit_on_spark(*training, options)


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
