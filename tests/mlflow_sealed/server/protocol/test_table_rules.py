"""What holds for a table before its rows are checked, in each format that is one."""

import io
import json
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel, Field

from mlflow_sealed.server.protocol.errors import RequestError
from mlflow_sealed.server.protocol.reader import Reader
from tests.mlflow_sealed.server.running import CSV, JSON, PARQUET


class Row(BaseModel):
    width: float
    age: int = Field(alias="age-of-it")
    colour: str = "red"


def split(columns: Sequence[str]) -> bytes:
    return json.dumps({"dataframe_split": {"columns": columns, "data": []}}).encode()


def csv(columns: Sequence[str]) -> bytes:
    return ",".join(columns).encode() + b"\n"


def parquet(columns: Sequence[str]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({name: pa.array([], pa.int32()) for name in columns}), file)
    return file.getvalue()


@pytest.fixture
def reader() -> Reader:
    return Reader(Row, max_rows=10)


each_format = pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param(JSON, split, id="split"),
        pytest.param(CSV, csv, id="CSV"),
        pytest.param(PARQUET, parquet, id="Parquet"),
    ],
)


@each_format
def test_a_table_without_rows_has_to_have_the_required_columns(
    reader: Reader, kind: str, body: Callable[[Sequence[str]], bytes]
) -> None:
    with pytest.raises(RequestError, match=r"columns \['age-of-it'\] are missing") as error:
        reader.read(kind, body(["width"]))
    assert error.value.status == 400


@each_format
def test_a_table_without_rows_is_no_rows(
    reader: Reader, kind: str, body: Callable[[Sequence[str]], bytes]
) -> None:
    assert reader.read(kind, body(["age-of-it", "width"])).rows == []
