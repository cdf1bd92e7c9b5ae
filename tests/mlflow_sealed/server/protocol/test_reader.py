"""One rule for numbers in every format, and what a client with another habit is told."""

import csv
import io
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel

from mlflow_sealed.server.protocol.errors import RequestError
from mlflow_sealed.server.protocol.media_types import CSV, JSON, PARQUET, parse_media_type
from mlflow_sealed.server.protocol.number_spelling import MISSING, read
from mlflow_sealed.server.protocol.reader import Reader
from tests.mlflow_sealed.batch.reading import FEATURES, Reading, reading

FIELDS: Final = "['inputs', 'instances', 'dataframe_records', 'dataframe_split']"
READER: Final = Reader(Reading, max_rows=9)
TEXTS: Final = {name: str(value) for name, value in reading().items()}


class Free(BaseModel):
    """A row without bounds, and with pydantic's own settings."""

    share: float
    level: float | None = None
    count: int | None = None


def as_inputs(row: Mapping[str, Any]) -> tuple[str, bytes]:
    return JSON, json.dumps({"inputs": [row]}).encode()


def as_split(row: Mapping[str, Any]) -> tuple[str, bytes]:
    split = {"columns": list(row), "data": [list(row.values())]}
    return JSON, json.dumps({"dataframe_split": split}).encode()


def as_csv(row: Mapping[str, Any]) -> tuple[str, bytes]:
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL)
    writer.writerows([row, row.values()])
    return CSV, file.getvalue().encode()


def as_parquet(row: Mapping[str, Any]) -> tuple[str, bytes]:
    file = io.BytesIO()
    pq.write_table(pa.table({name: pa.array([value]) for name, value in row.items()}), file)
    return PARQUET, file.getvalue()


Door = Callable[[Mapping[str, Any]], tuple[str, bytes]]
DOORS: Final[tuple[Door, ...]] = (as_inputs, as_split, as_csv, as_parquet)
each_door: Final = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)


def said(door: Door, row: Mapping[str, Any], reader: Reader = READER) -> str:
    """Return what is wrong with a row, without the name of the format."""
    with pytest.raises(RequestError) as caught:
        reader.read(*door(row))
    assert caught.value.status == 400
    return str(caught.value).partition(".0.")[2]


@each_door
@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("121", 121),
        ("34.3", 34.3),
        ("5e-05", 5e-05),
        (".5", 0.5),
        ("1e+02", 100),
        ("1.2E2", 120),
        ("0", 0),
        ("-0", 0),
        ("0.50000000000000000000", 0.5),
    ],
)
def test_a_number_is_text_as_others_write_it(door: Door, text: str, number: float) -> None:
    [row] = READER.read(*door({**TEXTS, "level": text})).rows
    assert row == Reading(**reading(level=number))


@each_door
@pytest.mark.parametrize(
    "text",
    [
        "2_5",
        "+33",
        ".5e2",
        "1.",
        "007",
        "0x10",
        " 33",
        "33 ",
        "33\n",
        "1,5",
        "1e",
        "-",
        "1e1000",
        "nan",
        "na",
        "NULL",
        "None",
        "N/A",
        "-NaN",
        "inf",
        "Infinity",
        "true",
        "٣٣",
    ],
)
def test_other_text_is_no_number(door: Door, text: str) -> None:
    looks = "in text it looks like 121, -0.5, .5 or 5e-05"
    found = said(door, {**TEXTS, "level": text})
    assert found == f"level: must be a number from 0 to 600 ({looks})"
    found = said(door, {**TEXTS, "months": text})
    assert found == f"months: must be a whole number from 21 to 120 ({looks})"


@each_door
@pytest.mark.parametrize("text", MISSING, ids=repr)
def test_missing_is_null_where_null_may_be(door: Door, text: str) -> None:
    [row] = READER.read(*door({**TEXTS, "level": text})).rows
    assert row == Reading(**reading(level=None))
    for name in ("share", "months"):
        assert said(door, {**TEXTS, name: text}) == f"{name}: must be a number, not null"


