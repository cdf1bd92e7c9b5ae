"""Reads Parquet that may be broken on purpose: within bounds, and without printing anything."""

import contextlib
import io
import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from mlflow_sealed.server import fastparquet_compat
from mlflow_sealed.server.protocol import parquet_encodings
from mlflow_sealed.server.protocol.errors import RequestError
from mlflow_sealed.server.protocol.parquet_encodings import Column

_CPU_S: Final = 1  # and as much for each MiB: many times what a file needs
_BYTES: Final = 256 * 2**20
_BYTES_PER_BYTE: Final = 50  # memory for each byte of the file: likewise


def read(
    body: bytes, fields: Sequence[str], check: Callable[[list[str], int], None]
) -> list[dict[str, Any]]:
    """Return the rows of a Parquet file, with None for missing values.

    Parameters
    ----------
    body
        The file, whole.
    fields
        The names of a row's fields: such a column counts even if pandas calls it an index.
    check
        Gets the columns and the number of rows before a row is read; raises if they are invalid.

    Raises
    ------
    RequestError
        If the file cannot be read, or not correctly (400).
    """
    import fastparquet  # noqa: F401, PLC0415 # 40 MB of memory, for those who need it

    # fastparquet prints errors to stdout; keep them out of the log.
    with contextlib.redirect_stdout(io.StringIO()), _bounded(len(body)):
        return _rows(body, fields, check)


def _rows(
    body: bytes, fields: Sequence[str], check: Callable[[list[str], int], None]
) -> list[dict[str, Any]]:
    from fastparquet import ParquetFile  # noqa: PLC0415 # see above

    try:
        file = ParquetFile(io.BytesIO(body))
        names, count = fastparquet_compat.columns_without_index(file, fields), file.count()
        columns = parquet_encodings.columns(file, names)
    except Exception:  # noqa: BLE001 # a broken file raises anything
        raise RequestError(400, "the body is not Parquet") from None
    check(names, count)
    _check_encodings(columns)
    try:
        dtypes = {column.name: column.dtype for column in columns}
        own = fastparquet_compat.is_own(file)
        categories: Any = None if own else ()  # ignore the dtype that pandas' metadata names
        frame = file.to_pandas(names, categories, index=False, dtypes=dtypes).astype(object)
    except Exception:  # noqa: BLE001 # likewise
        raise RequestError(400, "the body is Parquet that cannot be read") from None
    rows: list[dict[str, Any]] = frame.where(frame.notna(), None).to_dict("records")
    return rows


def _check_encodings(columns: Sequence[Column]) -> None:
    """Reject what fastparquet would read wrongly without an error."""
    misread = [f"{column.name!r} has {column.misread}" for column in columns if column.misread]
    if misread:
        raise RequestError(
            400,
            f"parquet: column {', column '.join(misread)}, which is not read; expected PLAIN or a "
            "dictionary: write the file compressed, and as version 1 of Parquet",
        )


@contextlib.contextmanager
def _bounded(size: int) -> Iterator[None]:
    """Bound the time and memory that a file of `size` bytes takes: a broken one may need no end.

    Too much memory raises an error; too much time ends this process.
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
