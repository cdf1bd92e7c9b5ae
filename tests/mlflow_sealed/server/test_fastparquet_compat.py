"""What the server uses of fastparquet's insides is there."""

import io
from pathlib import Path

import fastparquet
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from fastparquet import ParquetFile

from mlflow_sealed.server import fastparquet_compat
from mlflow_sealed.server.fastparquet_compat import Chunk


def opened(table: pa.Table, **options: object) -> ParquetFile:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return ParquetFile(io.BytesIO(file.getvalue()))


def test_a_footer_says_what_a_column_holds_and_how() -> None:
    table = pa.table({"x": pa.array([3, None, 7], pa.int32()), "y": [True, True, False]})
    file = opened(table, compression="none", use_dictionary=False)
    found = fastparquet_compat.chunks(file, ["x", "y"])
    least, most = (number.to_bytes(4, "little") for number in (3, 7))
    encodings = frozenset({"PLAIN", "RLE"})
    assert found["x"] == [Chunk("INT32", encodings, False, 3, 1, least, most)]  # noqa: FBT003
    assert found["y"] == [Chunk("BOOLEAN", encodings, False, 3, 0, b"\x00", b"\x01")]  # noqa: FBT003


def test_each_row_group_has_a_chunk_that_may_be_compressed_or_say_nothing() -> None:
    table = pa.table({"x": [1, 2, 3]})
    file = opened(table, compression="snappy", write_statistics=False, row_group_size=2)
    [first, second] = fastparquet_compat.chunks(file, ["x"])["x"]
    assert first.type == "INT64"
    assert first.is_compressed
    assert (first.nulls, first.least, first.most) == (None, None, None)
    assert "RLE_DICTIONARY" in first.encodings
    assert (first.size, second.size) == (2, 1)


def test_the_index_of_pandas_is_no_column_unless_it_is_a_field() -> None:
    index = pd.Index(np.arange(3), name="shoe")
    file = opened(pa.Table.from_pandas(pd.DataFrame({"x": [1, 2, 3]}, index=index)))
    assert fastparquet_compat.columns_without_index(file, ["x"]) == ["x"]
    assert fastparquet_compat.columns_without_index(file, ["x", "shoe"]) == ["x", "shoe"]


def test_its_own_files_are_known(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1, 2, 3]})
    fastparquet.write(str(tmp_path / "own"), frame)
    assert fastparquet_compat.is_own(ParquetFile(str(tmp_path / "own")))
    assert not fastparquet_compat.is_own(opened(pa.Table.from_pandas(frame)))


def test_parquets_type_counts_and_not_the_one_of_pandas() -> None:
    series = pd.Series([1, 2, 3], dtype="Int64")
    known = pa.Table.from_pandas(pd.DataFrame({"x": series})).schema
    cast = pa.schema([pa.field("x", pa.int32())], metadata=known.metadata)
    file = opened(pa.table([pa.array([1, 2, 3], pa.int32())], schema=cast))
    assert str(file.dtypes["x"]) == "Int64"
    assert fastparquet_compat.stored_dtype(file, "x") == np.dtype("int32")
