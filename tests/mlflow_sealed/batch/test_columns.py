"""Files of one table that differ: what can be cast without loss is, and the rest is named."""

import re
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from mlflow_sealed.batch import columns
from mlflow_sealed.batch.inputs import InputError

TOGETHER = {
    "nullability": (pa.field("x", pa.int64(), nullable=False), pa.int64(), pa.int64()),
    "whole numbers": (pa.int8(), pa.int32(), pa.int32()),
    "signs": (pa.uint32(), pa.int32(), pa.int64()),
    "int and double": (pa.int64(), pa.float64(), pa.float64()),
    "floats": (pa.float32(), pa.float64(), pa.float64()),
    "nulls alone": (pa.null(), pa.string(), pa.string()),
    "a category": (pa.dictionary(pa.int32(), pa.string()), pa.string(), pa.string()),
    "views": (pa.string_view(), pa.string(), pa.string()),
    "long text": (pa.string(), pa.large_string(), pa.large_string()),
    "decimals": (pa.decimal128(5, 1), pa.decimal128(7, 3), pa.decimal128(7, 3)),
    "a short decimal and double": (pa.decimal128(5, 1), pa.float64(), pa.float64()),
    "lists": (pa.list_(pa.int32()), pa.list_(pa.int64()), pa.list_(pa.int64())),
}


def schema(kind: Any) -> pa.Schema:
    return pa.schema([kind if isinstance(kind, pa.Field) else pa.field("x", kind)])


@pytest.mark.parametrize(("one", "other", "both"), TOGETHER.values(), ids=TOGETHER)
def test_a_type_holds_the_values_of_both(one: Any, other: Any, both: Any) -> None:
    for first, second in ((one, other), (other, one)):
        found = columns.unified([("a", schema(first)), ("b", schema(second))])
        assert found.field("x").type == both


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.int64(), pa.string()),
        (pa.bool_(), pa.int8()),
        (pa.date32(), pa.int32()),
        (pa.decimal128(20, 2), pa.float64()),
        (pa.timestamp("us", "UTC"), pa.timestamp("us")),
    ],
)
def test_types_that_lose_something_are_both_named(one: Any, other: Any) -> None:
    told = re.escape(f"b: column 'x' is {other}, and {one} in a: expected types of which one holds")
    with pytest.raises(InputError, match=told):
        columns.unified([("a", schema(one)), ("b", schema(other))])


def batch(**given: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(given)


def test_rows_get_the_columns_of_the_table_by_name() -> None:
    wanted = pa.schema([("a", pa.float64()), ("b", pa.string()), ("site", pa.int64())])
    text = pa.array(["x"]).dictionary_encode()
    found = columns.cast(batch(b=text, a=[1]), wanted, {"site": "7"}, path="p")
    assert found.schema == wanted
    assert found.to_pylist() == [{"a": 1.0, "b": "x", "site": 7}]
    found = columns.cast(batch(a=[1]), wanted, {"site": None}, path="p")
    assert found.to_pylist() == [{"a": 1.0, "b": None, "site": None}]


def test_a_value_that_does_not_fit_names_the_column_and_shows_nothing() -> None:
    given = batch(x=[2**53 + 1])
    with pytest.raises(
        InputError, match="^p: column 'x' is int64, and has values that double, "
    ) as e:
        columns.cast(given, pa.schema([("x", pa.float64())]), {}, path="p")
    assert str(2**53) not in str(e.value)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.dictionary(pa.int8(), pa.string()), ["a", None]),
        (pa.string_view(), ["a", None]),
        (pa.decimal128(5, 2), [Decimal("1.50"), None]),
        (pa.null(), [None, None]),
        (pa.list_(pa.string_view()), [["a"], None]),
        (pa.struct([("y", pa.string_view())]), [{"y": "a"}, None]),
        (pa.timestamp("us", "UTC"), [None, None]),
    ],
    ids=str,
)
def test_what_is_kept_can_be_written_and_has_the_same_values(kind: Any, values: list[Any]) -> None:
    given = batch(x=pa.array(values, kind))
    found = columns.cast(given, columns.unified([("a", given.schema)]), {}, path="a")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, found.schema) as writer:
        writer.write_batch(found)
    assert found["x"].to_pylist() == values


def test_columns_of_folders_have_the_type_of_all_their_values() -> None:
    found = columns.of_folders("/d", ["/d/site=1/a", "/d/site=x/b", "/d/year=2026/c"])
    assert [(each.name, each.type) for each in found] == [
        ("site", pa.string()),
        ("year", pa.int64()),
    ]
