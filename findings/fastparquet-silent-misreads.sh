#!/usr/bin/env bash
# fastparquet 2026.9.0 reads valid Parquet files as other values, without an error or a warning.
#
# pyarrow writes each file and reads it back rightly; fastparquet gives other values for
#   1. INT64 with DELTA_BINARY_PACKED in version 2 data pages, without nulls,
#   2. INT32 with DELTA_BINARY_PACKED where numbers lie far apart, in pages of both versions,
#   3. booleans with the encoding RLE in version 1 data pages,
#   4. nullable integers where a null has a version 2 data page to itself,
#   5. a pandas category in version 2 data pages, or in several row groups whose dictionaries differ,
#   6. 32-bit integers that pandas' metadata calls Int64, with DELTA_BINARY_PACKED in version 2 pages.
#
# It needs python3.11 and access to a package index. Status 0: each is still as said here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  cramjam==2.14.0 fastparquet==2026.9.0 numpy==2.4.6 pandas==3.1.1 pyarrow==25.0.1
cat >misreads.py <<'PYTHON'
import io
import sys

import fastparquet
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

DELTA = {"use_dictionary": False, "column_encoding": {"x": "DELTA_BINARY_PACKED"}}
V1, V2 = {"data_page_version": "1.0"}, {"data_page_version": "2.0"}
ONE_ROW_A_PAGE = {"data_page_size": 1, "write_batch_size": 1}


def column(values, kind=None):
    return pa.table({"x": pa.array(values, type=kind)})


def of_pandas(values, dtype):
    return pa.Table.from_pandas(pd.DataFrame({"x": pd.Series(values, dtype=dtype)}))


numbers = [7, 3, 120, 5, 9, 64, 2, 11]
cast = column(numbers, pa.int32()).replace_schema_metadata(of_pandas(numbers, "Int64").schema.metadata)
far = [0, 2**31 - 1] * 4
WRONG = {
    "INT64 as differences, version 2": (column([0, 0, 168, 0, 0, 0, 0, 0]), {**DELTA, **V2}),
    "INT32 far apart as differences, version 1": (column(far, pa.int32()), {**DELTA, **V1}),
    "INT32 far apart as differences, version 2": (column(far, pa.int32()), {**DELTA, **V2}),
    "booleans as RLE, version 1": (
        column([True] * 8),
        {"use_dictionary": False, "column_encoding": {"x": "RLE"}, **V1},
    ),
    "a null alone in its page, version 2": (column([1, 2, None]), {**V2, **ONE_ROW_A_PAGE}),
    "a category of pandas, version 2": (of_pandas([10, 20, 10, 30], "category"), V2),
    "a category of pandas, two row groups, version 1": (
        of_pandas([10, 20, 30, 40], "category"),
        {**V1, "row_group_size": 2},
    ),
    "32 bits that pandas calls Int64, version 2": (cast, {**DELTA, **V2}),
}
RIGHT = {
    "control: INT64 plainly, version 2": (
        column([0, 0, 168, 0, 0, 0, 0, 0]),
        {"use_dictionary": False, **V2},
    ),
    "control: a null among others, version 1": (column([1, 2, None]), {**V1, **ONE_ROW_A_PAGE}),
    "control: a category of pandas, version 1": (of_pandas([10, 20, 10, 30], "category"), V1),
}


def values(series):
    return [None if pd.isna(value) else value for value in series.tolist()]


def differs(name, table, how):
    file = io.BytesIO()
    pq.write_table(table, file, **how)
    given = table["x"].to_pylist()
    assert pq.read_table(io.BytesIO(file.getvalue()))["x"].to_pylist() == given
    file.seek(0)
    found = values(fastparquet.ParquetFile(file).to_pandas()["x"])
    print(f"{name}\n  written {given}\n  read    {found}")
    return found != given


print(f"fastparquet {fastparquet.__version__}, pyarrow {pa.__version__}, pandas {pd.__version__}")
changed = [name for name, case in WRONG.items() if not differs(name, *case)]
changed += [name for name, case in RIGHT.items() if differs(name, *case)]
sys.exit(f"it has changed: {changed}" if changed else 0)
PYTHON
environment/bin/python misreads.py
