"""Fitting: the same input gives the same bytes, and missing stays missing."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from xgboost import XGBClassifier

from mlflow_sealed.training.measure.dataset import Dataset
from mypreprocessing import FEATURES, MEASUREMENTS, Patient
from tests.environ import ROOT
from training.dataset import read
from training.fit import RISING, fit, probabilities
from training.options import DATA, Options

QUANTILES = np.linspace(0, 1, 40)

SAVE = """
import sys
from pathlib import Path
from training.dataset import read
from training.fit import fit
from training.options import DATA, Options
data = read(Path(DATA))
options = Options(seed=int(sys.argv[2]))
fit(data.records, data.labels, options).get_booster().save_model(sys.argv[1])
"""


@pytest.fixture(scope="module")
def data() -> Dataset:
    return read(ROOT / DATA)


def booster_file(data: Dataset, path: Path, *, seed: int) -> bytes:
    fit(data.records, data.labels, Options(seed=seed)).get_booster().save_model(path)
    return path.read_bytes()


def test_two_processes_with_one_seed_give_the_same_bytes(data: Dataset, tmp_path: Path) -> None:
    first = booster_file(data, tmp_path / "first.ubj", seed=7)
    second = tmp_path / "second.ubj"
    subprocess.run([sys.executable, "-c", SAVE, str(second), "7"], cwd=ROOT, check=True)
    assert second.read_bytes() == first
    assert booster_file(data, tmp_path / "other.ubj", seed=8) != first


def test_the_booster_knows_the_names_of_its_columns(data: Dataset) -> None:
    booster = fit(data.records, data.labels, Options(trees=2)).get_booster()
    assert booster.feature_names == list(FEATURES)
    assert booster.num_boosted_rounds() == 2


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_a_zero_measurement_trains_and_predicts_like_a_null(data: Dataset, name: str) -> None:
    options = Options(trees=20)
    nulls = data.records.replace({name: {0: np.nan}})
    assert nulls[name].isna().any()
    zero, null = (fit(records, data.labels, options) for records in (data.records, nulls))
    expected = probabilities(zero, data.records)
    np.testing.assert_array_equal(probabilities(null, nulls), expected)
    np.testing.assert_array_equal(probabilities(zero, nulls), expected)


def test_probabilities_are_one_a_row_between_0_and_1(data: Dataset) -> None:
    classifier = fit(data.records, data.labels, Options(trees=5))
    predicted = probabilities(classifier, data.records.head(3))
    assert predicted.shape == (3,)
    assert ((predicted > 0) & (predicted < 1)).all()
    empty = probabilities(classifier, pd.DataFrame(columns=list(FEATURES)))
    assert empty.shape == (0,)


@pytest.mark.parametrize("name", RISING)
def test_more_of_a_rising_feature_never_lowers_the_risk(data: Dataset, name: str) -> None:
    """On a grid over all that a patient may have, beside every record of the data."""
    classifier = fit(data.records, data.labels, Options())
    field = Patient.model_fields[name].metadata
    least = max(next(rule.ge for rule in field if hasattr(rule, "ge")), 1e-3)  # a zero is missing
    most = next(rule.le for rule in field if hasattr(rule, "le"))
    seen = data.records[name][data.records[name] > 0]
    grid = np.unique(np.concatenate([np.linspace(least, most, 60), seen.quantile(QUANTILES)]))
    records = data.records.astype("float64").sample(100, random_state=1)
    predicted = np.stack(
        [probabilities(classifier, records.assign(**{name: value})) for value in grid]
    )
    assert (np.diff(predicted, axis=0) >= 0).all()
    assert (predicted[-1] > predicted[0]).any()


def test_without_the_constraints_more_of_them_does_lower_the_risk_somewhere(data: Dataset) -> None:
    """So that the test above can fail."""
    free = XGBClassifier(n_estimators=150, max_depth=2, n_jobs=1).fit(data.records, data.labels)
    glucose = np.linspace(44, 199, 60)
    rows = [data.records.head(50).assign(glucose=value) for value in glucose]
    predicted = np.stack([free.predict_proba(each)[:, 1] for each in rows])
    assert (np.diff(predicted, axis=0) < 0).any()
