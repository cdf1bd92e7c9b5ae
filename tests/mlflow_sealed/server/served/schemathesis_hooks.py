"""What schemathesis sends as CSV and as Parquet, which no JSON schema describes."""

import io
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import schemathesis
from hypothesis import strategies as st

from mypreprocessing import Patient


def values(name: str) -> st.SearchStrategy[Any]:
    """Return what a field may hold, by the bounds that it has itself."""
    field = Patient.model_fields[name]
    bounds = {
        key: getattr(rule, key)
        for rule in field.metadata
        for key in ("ge", "le")
        if hasattr(rule, key)
    }
    low, high = bounds["ge"], bounds["le"]
    if field.annotation is int:
        return st.integers(int(low), int(high))
    numbers = st.floats(low, high)
    return numbers if field.is_required() else st.none() | numbers


ROWS: Final = st.lists(
    st.fixed_dictionaries({name: values(name) for name in Patient.model_fields}), max_size=5
)


def csv_of(rows: list[dict[str, Any]]) -> bytes:
    cells = [
        ["" if row[name] is None else repr(row[name]) for name in Patient.model_fields]
        for row in rows
    ]
    return "\r\n".join(",".join(line) for line in [list(Patient.model_fields), *cells]).encode()


def parquet_of(rows: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    kinds = {
        name: pa.int64() if field.annotation is int else pa.float64()
        for name, field in Patient.model_fields.items()
    }
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(list(kinds.items()))), file)
    return file.getvalue()


schemathesis.openapi.media_type("text/csv", ROWS.map(csv_of))
schemathesis.openapi.media_type("application/vnd.apache.parquet", ROWS.map(parquet_of))
