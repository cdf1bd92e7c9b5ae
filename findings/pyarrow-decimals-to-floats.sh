#!/usr/bin/env bash
# pyarrow 25.0.1 casts decimals to other floating-point numbers than the nearest ones.
#
# A table from a database has measurements as DECIMAL. Of the 10,000 numbers from 0 to 9999 with one,
# two or three digits after the point, pyarrow's cast to float64 gives another number than Python's
# float() of the same text for 3595, 1327 and 1338: 0.3 becomes 0.30000000000000004. Its cast to
# float32 is off for 1999, 2669 and 5662. Its own cast by way of text is right, and so are polars
# 2.1.0 and DuckDB 2.0.1 with the very same column. So one table, read by two engines, is not equal.
#
# It needs python3.11 and access to a package index. Status 0: each is still as said here.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check \
  duckdb==2.0.1 polars==2.1.0 pyarrow==25.0.1
cat >casts.py <<'PYTHON'
import sys
from decimal import Decimal

import duckdb
import polars as pl
import pyarrow as pa

SEEN = {1: (3595, 1999), 2: (1327, 2669), 3: (1338, 5662)}


def differing(found, expected):
    return sum(one != other for one, other in zip(found, expected, strict=True))


as_said = True
for digits, seen in SEEN.items():
    decimals = [Decimal(number).scaleb(-digits) for number in range(10_000)]
    nearest = [float(str(decimal)) for decimal in decimals]
    nearest32 = pa.array(nearest).cast(pa.float32()).to_pylist()
    table = pa.table({"x": pa.array(decimals, pa.decimal128(9, digits))})
    column = table["x"]
    off = differing(column.cast(pa.float64()).to_pylist(), nearest)
    off32 = differing(column.cast(pa.float32()).to_pylist(), nearest32)
    right = {
        "pyarrow by way of text": column.cast(pa.string()).cast(pa.float64()).to_pylist(),
        "polars": pl.from_arrow(table)["x"].cast(pl.Float64).to_list(),
        "DuckDB": [
            row[0] for row in duckdb.from_arrow(table).project("x::double").fetchall()
        ],
    }
    others = {name: differing(found, nearest) for name, found in right.items()}
    print(f"{digits} digits: pyarrow {off} of 10,000 off, float32 {off32}; others {others}")
    as_said = as_said and (off, off32) == seen and set(others.values()) == {0}
first = pa.array([Decimal("0.3")]).cast(pa.float64())[0].as_py()
print(f"0.3 becomes {first!r}")
sys.exit(not (as_said and first == 0.30000000000000004))
PYTHON
environment/bin/python casts.py
