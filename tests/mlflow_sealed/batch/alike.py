"""Hold a table's rules to the record itself: both accept and refuse the same rows."""

import json
import math
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from mlflow_sealed.batch import rules
from mlflow_sealed.batch.rules import Rule, rules_of
from mlflow_sealed.server.protocol.errors import RequestError
from mlflow_sealed.server.protocol.media_types import JSON
from mlflow_sealed.server.protocol.reader import Reader

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
    st.sampled_from(["30.0", ".5", "3e1", "3E+01", "-0", "33.5", "9007199254740993"]),
    st.sampled_from(["", " 30", "30 ", "+30", "030", "30.", ".5e2", "1_0", "x", "\u0663\u0663"]),
    st.sampled_from(["NA", "NaN", "null", ".", "nan", "inf", "None"]),
    st.text(max_size=4),
)


def assert_alike(
    record: type[BaseModel], columns: dict[str, pa.Array], rows: list[dict[str, Any]]
) -> tuple[pd.DataFrame, list[BaseModel]]:
    """Check rows both ways, and return what is accepted: as a table, and one by one."""
    checked = rules.check(columns, rules_of(record), record)
    accepted, broken = one_by_one(record, rows)
    assert checked.broken == broken
    assert checked.accepted.sum() == len(accepted)
    table = checked.records[checked.accepted]
    expected = pd.DataFrame([each.model_dump() for each in accepted], columns=list(columns))
    np.testing.assert_array_equal(table, expected.astype(np.float64))
    return table, accepted


def assert_alike_to_the_server(
    record: type[BaseModel], columns: dict[str, pa.Array], rows: list[dict[str, Any]]
) -> tuple[pd.DataFrame, list[BaseModel]]:
    """Check rows in a batch and as requests, field by field; return what is accepted both ways."""
    checked = rules.check(columns, rules_of(record), record)
    reader = _reader(record)
    accepted: list[BaseModel] = []
    refused: set[tuple[int, str]] = set()
    for number, row in enumerate(rows):
        body = json.dumps({"inputs": [row]}).encode()
        try:
            accepted += reader.read(JSON, body).rows
        except RequestError as error:
            places = (each.split(":")[0] for each in str(error).split("; inputs."))
            refused |= {(number, place.split(".")[-1]) for place in places}
    assert {(each.row, each.field) for each in checked.broken} == refused
    table = checked.records[checked.accepted]
    expected = pd.DataFrame([each.model_dump() for each in accepted], columns=list(columns))
    np.testing.assert_array_equal(table, expected.astype(np.float64))
    return table, accepted


@cache
def _reader(record: type[BaseModel]) -> Reader:
    return Reader(record, max_rows=1)


def one_by_one(
    record: type[BaseModel], rows: list[dict[str, Any]]
) -> tuple[list[BaseModel], list[tuple[int, str, str]]]:
    """What a record makes of rows one by one: those accepted, and why the others are not."""
    accepted, broken = [], []
    for number, row in enumerate(rows):
        try:
            accepted.append(record.model_validate(row))
        except ValidationError as error:
            found = [(str(each["loc"][0]), each["msg"]) for each in error.errors()]
            null = [", not null" if row[name] is None else "" for name, _ in found]
            broken += [
                (number, name, f"{said}{end}")
                for (name, said), end in zip(found, null, strict=True)
            ]
    return accepted, broken


def columns(rows: list[dict[str, Any]], kind: pa.DataType) -> dict[str, pa.Array]:
    """Rows as the columns of a table."""
    return {name: pa.array([row[name] for row in rows], kind) for name in rows[0]}


def plausible(
    record: type[BaseModel], good: dict[str, Any], cells: st.SearchStrategy[Any], right: Any
) -> st.SearchStrategy[Any]:
    """Rows that are right but for two fields at most: one fault would hide another one."""
    base = {name: right(value) for name, value in good.items()}
    changes = st.one_of(
        [
            st.tuples(st.just(rule.name), st.one_of(st.sampled_from(edges(rule)).map(right), cells))
            for rule in rules_of(record)
        ]
    )
    row = st.lists(changes, max_size=2).map(lambda changed: {**base, **dict(changed)})
    return st.lists(row, min_size=1, max_size=8)


def edges(rule: Rule) -> list[float]:
    """The bounds of a field, and the numbers next to them."""
    bounds = (float(rule.low), float(rule.high))
    next_to = [math.nextafter(bound, way) for bound in bounds for way in (-math.inf, math.inf)]
    return [*bounds, *next_to, *(bound + step for bound in bounds for step in (-0.5, 0.5))]
