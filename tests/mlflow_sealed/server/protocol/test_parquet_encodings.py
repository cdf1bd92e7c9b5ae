"""Parquet in every type, encoding and page version: read correctly, or rejected by its encoding."""

import io
import itertools
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlflow_sealed.server.protocol import parquet, parquet_encodings
from mlflow_sealed.server.protocol.errors import RequestError

DELTA: Final = "DELTA_BINARY_PACKED"
SPLIT: Final = "BYTE_STREAM_SPLIT"
WHOLE: Final = {
    kind: getattr(pa, kind)()
    for kind in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
}
KINDS: Final[dict[str, tuple[pa.DataType, tuple[str, ...]]]] = {
    **{kind: (found, ("PLAIN", "dictionary", DELTA, SPLIT)) for kind, found in WHOLE.items()},
    "float": (pa.float32(), ("PLAIN", "dictionary", SPLIT)),
    "double": (pa.float64(), ("PLAIN", "dictionary", SPLIT)),
    "decimal in INT32": (pa.decimal128(5, 1), ("PLAIN", "dictionary", DELTA, SPLIT)),
    "decimal in INT64": (pa.decimal128(12, 1), ("PLAIN", "dictionary", DELTA, SPLIT)),
    "decimal in bytes": (pa.decimal128(30, 1), ("PLAIN", "dictionary", "DELTA_BYTE_ARRAY")),
    "text": (
        pa.string(),
        ("PLAIN", "dictionary", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"),
    ),
    "boolean": (pa.bool_(), ("PLAIN", "RLE")),
}
READ: Final = {"PLAIN", "dictionary"}
PAGES: Final = ("1.0", "2.0")
SHAPES: Final[dict[str, tuple[int, dict[str, Any]]]] = {
    "one row": (1, {}),
    "few rows": (9, {}),
    "row groups": (300, {"row_group_size": 130}),
    "small pages": (130, {"data_page_size": 64, "write_batch_size": 16}),
    "pages of one row": (5, {"data_page_size": 1, "write_batch_size": 1}),
    "no statistics": (33, {"write_statistics": False, "compression": "snappy"}),
}
CODECS: Final = ("none", "snappy", "gzip", "zstd", "brotli", "lz4", "none")


def write(values: pa.Array, encoding: str = "PLAIN", *, nullable: bool = True, **how: Any) -> bytes:
    """Return a file of one column, x."""
    schema = pa.schema([pa.field("x", values.type, nullable=nullable)])
    chosen = {} if encoding == "dictionary" else {"column_encoding": {"x": encoding}}
    file = io.BytesIO()
    pq.write_table(
        pa.table([values], schema=schema),
        file,
        use_dictionary=encoding == "dictionary",
        store_decimal_as_integer=True,
        **chosen,
        **how,
    )
    return file.getvalue()


def read(body: bytes) -> list[Any]:
    return [row["x"] for row in parquet.read(body, ["x"], lambda *_: None)]


def outcome(body: bytes) -> list[Any] | str:
    """Return the numbers, or why they are rejected."""
    try:
        return read(body)
    except RequestError as error:
        return f"{error.status} {error}"


def numbers(kind: str, rows: int, nulls: str) -> list[Any]:
    chosen = random.Random(f"{kind} {rows} {nulls}")  # noqa: S311 # the same ones in each run
    drawn = [chosen.randrange(120) for _ in range(rows)]
    missing = {"some": 0.4, "all": 1.0}.get(nulls, 0.0)
    return [None if chosen.random() < missing else as_kind(value, kind) for value in drawn]


def as_kind(value: int, kind: str) -> Any:
    if kind == "text":
        return str(value)
    if kind == "boolean":
        return value % 2 == 0
    if kind.startswith("decimal"):
        return Decimal(value) / 10
    return value


def rounded(value: Any) -> Any:
    """Return what float32 makes of a decimal: in float64 it is a last bit off."""
    return np.float32(value) if isinstance(value, Decimal | float) else value


def files(kind: str, encoding: str, page: str) -> Iterator[tuple[str, list[Any], bytes]]:
    """Give a name, the values and the file, with and without nulls, in many shapes."""
    codecs = itertools.cycle(CODECS)
    for nulls in ("not nullable", "none", "some", "all"):
        for shape, (rows, how) in SHAPES.items():
            values = numbers(kind, rows, nulls)
            body = write(
                pa.array(values, type=KINDS[kind][0]),
                encoding,
                nullable=nulls != "not nullable",
                data_page_version=page,
                **{"compression": next(codecs), **how},
            )
            yield f"{shape}, {nulls}", values, body


@pytest.mark.parametrize("page", PAGES, ids="version {}".format)
@pytest.mark.parametrize(
    ("kind", "encoding"),
    [(kind, encoding) for kind, (_, known) in KINDS.items() for encoding in known],
)
def test_a_column_is_read_correctly_or_rejected_by_its_encoding(
    kind: str, encoding: str, page: str
) -> None:
    answered = 0
    named = "an empty RLE_DICTIONARY" if encoding == "dictionary" else encoding
    for name, values, body in files(kind, encoding, page):
        found = outcome(body)
        if isinstance(found, str):
            assert found.startswith(f"400 parquet: column 'x' has {named}, which is not read"), name
        else:
            answered += 1
            assert [*map(rounded, found)] == [*map(rounded, values)], name
    assert answered >= 20 or encoding not in READ


@pytest.mark.parametrize("page", PAGES, ids="version {}".format)
@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "uint8", "uint16", "uint32"])
def test_differences_that_are_certainly_small_are_read(kind: str, page: str) -> None:
    """The footer has the least and the greatest number, and says that there is no null."""
    values = numbers(kind, 300, "none")
    body = write(pa.array(values, type=WHOLE[kind]), DELTA, data_page_version=page)
    assert read(body) == values