@pytest.mark.parametrize("door", [as_inputs, as_split, as_parquet], ids=lambda door: door.__name__)
@pytest.mark.parametrize("value", [math.nan, None], ids=["NaN", "null"])
def test_nan_and_null_are_missing(door: Door, value: Any) -> None:
    [row] = READER.read(*door(reading(level=value))).rows
    assert row == Reading(**reading(level=None))
    for name in ("share", "months"):
        assert said(door, reading(**{name: value})) == f"{name}: must be a number, not null"


@each_door
@pytest.mark.parametrize("text", ["33", "33.0", "33.000", "3.3e1"])
def test_a_whole_number_may_have_a_fraction_of_zeros(door: Door, text: str) -> None:
    [row] = READER.read(*door({**TEXTS, "months": text})).rows
    assert row.months == 33
    assert type(row.months) is int


@each_door
def test_a_fraction_for_a_whole_number_is_told(door: Door) -> None:
    assert said(door, {**TEXTS, "months": "33.5"}) == "months: must be a whole number"
    if door is not as_csv:
        assert said(door, reading(months=33.5)) == "months: must be a whole number"


@each_door
def test_the_bounds_are_those_of_numbers(door: Door) -> None:
    for text, told in (("601", "at most 600"), ("-0.5", "at least 0"), ("1e3", "at most 600")):
        assert said(door, {**TEXTS, "level": text}) == f"level: must be {told}"


def test_control_pydantic_alone_reads_other_text_too() -> None:
    assert Reading.model_validate({**TEXTS, "level": "2_5"}).level == 25
    assert Reading.model_validate({**TEXTS, "level": "+33"}).level == 33


def test_a_type_that_allows_nan_has_the_same_rule_and_keeps_its_infinities() -> None:
    reader = Reader(Free, max_rows=9)
    row = {"share": math.inf, "level": math.nan, "count": math.nan}
    assert reader.read(*as_inputs(row)).rows == [Free(share=math.inf)]
    assert said(as_inputs, {"share": math.nan}, reader) == "share: must be a number, not null"


def test_digits_alone_are_not_rounded() -> None:
    reader = Reader(Free, max_rows=9)
    [row] = reader.read(*as_inputs({"share": 1, "count": "9007199254740993"})).rows
    assert row.count == 9007199254740993 == read("9007199254740993", whole=True)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([reading()], f"the body must be an object; expected exactly one of the fields {FIELDS}"),
        (1, f"the body must be an object; expected exactly one of the fields {FIELDS}"),
        (
            {"columns": list(FEATURES), "data": [[1]]},
            (
                f"expected exactly one of the fields {FIELDS}, got columns and data: put them in "
                "dataframe_split"
            ),
        ),
        (
            {"columns": list(FEATURES), "index": [0], "data": [[1]]},
            (
                f"expected exactly one of the fields {FIELDS}, got columns and data: put them in "
                "dataframe_split"
            ),
        ),
        *(
            (
                content,
                f"expected exactly one of the fields {FIELDS}, and params; got 1 that is not known",
            )
            for content in (
                {"input_data": [reading()]},
                {"data": [reading()]},
                {"index": 1},
                {"level": 1},
                {"inputs": [reading()], "columns": []},
                {"inputs": [reading(level=601)], "signature_name": ""},
            )
        ),
        ({}, f"expected exactly one of the fields {FIELDS}, got []"),
        ({"params": {}}, f"expected exactly one of the fields {FIELDS}, got []"),
        (
            {"inputs": [], "instances": []},
            f"expected exactly one of the fields {FIELDS}, got ['inputs', 'instances']",
        ),
        ({"inputs": [reading(data=1)]}, "inputs.0: has a field that is not known"),
        ({"inputs": [reading(inputs=1)]}, "inputs.0: has a field that is not known"),
        (
            {"dataframe_split": {"columns": [], "data": [], "inputs": 1}},
            "dataframe_split: has a field that is not known",
        ),
    ],
    ids=str,
)
def test_another_envelope_is_told_the_right_one(content: Any, told: str) -> None:
    with pytest.raises(RequestError) as caught:
        READER.read(JSON, json.dumps(content).encode())
    assert (caught.value.status, str(caught.value)) == (400, told)


