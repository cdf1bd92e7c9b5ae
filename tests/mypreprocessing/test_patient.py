"""The record of one patient: what it takes, what it refuses, and what it never says."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from mypreprocessing import FEATURES, MEASUREMENTS, Patient
from tests.records import ROOT_EXAMPLE, record

OTHERS = tuple(name for name in FEATURES if name not in MEASUREMENTS)
SECRET = 543.21


def test_the_features_are_the_contracts_in_its_order() -> None:
    assert FEATURES == (
        "pregnancies",
        "glucose",
        "blood_pressure",
        "skin_thickness",
        "insulin",
        "bmi",
        "diabetes_pedigree",
        "age",
    )
    assert MEASUREMENTS == ("glucose", "blood_pressure", "skin_thickness", "insulin", "bmi")


@pytest.mark.parametrize("name", FEATURES)
def test_every_field_has_a_unit_a_range_an_example_and_a_description(name: str) -> None:
    schema = Patient.model_json_schema()["properties"][name]
    limits = next(part for part in [schema, *schema.get("anyOf", [])] if "maximum" in part)
    assert schema["unit"]
    assert schema["description"]
    assert limits["minimum"] <= schema["examples"][0] <= limits["maximum"]


def test_the_examples_on_the_fields_are_the_example_request() -> None:
    fields = Patient.model_json_schema()["properties"]
    assert {name: field["examples"][0] for name, field in fields.items()} == ROOT_EXAMPLE


@pytest.mark.parametrize("name", FEATURES)
def test_a_missing_field_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=f"{name}\n  Field required"):
        Patient.model_validate({key: value for key, value in record().items() if key != name})


def test_the_json_schema_requires_every_field() -> None:
    assert Patient.model_json_schema()["required"] == list(FEATURES)


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_a_measurement_may_be_null(name: str) -> None:
    assert getattr(Patient.model_validate(record(**{name: None})), name) is None


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_but_a_measurement_may_be_null(name: str) -> None:
    with pytest.raises(ValidationError, match=f"{name}\n  Input should be a valid"):
        Patient.model_validate(record(**{name: None}))


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="shoe_size\n  Extra inputs are not permitted"):
        Patient.model_validate(record(shoe_size=44))


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_infinities_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValidationError, match=f"{name}\n  Input should be a finite number"):
        Patient.model_validate(record(**{name: value}))


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("value", [-1, 10_000])
def test_negative_and_absurd_values_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValidationError, match=f"{name}\n  Input should be (less|greater) than"):
        Patient.model_validate(record(**{name: value}))


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("value", ["high", True, [1], {"value": 1}])
def test_what_is_not_a_number_is_refused_in_strict_mode(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=f"{name}\n  Input should be a valid"):
        Patient.model_validate(record(**{name: value}), strict=True)


def test_a_record_cannot_be_changed_and_the_refusal_shows_no_value() -> None:
    patient = Patient.model_validate(record())
    with pytest.raises(TypeError, match="a Patient cannot be changed: .* another age") as error:
        patient.age = 54
    assert "54" not in str(error.value)
    assert patient.model_copy(update={"age": 54}).age == 54
    assert hash(patient) == hash(Patient.model_validate(record()))


@pytest.mark.parametrize(
    "fault",
    [pytest.param({name: SECRET * 1000}, id=f"{name} out of range") for name in FEATURES]
    + [pytest.param({name: f"secret {SECRET}"}, id=f"{name} as text") for name in FEATURES]
    + [
        pytest.param({"note": f"secret {SECRET}"}, id="unknown field"),
        pytest.param({"age": [SECRET]}, id="list"),
    ],
)
def test_no_error_shows_a_value(fault: dict[str, Any]) -> None:
    bad = record(**fault)
    with pytest.raises(ValidationError) as error:
        Patient(**bad)
    assert "543" not in str(error.value)
    assert "543" not in repr(error.value)
    with pytest.raises(ValidationError) as error:
        Patient.model_validate_json(json.dumps(bad))
    assert "543" not in str(error.value)


def test_an_adapter_without_the_setting_does_show_values() -> None:
    """The control: the docstring's warning is needed, and the search above can find a value."""
    with pytest.raises(ValidationError) as error:
        TypeAdapter(list[Patient]).validate_python([record(age=543)])
    assert "543" in str(error.value)
