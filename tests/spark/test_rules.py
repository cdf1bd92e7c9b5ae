"""The rules of many rows at once: those of `Patient`, no more and no fewer."""

import math
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow_sealed.batch import rules
from mlflow_sealed.batch.rules import Rule, RuleError, rules_of
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from mypreprocessing import FEATURES, Patient, preprocess
from tests.records import record

SETTINGS = ConfigDict(allow_inf_nan=False)


def by_patient(rows: list[dict[str, Any]]) -> tuple[list[Patient], list[tuple[int, str, str]]]:
    """What `Patient` makes of rows one by one: those accepted, and why the others are not."""
    accepted, refusals = [], []
    for number, row in enumerate(rows):
        try:
            accepted.append(Patient.model_validate(row))
        except ValidationError as error:
            found = error.errors(include_input=False)
            refusals += [(number, str(each["loc"][0]), each["msg"]) for each in found]
    return accepted, refusals


def assert_alike(columns: dict[str, pa.Array], rows: list[dict[str, Any]]) -> None:
    checked = rules.check(columns, rules_of())
    accepted, refusals = by_patient(rows)
    assert checked.refusals == refusals
    assert checked.accepted.sum() == len(accepted)
    np.testing.assert_array_equal(
        preprocess(checked.records[checked.accepted]), preprocess(accepted)
    )


def edges(rule: Rule) -> list[float]:
    """The bounds of a field, and the numbers next to them."""
    bounds = (float(rule.low), float(rule.high))
    next_to = [math.nextafter(bound, way) for bound in bounds for way in (-math.inf, math.inf)]
    return [*bounds, *next_to, *(bound + step for bound in bounds for step in (-0.5, 0.5))]


NUMBERS = st.one_of(
    st.none(),
    st.sampled_from([math.inf, -math.inf, -0.0, 2.0**60]),
    st.integers(-1, 700).map(float),
    st.floats(-1, 2100),
)
TEXTS = st.one_of(
    st.none(),
    st.integers(-1, 700).map(str),
    st.floats(-1, 2100).map(str),
    st.sampled_from(
        ["", " 30", "30 ", "+30", "030", "30.0", "30.", ".5", "3e1", "1_0", "nan", "x"]
    ),
    st.text(max_size=4),
)


def plausible(cells: st.SearchStrategy[Any], right: Any) -> st.SearchStrategy[Any]:
    """Rows that are right but for two fields at most: one fault would hide another one."""
    base = {name: right(value) for name, value in record().items()}
    changes = st.one_of(
        [
            st.tuples(st.just(rule.name), st.one_of(st.sampled_from(edges(rule)).map(right), cells))
            for rule in rules_of()
        ]
    )
    row = st.lists(changes, max_size=2).map(lambda changed: {**base, **dict(changed)})
    return st.lists(row, min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(plausible(NUMBERS, float))
def test_patient_accepts_and_refuses_the_same_numbers(rows: list[dict[str, Any]]) -> None:
    columns = {name: pa.array([row[name] for row in rows], pa.float64()) for name in FEATURES}
    assert_alike(columns, rows)


@settings(max_examples=150, deadline=None)
@given(plausible(TEXTS, str))
def test_patient_accepts_and_refuses_the_same_texts(rows: list[dict[str, Any]]) -> None:
    columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in FEATURES}
    assert_alike(columns, rows)


@pytest.mark.parametrize("kind", [pa.int8(), pa.int64(), pa.uint16(), pa.float32()], ids=str)
def test_columns_may_be_of_any_type_of_number(kind: pa.DataType) -> None:
    rows = [
        dict.fromkeys(FEATURES, 30) | {"diabetes_pedigree": 1},
        dict.fromkeys(FEATURES, 3) | {"age": 121},
    ]
    columns = {name: pa.array([row[name] for row in rows], kind) for name in FEATURES}
    assert_alike(columns, rows)


def test_nan_is_null_as_it_is_where_pandas_wrote_it() -> None:
    rows = [record(insulin=math.nan), record(diabetes_pedigree=math.nan)]
    columns = {name: pa.array([row[name] for row in rows], pa.float64()) for name in FEATURES}
    checked = rules.check(columns, rules_of())
    assert checked.accepted.tolist() == [True, False]
    assert checked.refusals == [(1, "diabetes_pedigree", "Input should be a valid number")]


def test_no_refusal_has_a_value_in_it() -> None:
    columns = {name: pa.array(["sentinel-31337"], pa.string()) for name in FEATURES}
    found = rules.check(columns, rules_of()).refusals
    assert {each.field for each in found} == set(FEATURES)
    assert "31337" not in repr(found)


def test_bounds_may_be_open() -> None:
    class Open(BaseModel):
        model_config = SETTINGS
        age: float = Field(gt=0, lt=2)

    values = [0.0, math.nextafter(0, 1), math.nextafter(2, 0), 2.0]
    checked = rules.check({"age": pa.array(values)}, rules_of(Open), Open)
    assert checked.accepted.tolist() == [False, True, True, False]


class Doubled(BaseModel):
    model_config = SETTINGS
    age: Annotated[int, AfterValidator(lambda value: value * 2)]


class Stepped(BaseModel):
    model_config = SETTINGS
    age: int = Field(multiple_of=5)


class Worded(BaseModel):
    model_config = SETTINGS
    age: str


class Renamed(BaseModel):
    model_config = SETTINGS
    age: int = Field(validation_alias="years")


class Strict(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False, strict=True)
    age: int


class Infinite(BaseModel):
    age: float


class Validated(BaseModel):
    model_config = SETTINGS
    age: int

    @field_validator("age")
    @classmethod
    def odd(cls, value: int) -> int:
        return value


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (Doubled, "age: AfterValidator is a rule that is not known"),
        (Stepped, "age: MultipleOf is a rule that is not known"),
        (Worded, "age: expected a field that is int or float"),
        (Renamed, "age: expected a field that is int or float under its own name"),
        (Strict, r"Strict: has settings that are not known here: \['strict'\]"),
        (Infinite, "Infinite: has settings that are not known"),
        (Validated, "Validated: has field_validators"),
    ],
)
def test_a_rule_of_a_kind_that_is_not_known_is_an_error(kind: type[BaseModel], told: str) -> None:
    with pytest.raises(RuleError, match=told):
        rules_of(kind)