@pytest.mark.parametrize("index", [None, [], [0], ["a"]], ids=str)
def test_the_index_of_a_split_is_not_looked_at(index: Any) -> None:
    split = {"columns": list(FEATURES), "data": [list(reading().values())], "index": index}
    body = json.dumps({"dataframe_split": split}).encode()
    assert READER.read(JSON, body).rows == [Reading(**reading())]


LINE: Final = ",".join(map(str, reading().values()))
NAMES: Final = ",".join(FEATURES)
QUOTED: Final = ",".join(f'"{name}"' for name in FEATURES)
ROW_NAMES: Final = "write no row names (R: row.names = FALSE, pandas: index=False)"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        *(
            (
                f"{names}\n{LINE}\n".replace(",", separator),
                f"csv: the cells are separated by {name}, expected commas",
            )
            for separator, name in (
                (";", "semicolons"),
                ("\t", "tabs"),
                ("|", "bars"),
                (" ", "spaces"),
            )
            for names in (NAMES, QUOTED, f"id,{NAMES}", "\ufeff" + NAMES)
        ),
        (
            f"{NAMES}\r\n{LINE}".replace(",", ";").replace(".", ","),
            "csv: the cells are separated by semicolons, expected commas, and points in numbers",
        ),
        (f'"",{QUOTED}\n"1",{LINE}\n', f"csv: column 1 has row names; {ROW_NAMES}"),
        (f",{NAMES}\n0,{LINE}\n", f"csv: column 1 has row names; {ROW_NAMES}"),
        (f"Unnamed: 0,{NAMES}\n0,{LINE}\n", f"csv: column 1 has row names; {ROW_NAMES}"),
        (f'{QUOTED}\n"1",{LINE}\n', f"csv line 2: has 6 cells, expected 5; {ROW_NAMES}, and"),
        (
            f"{NAMES}\n{LINE}\n".replace(",", ", "),
            "csv: there are spaces next to commas, expected none in names and numbers",
        ),
        (f"{NAMES}\n{LINE},1,2\n", "csv line 2: has 7 cells, expected 5"),
        (f"id,{NAMES}\n7,{LINE}\n", "csv: columns 1 that are not known; expected"),
        ("a;b;c\n1;2;3\n", "csv: columns 1 that are not known; expected"),
        (",\n", "csv: columns 2 that are not known; expected"),
    ],
)
def test_a_table_of_another_habit_is_told(body: str, told: str) -> None:
    with pytest.raises(RequestError) as caught:
        READER.read(CSV, body.encode())
    assert caught.value.status == 400
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    "header",
    [
        "text/csv; header=present",
        'text/csv;header="present"',
        "text/csv; charset=us-ascii",
        "TEXT/CSV; Charset=US-ASCII; Header=Present",
        "text/csv; charset=utf-8;\theader=present",
    ],
)
def test_a_content_type_may_say_what_holds_anyway(header: str) -> None:
    assert parse_media_type(header.encode()) == CSV


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("text/csv; header=absent", "a line of names: header=present"),
        ("application/json; header=present", "no parameter but charset=utf-8 or us-ascii"),
        ("application/json; charset=latin-1", "no parameter but charset=utf-8 or us-ascii"),
    ],
)
def test_a_content_type_that_says_something_else_gets_a_415(header: str, told: str) -> None:
    with pytest.raises(RequestError, match=told) as caught:
        parse_media_type(header.encode())
    assert caught.value.status == 415
