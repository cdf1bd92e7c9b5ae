"""Tripwires: data and figures that cannot be true stop a training, and nothing is registered."""

import re
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest

from mlflow_sealed.training.measure.dataset import DataError, Dataset
from mlflow_sealed.training.measure.tripwires import TripwireError, check, check_data
from mypreprocessing import FEATURES, MEASUREMENTS
from tests import measured
from tests.measured import SUBJECT, measure
from training.__main__ import main
from training.options import Options

QUICK = Options(trees=40, learning_rate=0.2, repeats=1, folds=5)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return measured.data()


def leaking(data: Dataset) -> Dataset:
    """Impute as published results do: with the median of the patients with the same label."""
    records = data.records.astype("float64")
    for name in MEASUREMENTS:
        measured = records[name].where(records[name] != 0)
        records[name] = measured.fillna(measured.groupby(data.labels).transform("median"))
    return replace(data, records=records)


def write(data: Dataset, path: Path) -> Path:
    rows = data.records[list(FEATURES)].assign(diabetes=data.labels)
    rows.astype({"pregnancies": int, "age": int}).to_csv(path, index=False)
    return path


def test_the_published_leak_stops_the_training_and_its_run_has_failed(
    data: Dataset, client: mlflow.MlflowClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(leaking(data), tmp_path / "imputed.csv")
    options = ["--trees", "40", "--learning-rate", "0.2", "--repeats", "1", "--folds", "5"]
    assert main(["--data", str(path), *options]) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert re.match(r"error: suspected leak: .* cross-validated AUC of 0\.\d{3}, expected", said)
    assert client.search_registered_models() == []
    experiment = client.get_experiment_by_name("diabetes")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"
    assert max(run.data.metrics["cv/auc"], run.data.metrics["cv_article/auc"]) > 0.9


def test_the_same_data_without_the_leak_passes(data: Dataset) -> None:
    check_data(SUBJECT, data)
    check(measure(data, QUICK))


def test_a_shuffled_label_has_an_auc_of_a_half_within_its_interval_and_stops(
    data: Dataset,
) -> None:
    labels = np.random.default_rng(5).permutation(data.labels)
    evaluation = measure(replace(data, labels=labels), QUICK)
    interval = evaluation.held_out_figures["auc"]
    assert interval.low < 0.5 < interval.high
    with pytest.raises(TripwireError, match=r"AUC of 0\.\d+, expected at least 0\.6; does each"):
        check(evaluation)


def test_a_reversed_label_is_found_in_the_data(data: Dataset) -> None:
    with pytest.raises(DataError, match=r"glucose: more of it goes with fewer .*label reversed"):
        check_data(SUBJECT, replace(data, labels=1 - data.labels))


@pytest.mark.parametrize(
    ("name", "value"), [("insulin", 0), ("insulin", np.nan), ("age", 33), ("bmi", 31.5)]
)
def test_a_constant_column_is_an_error(data: Dataset, name: str, value: float) -> None:
    constant = replace(data, records=data.records.assign(**{name: value}))
    with pytest.raises(DataError, match=f"column {name}: expected values that vary, all 768 rows"):
        check_data(SUBJECT, constant)


def test_bad_data_has_no_run(
    data: Dataset, client: mlflow.MlflowClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(replace(data, labels=1 - data.labels), tmp_path / "reversed.csv")
    assert main(["--data", str(path)]) == 1
    assert capsys.readouterr().err.startswith("error: column glucose: more of it goes with fewer")
    assert client.get_experiment_by_name("diabetes") is None
