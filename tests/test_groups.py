"""Groups: who belongs to which, and what a small one may say."""

import numpy as np
import pandas as pd
import pytest
from mlflow_sealed.training.measure.subgroups import KINDS, groups, memberships

from tests.conftest import ROOT
from tests.records import record
from training.dataset import read
from training.options import DATA


def test_every_patient_is_in_one_group_of_each_kind() -> None:
    data = read(ROOT / DATA)
    for kind in KINDS:
        rows = [row for k, _, found in memberships(data.records) if k == kind for row in found]
        assert sorted(rows) == list(range(768))


@pytest.mark.parametrize(
    ("changes", "age", "missing"),
    [
        ({"age": 21}, "21 to 30", "0 missing"),
        ({"age": 30, "insulin": 0}, "21 to 30", "1 missing"),
        ({"age": 31, "insulin": None, "glucose": 0}, "31 to 40", "2 missing"),
        ({"age": 61, "insulin": 0, "bmi": 0, "glucose": 0}, "over 60", "3 or more missing"),
        ({"age": 60, "pregnancies": 0}, "51 to 60", "0 missing"),
    ],
)
def test_a_patients_groups(changes: dict[str, float | None], age: str, missing: str) -> None:
    measured = {"glucose": 120, "blood_pressure": 70, "skin_thickness": 20, "insulin": 90}
    records = pd.DataFrame([record(**{**measured, "bmi": 30, **changes})])
    assert [(kind, name) for kind, name, _ in memberships(records)] == [
        ("age", age),
        ("missing", missing),
    ]


def test_a_group_with_few_of_a_label_is_small() -> None:
    data = read(ROOT / DATA)
    predicted = np.where(data.labels, 0.7, 0.2)[np.newaxis]
    found = {group.name: group for group in groups(data, predicted, 0.5, seed=1)}
    assert found["over 60"].small
    assert found["over 60"].positive == 7
    assert not found["21 to 30"].small
    assert found["21 to 30"].rows == 417
    assert found["21 to 30"].figures["auc"].value == 1
