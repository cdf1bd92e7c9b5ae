"""Tripwires: the bounds and the rising features are those of the project."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from mlflow_sealed.project import Bounds, Features
from mlflow_sealed.training.measure.dataset import DataError, Dataset
from mlflow_sealed.training.measure.results import MODEL, Evaluation
from mlflow_sealed.training.measure.tripwires import TripwireError, check, check_data
from mlflow_sealed.training.subject import Subject
from tests import measured

ROWS = 400
LABELS = (np.arange(ROWS) % 4 == 0).astype(np.int64)


def preprocess(records: pd.DataFrame) -> npt.NDArray[np.float32]:
    return records.replace(-1, np.nan).to_numpy(np.float32)


def subject(*rising: str) -> Subject:
    project = measured.SUBJECT.project.model_copy(update={"features": Features(rising=rising)})
    return replace(
        measured.SUBJECT, project=project, features=("wear", "noise"), preprocess=preprocess
    )


def data(**columns: npt.ArrayLike) -> Dataset:
    random = np.random.default_rng(0).normal(size=(2, ROWS))
    made = {"wear": random[0] + LABELS, "noise": random[1]}
    return Dataset(pd.DataFrame({**made, **columns}), LABELS, "")


def bounded(**bounds: float) -> Evaluation:
    """The evaluation of a training, for a project with other bounds."""
    project = measured.SUBJECT.project.model_copy(update={"bounds": Bounds(**bounds)})
    return replace(measured.measured(), subject=replace(measured.SUBJECT, project=project))


def test_a_rising_feature_that_rises_with_the_label_passes() -> None:
    check_data(subject("wear"), data())


def test_a_rising_feature_that_falls_with_the_label_says_that_it_is_reversed() -> None:
    reversed_ = replace(data(), labels=1 - LABELS)
    with pytest.raises(DataError, match=r"wear: more of it goes with fewer .*label reversed"):
        check_data(subject("wear"), reversed_)
    check_data(subject(), reversed_)  # nothing is known of it beforehand


@pytest.mark.parametrize("value", [-1, 3.5], ids=["always missing", "one value"])
def test_a_feature_that_never_varies_is_an_error(value: float) -> None:
    constant = data(noise=np.full(ROWS, value))
    with pytest.raises(DataError, match="column noise: expected values that vary, all 400 rows"):
        check_data(subject(), constant)


def test_an_auc_within_the_projects_bounds_passes() -> None:
    check(bounded())


def test_an_auc_of_any_predictor_above_the_projects_bound_is_a_suspected_leak() -> None:
    aucs = {name: found["auc"].value for name, found in bounded().cross_validated.items()}
    best = measured.SUBJECT.titles[max(aucs, key=lambda name: aucs[name])].lower()
    with pytest.raises(TripwireError, match=f"leak: {best} has .* AUC of .*, expected at most 0.6"):
        check(bounded(most_auc=0.6))


def test_an_auc_of_the_model_below_the_projects_bound_stops_too() -> None:
    auc = bounded().cross_validated[MODEL]["auc"].value
    with pytest.raises(TripwireError, match=f"AUC of {auc:.3f}, expected at least 0.95; does each"):
        check(bounded(least_auc=0.95))
