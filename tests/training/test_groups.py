"""Groups: which patients belong to which."""

import pandas as pd
import pytest

from tests.measured import data
from tests.records import record
from training.groups import KINDS, memberships


def test_every_patient_is_in_one_group_of_each_kind() -> None:
    for kind in KINDS:
        rows = [row for k, _, found in memberships(data().records) if k == kind for row in found]
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


def test_the_groups_of_the_data_are_those_of_the_card() -> None:
    sizes = {name: len(rows) for _, name, rows in memberships(data().records)}
    assert [*sizes] == [
        *("21 to 30", "31 to 40", "41 to 50", "51 to 60", "over 60"),
        *("0 missing", "1 missing", "2 missing", "3 or more missing"),
    ]
    assert sizes["21 to 30"] == 417
