"""The same held-out rows in every format, and through Python's `predict`: the same answers."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import mlflow.pyfunc
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arro3.io import write_parquet

from mypreprocessing import FEATURES, MEASUREMENTS
from tests.environ import ROOT
from tests.mlflow_sealed.server.running import CSV, JSON, PARQUET, Running, predictions
from tests.records import record
from training.dataset import read
from training.options import DATA

HELD_OUT: Final = 200
WHOLE: Final = ("pregnancies", "age")
DECIMALS: Final = {"bmi": pa.decimal128(5, 1), "diabetes_pedigree": pa.decimal128(20, 3)}


def held_out() -> list[dict[str, Any]]:
    """Rows as a client has them: numbers, and null where nothing was measured."""
    frame = read(ROOT / DATA).records.tail(HELD_OUT)
    rows: list[Any] = frame.to_dict(orient="records")
    for row in rows:
        for name, value in row.items():
            if name in WHOLE:
                row[name] = int(value)
            elif name in MEASUREMENTS and (value == 0 or pd.isna(value)):
                row[name] = None
    return rows


ROWS: Final = held_out()


def frame() -> pd.DataFrame:
    """The rows as pandas has them: NaN for null, whole numbers as int64."""
    return pd.DataFrame(ROWS).astype(dict.fromkeys(WHOLE, "int64"))


def as_texts(row: dict[str, Any]) -> dict[str, str | None]:
    return {name: None if value is None else str(value) for name, value in row.items()}


def split(names: list[str]) -> bytes:
    data = [[row[name] for name in names] for row in ROWS]
    return json.dumps({"dataframe_split": {"columns": names, "data": data}}).encode()


def column(name: str, kind: pa.DataType) -> pa.Array:
    values = [row[name] for row in ROWS]
    if pa.types.is_decimal(kind):
        values = [Decimal(str(value)) if value is not None else None for value in values]
    return pa.array(values, type=kind)


def table(*, types: dict[str, pa.DataType] | None = None, names: Any = FEATURES) -> pa.Table:
    chosen = {**dict.fromkeys(FEATURES, pa.float64()), **dict.fromkeys(WHOLE, pa.int64())}
    chosen.update(types or {})
    return pa.table({name: column(name, chosen[name]) for name in names})


def parquet(content: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(content, file, **options)
    return file.getvalue()


def as_csv(**options: Any) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, FEATURES, **options)
    writer.writeheader()
    writer.writerows(ROWS)
    return file.getvalue().encode()


def by_arro3() -> bytes:
    """INT64 as differences in version 2 pages: fastparquet 2026.9.0 read other numbers."""
    file = io.BytesIO()
    content = table(types={"insulin": pa.int64(), "pregnancies": pa.int32(), "age": pa.int32()})
    write_parquet(content, file, writer_version="parquet_2_0", dictionary_enabled=False)
    return file.getvalue()


def from_pandas(*, index: pd.Index) -> bytes:
    content: bytes = frame().set_index(index).to_parquet(engine="pyarrow")
    return content


def with_categories(version: str) -> bytes:
    found = frame().astype({"age": "category", "bmi": "category"})
    content: bytes = found.to_parquet(engine="pyarrow", data_page_version=version)
    return content


WRITTEN: Final[dict[str, tuple[str, Callable[[], bytes]]]] = {
    **{
        form: (JSON, lambda form=form: json.dumps({form: ROWS}).encode())  # type: ignore[misc]
        for form in ("instances", "dataframe_records")
    },
    "numbers as text": (JSON, lambda: json.dumps({"inputs": [*map(as_texts, ROWS)]}).encode()),
    "split": (JSON, lambda: split(list(FEATURES))),
    "split, columns in another order": (JSON, lambda: split(sorted(FEATURES))),
    "records, fields in another order": (
        JSON,
        lambda: json.dumps({"dataframe_records": ROWS}, sort_keys=True).encode(),
    ),
    "CSV": (CSV, lambda: as_csv(lineterminator="\n")),
    "CSV with a charset": (f"{CSV}; charset=utf-8", lambda: as_csv(lineterminator="\n")),
    "CSV as Excel writes it": (CSV, lambda: b"\xef\xbb\xbf" + as_csv(dialect="excel")),
    "CSV with quotes": (CSV, lambda: as_csv(quoting=csv.QUOTE_ALL)),
    "CSV of pandas": (CSV, lambda: frame().to_csv(index=False).encode()),
    "CSV, columns in another order": (
        CSV,
        lambda: frame()[sorted(FEATURES)].to_csv(index=False).encode(),
    ),
    "CSV without a line's end": (CSV, lambda: as_csv().rstrip()),
    "CSV with empty lines": (CSV, lambda: as_csv().replace(b"\r\n", b"\r\n\r\n")),
    **{
        f"Parquet, {compression}": (
            PARQUET,
            lambda compression=compression: parquet(table(), compression=compression),  # type: ignore[misc]
        )
        for compression in ("none", "snappy", "gzip", "zstd", "brotli", "lz4")
    },
    "Parquet, float32 and small ints": (
        PARQUET,
        lambda: parquet(table(types={"age": pa.int16(), "pregnancies": pa.int8()})),
    ),
    "Parquet, whole numbers as floats": (
        PARQUET,
        lambda: parquet(table(types=dict.fromkeys(WHOLE, pa.float64()))),
    ),
    "Parquet, measurements as nullable ints": (
        PARQUET,
        lambda: parquet(table(types={"blood_pressure": pa.int64(), "glucose": pa.int64()})),
    ),
    "Parquet, columns in another order": (PARQUET, lambda: parquet(table(names=sorted(FEATURES)))),
    "Parquet, several row groups": (PARQUET, lambda: parquet(table(), row_group_size=7)),
    "Parquet, version 1 pages without a dictionary": (
        PARQUET,
        lambda: parquet(table(), use_dictionary=False, version="1.0"),
    ),
    "Parquet, version 2 pages": (PARQUET, lambda: parquet(table(), data_page_version="2.0")),
    "Parquet of arro3, version 2 pages without a dictionary": (PARQUET, by_arro3),
    "Parquet, split bytes": (
        PARQUET,
        lambda: parquet(table(), use_dictionary=False, use_byte_stream_split=True),
    ),
    "Parquet, decimals": (PARQUET, lambda: parquet(table(types=DECIMALS))),
    "Parquet, text": (PARQUET, lambda: parquet(pa.Table.from_pylist([*map(as_texts, ROWS)]))),
    "Parquet, version 2 pages, whole numbers as their differences": (
        PARQUET,
        lambda: parquet(
            table(types={"age": pa.int32(), "pregnancies": pa.uint8()}),
            use_dictionary=[name for name in FEATURES if name not in WHOLE],
            column_encoding=dict.fromkeys(WHOLE, "DELTA_BINARY_PACKED"),
            data_page_version="2.0",
        ),
    ),
    **{
        f"Parquet of pandas with categories, version {version} pages": (
            PARQUET,
            lambda version=version: with_categories(version),  # type: ignore[misc]
        )
        for version in ("1.0", "2.0")
    },
    "Parquet of pandas": (PARQUET, lambda: frame().to_parquet(engine="pyarrow")),
    "Parquet of pandas with an index": (
        PARQUET,
        lambda: from_pandas(index=pd.RangeIndex(100, 100 + HELD_OUT)),
    ),
    "Parquet of pandas with an index of numbers": (
        PARQUET,
        lambda: from_pandas(index=pd.Index(range(0, -2 * HELD_OUT, -2)).astype("int64") % 7),
    ),
    "Parquet of pandas with an index of names": (
        PARQUET,
        lambda: from_pandas(index=pd.Index([f"p{row}" for row in range(HELD_OUT)], name="id")),
    ),
}


@pytest.fixture(scope="module")
def expected(server: Running) -> list[dict[str, Any]]:
    found = server.predict({"inputs": ROWS})
    assert len({row["probability"] for row in found}) > HELD_OUT / 2
    return found


@pytest.mark.parametrize(("content_type", "write"), WRITTEN.values(), ids=WRITTEN)
def test_every_format_gets_the_same_answer(
    server: Running,
    expected: list[dict[str, Any]],
    content_type: str,
    write: Callable[[], bytes],
) -> None:
    assert predictions(server.post(write(), content_type)) == expected


@pytest.mark.parametrize(
    ("content_type", "write"), [WRITTEN["split"], WRITTEN["CSV"], WRITTEN["Parquet of pandas"]]
)
@pytest.mark.parametrize("rows", [2, HELD_OUT], ids=["small", "large"])
def test_a_packed_body_gets_the_same_answer(
    server: Running,
    expected: list[dict[str, Any]],
    content_type: str,
    write: Callable[[], bytes],
    rows: int,
) -> None:
    """A small one is answered in the event loop, a large one by the subprocess."""
    body = write()
    if rows == 2 and content_type == CSV:
        body = b"".join(body.splitlines(keepends=True)[: rows + 1])
    packed = gzip.compress(body)
    answer = server.post(packed, content_type, headers={"Content-Encoding": "gzip"})
    assert predictions(answer) == expected[: rows if content_type == CSV else HELD_OUT]


def test_another_coding_is_told_the_one_that_is_accepted(server: Running) -> None:
    answer = server.post(split(list(FEATURES)), headers={"Content-Encoding": "zstd"})
    assert (answer.status_code, answer.headers["Accept-Encoding"]) == (415, "gzip")
    assert "Content-Encoding" in answer.json()["message"]
    assert "Accept-Encoding" not in server.post("{}").headers


def test_row_by_row_the_answers_are_the_same(
    server: Running, expected: list[dict[str, Any]]
) -> None:
    """One row is answered in the event loop, many by the subprocess."""
    alone = [server.predict({"inputs": [row]})[0] for row in ROWS[:30]]
    assert alone == expected[:30]


def test_pythons_predict_gives_the_same_answers(
    model_folder: Path, expected: list[dict[str, Any]]
) -> None:
    loaded = mlflow.pyfunc.load_model(str(model_folder))
    for given in (ROWS, frame()):
        assert [dict(found) for found in loaded.predict(given)] == expected


def test_a_row_in_the_wrong_place_would_be_noticed(
    server: Running, expected: list[dict[str, Any]]
) -> None:
    assert server.predict({"inputs": ROWS[1:] + ROWS[:1]}) != expected
    swapped = [{**row, "glucose": row["bmi"]} for row in ROWS]
    assert server.predict({"inputs": swapped}) != expected


@pytest.mark.parametrize(
    ("content_type", "body", "said"),
    [
        pytest.param(CSV, as_csv().replace(b"age", b"bmi"), "twice ['bmi']", id="CSV, twice"),
        pytest.param(CSV, b"", "the body has no line", id="CSV, nothing"),
        pytest.param(CSV, as_csv() + b"1,2\r\n", "line 202: has 2 cells", id="CSV, short line"),
        pytest.param(CSV, as_csv()[:-12], "", id="CSV, broken off"),
        pytest.param(
            CSV, as_csv().partition(b"\n")[2], "8 that are not known", id="CSV, no line of names"
        ),
        pytest.param(CSV, as_csv().replace(b",", b";"), "separated by semicolons", id="semicolons"),
        pytest.param(
            PARQUET,
            parquet(table(names=FEATURES[1:])),
            "parquet.0.pregnancies: is missing",
            id="Parquet, missing column",
        ),
        pytest.param(
            PARQUET,
            parquet(table().append_column("shoe", pa.array([1] * HELD_OUT))),
            "1 that are not known",
            id="Parquet, surplus column",
        ),
    ],
)
def test_a_table_of_other_columns_is_rejected(
    server: Running, content_type: str, body: bytes, said: str
) -> None:
    answer = server.post(body, content_type)
    assert answer.status_code == 400
    assert said in answer.json()["message"]


@pytest.mark.parametrize(
    ("values", "holds"),
    [
        pytest.param(pa.array([33] * HELD_OUT, pa.timestamp("ns")), "timestamps", id="timestamps"),
        pytest.param(pa.array([33] * HELD_OUT, pa.date32()), "dates", id="dates"),
        pytest.param(pa.array([33] * HELD_OUT, pa.duration("s")), "durations", id="durations"),
        pytest.param(pa.array([True] * HELD_OUT), "booleans", id="booleans"),
    ],
)
def test_a_column_of_parquet_that_holds_no_numbers_is_rejected_by_its_type(
    server: Running, values: pa.Array, holds: str
) -> None:
    content = table().set_column(FEATURES.index("age"), "age", values)
    answer = server.post(parquet(content), PARQUET)
    assert answer.status_code == 400
    assert answer.json()["message"] == (
        f"parquet: column 'age' holds {holds}; expected numbers, or numbers as text: "
        "convert it first"
    )


def test_an_empty_cell_of_csv_is_null(server: Running) -> None:
    header = ",".join(record())
    cells = ",".join("" if name == "glucose" else str(value) for name, value in record().items())
    answer = predictions(server.post(f"{header}\n{cells}\n", CSV))
    assert answer == server.predict({"inputs": [record(glucose=None)]})
    assert answer != server.predict({"inputs": [record()]})
    rejected = server.post(f"{header}\n{cells.rpartition(',')[0]},\n", CSV)
    assert rejected.status_code == 400
    assert rejected.json()["message"].startswith("csv.0.age: must be a number")
