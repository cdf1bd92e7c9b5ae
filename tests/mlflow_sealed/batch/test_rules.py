"""The rules of many rows at once: those of the record, no more and no fewer."""

import math
from typing import Annotated, Any, Literal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from mlflow_sealed.batch import rules
from mlflow_sealed.batch.rules import RuleError, rules_of
from mlflow_sealed.server.protocol import number_spelling
from tests.mlflow_sealed.batch.alike import (
    NUMBERS,
    TEXTS,
    assert_alike,
    assert_alike_to_the_server,
    columns,
    one_by_one,
    plausible,
)
from tests.mlflow_sealed.batch.reading import FEATURES, Reading, reading

SETTINGS = ConfigDict(allow_inf_nan=False)


@settings(max_examples=150, deadline=None)
@given(plausible(Reading, reading(), NUMBERS, float))
def test_a_record_accepts_and_refuses_the_same_numbers(rows: list[dict[str, Any]]) -> None:
    assert_alike(Reading, columns(rows, pa.float64()), rows)


@settings(max_examples=150, deadline=None)
@given(plausible(Reading, reading(), TEXTS, str))
def test_the_server_accepts_and_refuses_the_same_texts(rows: list[dict[str, Any]]) -> None:
    assert_alike_to_the_server(Reading, columns(rows, pa.string()), rows)


def test_control_pydantic_alone_reads_more_texts_as_numbers() -> None:
    assert Reading.model_validate(reading(share="+0_1")).share == 1
    checked = rules.check(_texts(share="+0_1"), rules_of(Reading), Reading)
    assert not checked.accepted.any()


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("share", "2_5", "Input should be a valid number, unable to parse string as a number"),
        ("months", "33.5", "Input should be a valid integer, got a number with a fractional part"),
        ("months", "NA", "Input should be a valid integer, not null"),
        ("share", "", "Input should be a valid number, not null"),
    ],
)
def test_a_text_that_is_refused_is_refused_in_the_records_words(
    field: str, text: str, said: str
) -> None:
    found = rules.check(_texts(**{field: text}), rules_of(Reading), Reading).broken
    assert found == [(0, field, said)]


def test_missing_texts_are_null_without_a_look_at_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reading, "model_validate", None)
    for text in number_spelling.MISSING:
        checked = rules.check(_texts(level=text), rules_of(Reading), Reading)
        assert checked.accepted.all()
        assert math.isnan(checked.records["level"][0])


def _texts(**changes: str) -> dict[str, pa.Array]:
    row = {name: str(value) for name, value in reading(**changes).items()}
    return columns([row], pa.string())


@pytest.mark.parametrize("kind", [pa.int8(), pa.int64(), pa.uint16(), pa.float32()], ids=str)
def test_columns_may_be_of_any_type_of_number(kind: pa.DataType) -> None:
    rows = [
        dict.fromkeys(FEATURES, 25) | {"share": 1},
        dict.fromkeys(FEATURES, 3) | {"months": 121},
    ]
    accepted, _ = assert_alike(Reading, columns(rows, kind), rows)
    assert len(accepted) == 1


def test_nan_is_null_as_it_is_where_pandas_wrote_it() -> None:
    rows = [reading(level=math.nan), reading(share=math.nan)]
    checked = rules.check(columns(rows, pa.float64()), rules_of(Reading), Reading)
    assert checked.accepted.tolist() == [True, False]
    assert checked.broken == [(1, "share", "Input should be a valid number, not null")]


def test_no_broken_rule_has_a_value_in_it() -> None:
    rows = [dict.fromkeys(FEATURES, "sentinel-31337")]
    found = rules.check(columns(rows, pa.string()), rules_of(Reading), Reading).broken
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
        if value % 2 == 0:
            raise ValueError("expected an odd number")
        return value


class Named(BaseModel):
    model_config = SETTINGS
    age: int
    site: Literal["left", "right"] | None
    smokes: bool


ROWS_OF_ANY_KIND: list[tuple[type[BaseModel], list[dict[str, Any]]]] = [
    (Doubled, [{"age": 3}]),
    (Stepped, [{"age": 5}, {"age": 6}]),
    (Worded, [{"age": "x"}, {"age": None}]),
    (Strict, [{"age": 5}]),
    (Infinite, [{"age": 5.5}]),
    (Validated, [{"age": 3}, {"age": 4}]),
    (
        Named,
        [{"age": 3, "site": "left", "smokes": True}, {"age": 3, "site": "up", "smokes": False}],
    ),
]


@pytest.mark.parametrize(
    ("kind", "rows"), ROWS_OF_ANY_KIND, ids=[kind.__name__ for kind, _ in ROWS_OF_ANY_KIND]
)
def test_a_record_with_rules_of_any_kind_decides_itself(
    kind: type[BaseModel], rows: list[dict[str, Any]]
) -> None:
    table = {name: pa.array([row[name] for row in rows]) for name in rows[0]}
    checked = rules.check(table, rules_of(kind), kind)
    accepted, broken = one_by_one(kind, rows)
    assert checked.broken == broken
    expected = [each.model_dump() for each in accepted]
    assert checked.records[checked.accepted].to_dict("records") == expected


def test_a_field_with_an_alias_is_no_column() -> None:
    with pytest.raises(RuleError, match="age: expected a field under its own name, got an alias"):
        rules_of(Renamed)
