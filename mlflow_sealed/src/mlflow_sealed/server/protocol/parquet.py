"""Reading Parquet, which a client may have broken on purpose: within bounds, and in silence."""

import contextlib
import io
import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from mlflow_sealed.server.protocol import encodings
from mlflow_sealed.server.protocol.encodings import Column
from mlflow_sealed.server.protocol.refusals import Refusal

_CPU_S: Final = 1  # of the CPU, and as much for each MiB: many times what it takes
_BYTES: Final = 256 * 2**20
_TIMES: Final = 50  # as many bytes in memory for each of the file: likewise


def read(
    body: bytes, fields: Sequence[str], check: Callable[[list[str], int], None]
) -> list[dict[str, Any]]:
    """Return the rows of a Parquet file; None stands for what is missing.

    Parameters
    ----------
    body
        The file, whole.
    fields
        The names that a row may have: a column so named counts also where pandas calls it an index.
    check
        Gets the columns and the number of rows before a row is read, and raises where they are not
        wanted.

    Raises
    ------
    Refusal
        If the file cannot be read, or not rightly (400).
    """
    import fastparquet  # noqa: F401, PLC0415 # 40 MB of memory for who needs it

    # What it finds broken it prints, which is no line of the log.
    with contextlib.redirect_stdout(io.StringIO()), _bounded(len(body)):
        return _rows(body, fields, check)


def _rows(
    body: bytes, fields: Sequence[str], check: Callable[[list[str], int], None]
) -> list[dict[str, Any]]:
    from fastparquet import ParquetFile  # noqa: PLC0415 # see above

    try:
        file = ParquetFile(io.BytesIO(body))
        names, count = _columns(file, fields), file.count()
        columns = encodings.columns(file, names)
    except Exception:  # noqa: BLE001 # whatever a broken file makes of it
        raise Refusal(400, "the body is not Parquet") from None
    check(names, count)
    _check_encodings(columns)
    try:
        dtypes = {column.name: column.dtype for column in columns}
        categories: Any = None if file.selfmade else ()  # how pandas had a column does not count
        frame = file.to_pandas(names, categories, index=False, dtypes=dtypes).astype(object)
    except Exception:  # noqa: BLE001 # likewise
        raise Refusal(400, "the body is Parquet that cannot be read") from None
    rows: list[dict[str, Any]] = frame.where(frame.notna(), None).to_dict("records")
    return rows


def _columns(file: Any, fields: Sequence[str]) -> list[str]:
    """Return the columns of a file but for those that pandas wrote its index to."""
    index = (file.pandas_metadata or {}).get("index_columns", [])
    return [name for name in file.columns if name in fields or name not in index]


def _check_encodings(columns: Sequence[Column]) -> None:
    """Refuse what fastparquet would read wrongly, and say nothing."""
    misread = [f"{column.name!r} has {column.misread}" for column in columns if column.misread]
    if misread:
        raise Refusal(
            400,
            f"parquet: column {', column '.join(misread)}, which is not read; expected PLAIN or a "
            "dictionary: write the file compressed, and as version 1 of Parquet",
        )


@contextlib.contextmanager
def _bounded(size: int) -> Iterator[None]:
    """Bound what a file of so many bytes may take: a broken one can ask for time without end.

    Beyond the memory there is an error; beyond the time this process ends.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    most = pages * resource.getpagesize() + _BYTES + _TIMES * size
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    signal.setitimer(signal.ITIMER_VIRTUAL, _CPU_S + size / 2**20)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
