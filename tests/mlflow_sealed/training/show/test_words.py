"""What a reader calls things: the project's words, or the names with spaces."""

import pytest

from mlflow_sealed.training.show import words
from tests.measured import measured
from tests.mlflow_sealed.training.show.another import another

OURS, OTHER = measured().subject, another(3).subject


def test_a_feature_has_the_projects_word_or_its_name_with_spaces() -> None:
    assert words.feature_name(OURS, "bmi") == "BMI"
    assert words.feature_name(OURS, "blood_pressure") == "blood pressure"
    assert words.feature_names(OTHER) == ["monthly price", "visits", "months"]


@pytest.mark.parametrize(
    ("name", "unit"),
    [("monthly_price", "EUR"), ("visits", ""), ("months", ""), ("of_no_field", "")],
    ids=["a unit", "a count", "no unit", "no field of the record"],
)
def test_the_unit_is_the_records(name: str, unit: str) -> None:
    assert words.unit(OTHER, name) == unit


def test_a_kind_of_groups_has_the_projects_word_or_its_name_with_spaces() -> None:
    assert words.kind_name(OURS, "missing") == "missing measurements"
    assert words.kind_name(OTHER, "sales_channel") == "sales channel"


def test_the_record_has_no_gender() -> None:
    assert words.measured_on(measured()) == (
        "768 patients, each predicted by models trained without it (2 x 3 cross-validation)."
    )
    assert words.measured_on(another()).startswith("160 contracts, each predicted by")
