"""Reads Parquet that may be broken on purpose: within bounds, and without printing anything."""

import contextlib
import json
import resource
import signal
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from mlflow_sealed.server import arro3_compat
from mlflow_sealed.server.protocol import column_types
from mlflow_sealed.server.protocol.errors import RequestError
from mlflow_sealed.server.protocol.table_rules import TableRules

UNREADABLE: Final = (
    "the body is Parquet that cannot be read: it is broken, encrypted, or has a type or codec that "
    "Arrow does not know, as LZO; write it with snappy, zstd or no compression"
)
"""What a client is told, also if reading ends the process."""

_ENDS: Final = (b"PAR1", b"PARE")  # what each file ends with; the second: with its footer encrypted
_CPU_S: Final = 1  # and as much for each MiB: many times what a file needs
_BYTES: Final = 256 * 2**20
_BYTES_PER_BYTE: Final = 50  # memory for each byte of the file: likewise
_BATCH_ROWS: Final = 4096  # as many are read before the rows are counted


def read(body: bytes, fields: Sequence[str], rules: TableRules) -> list[dict[str, Any]]:
    """Return the rows of a Parquet file, with None for missing values.

    Parameters
    ----------
    body
        The file, whole.
    fields
        The names of a row's fields: such a column counts even if pandas calls it an index.
    rules
        Are checked before rows are read, and before more of them are read.

    Raises
    ------
    RequestError
        If the file cannot be read, or a column holds no numbers (400), or if it breaks the rules
        for tables (400, 413).
    """
    import arro3.io  # noqa: F401, PLC0415 # 7 MB of memory, for those who need it

    with arro3_compat.silent(), _bounded(len(body)):
        return _rows(body, fields, rules)


def _rows(body: bytes, fields: Sequence[str], rules: TableRules) -> list[dict[str, Any]]:
    from arro3.core import DataType  # noqa: PLC0415 # see above
    from arro3.io import read_parquet  # noqa: PLC0415 # see above

    if not body.endswith(_ENDS):
        raise RequestError(400, "the body is not Parquet, or it is cut off")
    with _unreadable():
        batches = read_parquet(body, batch_size=_BATCH_ROWS)
        schema = batches.schema
        names = _columns(schema, fields)
    rules.check_columns(names, "parquet")
    kinds = {name: schema.field(name).type for name in names}
    if wrong := column_types.refusal(kinds.items(), DataType):
        raise RequestError(400, f"parquet: {wrong}")
    rows: list[dict[str, Any]] = []
    with _unreadable():
        for batch in batches:
            rules.check_count(len(rows) + batch.num_rows)
            rows += _records(batch, names)
    return rows


def _columns(schema: Any, fields: Sequence[str]) -> list[str]:
    """Return the names of a file's columns, without those that pandas wrote its index to."""
    described = json.loads(schema.metadata.get(b"pandas", b"{}"))
    index = described.get("index_columns", [])
    return [name for name in schema.names if name in fields or name not in index]


def _records(batch: Any, names: Sequence[str]) -> list[dict[str, Any]]:
    if not names:
        return [{} for _ in range(batch.num_rows)]
    columns = [_values(batch.column(name)) for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _values(column: Any) -> list[Any]:
    """Return the values of a column as JSON has them, None for NaN."""
    values: list[Any] = column.to_pylist()
    kinds = set(map(type, values))
    if Decimal in kinds:
        return [None if value is None else _number(value) for value in values]
    if float in kinds:
        return [None if value != value else value for value in values]  # noqa: PLR0124 # NaN
    return values


def _number(value: Decimal) -> int | float:
    return int(value) if value.as_tuple().exponent == 0 else float(value)


@contextlib.contextmanager
def _unreadable() -> Iterator[None]:
    """Turn whatever a broken file raises into an error for the client."""
    try:
        yield
    except RequestError:
        raise
    except Exception:  # noqa: BLE001 # a broken file raises anything
        raise RequestError(400, UNREADABLE) from None
    except BaseException as error:
        if not arro3_compat.is_panic(error):
            raise
        raise RequestError(400, UNREADABLE) from None


@contextlib.contextmanager
def _bounded(size: int) -> Iterator[None]:
    """Bound the time and memory that a file of `size` bytes takes: a broken one may need no end.

    Too much of either ends this process: the client gets the error of a subprocess that ended.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    most = pages * resource.getpagesize() + _BYTES + _BYTES_PER_BYTE * size
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    signal.setitimer(signal.ITIMER_VIRTUAL, _CPU_S + size / 2**20)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