@pytest.mark.parametrize(
    ("kind", "least", "most", "is_read"),
    [
        pytest.param("int32", -(2**26), 2**26 - 1, True, id="close"),
        pytest.param("int32", -(2**26), 2**26, False, id="too far apart"),
        pytest.param("int32", -(2**31), 2**31 - 1, False, id="all of INT32"),
        pytest.param("uint32", 2**32 - 9, 2**32 - 1, True, id="close, beyond INT32"),
        pytest.param("uint32", 5, 2**31 + 3, False, id="about the end of INT32"),
        pytest.param("uint32", 0, 2**32 - 1, False, id="all of unsigned INT32"),
        pytest.param("int64", 0, 1, False, id="INT64"),
    ],
)
@pytest.mark.parametrize("page", PAGES, ids="version {}".format)
def test_differences_that_may_be_large_are_rejected(
    kind: str, least: int, most: int, page: str, *, is_read: bool
) -> None:
    values = [least, most] * 200
    body = write(pa.array(values, type=WHOLE[kind]), DELTA, data_page_version=page)
    if is_read:
        assert read(body) == values
    else:
        with pytest.raises(
            RequestError, match=f"column 'x' has {DELTA}, which is not read; expected "
        ):
            read(body)


@pytest.mark.parametrize("page", PAGES, ids="version {}".format)
@pytest.mark.parametrize("nulls", ["none", "some"])
@pytest.mark.parametrize("kind", ["int64", "double", "text"])
def test_a_category_of_pandas_is_read_as_what_it_stands_for(
    kind: str, nulls: str, page: str
) -> None:
    for rows, row_group_size in itertools.product((1, 9, 130, 1000), (7, None)):
        values = numbers(kind, rows, nulls)
        frame = pd.DataFrame({"x": pd.Series(values, dtype="category")})
        file = io.BytesIO()
        pq.write_table(
            pa.Table.from_pandas(frame),
            file,
            data_page_version=page,
            row_group_size=row_group_size,
        )
        assert read(file.getvalue()) == values


@pytest.mark.filterwarnings("ignore:The 'fastparquet' engine:pandas.errors.Pandas4Warning")
def test_a_null_of_a_category_that_fastparquet_wrote_is_null() -> None:
    """It says in the file that there is none, and writes a code of -1."""
    values = ["a", None, "b"] * 20
    frame = pd.DataFrame({"x": pd.Series(values, dtype="category")})
    kept = io.BytesIO()
    kept.close = lambda: None  # type: ignore[method-assign]
    frame.to_parquet(kept, engine="fastparquet", has_nulls=False)
    assert read(kept.getvalue()) == values


@pytest.mark.parametrize("encoding", ["PLAIN", "dictionary", DELTA])
@pytest.mark.parametrize("page", PAGES, ids="version {}".format)
def test_pandas_own_name_for_a_type_does_not_count(encoding: str, page: str) -> None:
    """Int64, and 32 bits in the file: what becomes of a table that was cast."""
    values = numbers("int32", 200, "none")
    known = pa.Table.from_pandas(pd.DataFrame({"x": pd.Series(values, dtype="Int64")})).schema
    cast = pa.schema([pa.field("x", pa.int32())], metadata=known.metadata)
    how = {"column_encoding": {"x": encoding}} if encoding != "dictionary" else {}
    file = io.BytesIO()
    pq.write_table(
        pa.table([pa.array(values, type=pa.int32())], schema=cast),
        file,
        use_dictionary=encoding == "dictionary",
        data_page_version=page,
        **how,
    )
    assert read(file.getvalue()) == values


@pytest.mark.parametrize(
    ("values", "encoding", "how"),
    [
        pytest.param(
            pa.array([0, 0, 168, 0, 0, 0, 0, 0]), DELTA, {"data_page_version": "2.0"}, id="INT64"
        ),
        pytest.param(pa.array([0, 2**31 - 1] * 4, pa.int32()), DELTA, {}, id="large differences"),
        pytest.param(pa.array([True] * 8), "RLE", {}, id="booleans"),
        pytest.param(
            pa.array([1, 2, None]),
            "PLAIN",
            {"data_page_version": "2.0", "data_page_size": 1, "write_batch_size": 1},
            id="a null alone in a page",
        ),
    ],
)
def test_without_the_footers_answer_the_numbers_are_wrong(
    monkeypatch: pytest.MonkeyPatch, values: pa.Array, encoding: str, how: dict[str, Any]
) -> None:
    """The control of the tests above: where this fails, fastparquet was mended."""

    def unchecked(file: Any, names: list[str]) -> list[parquet_encodings.Column]:
        return [parquet_encodings.Column(name, file.dtypes[name], None) for name in names]

    monkeypatch.setattr("mlflow_sealed.server.protocol.parquet_encodings.columns", unchecked)
    found = read(write(values, encoding, **how))
    assert found != values.to_pylist()


def test_columns_that_are_not_asked_for_are_not_looked_at() -> None:
    """As the index of pandas, which is not read."""
    index = pd.Index(np.arange(9), name="shoe")
    frame = pd.DataFrame({"x": np.arange(9.0)}, index=index)
    file = io.BytesIO()
    pq.write_table(
        pa.Table.from_pandas(frame), file, use_dictionary=False, column_encoding={"shoe": DELTA}
    )
    assert read(file.getvalue()) == list(range(9))
