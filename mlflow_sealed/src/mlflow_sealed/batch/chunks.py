"""Read the rows of a slice of the input, some at a time, with the columns of the whole table.

Executors import this module, so it imports installed distributions only.
"""

import os
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mlflow_sealed.batch import columns, csv_rows, inputs, storage
from mlflow_sealed.batch.inputs import InputError
from mlflow_sealed.batch.plan import Plan, Slice
from mlflow_sealed.batch.storage import Place

CHUNK_ROWS: Final = 2**16
"""How many rows are in memory at once."""

_BUFFER: Final = 2**20  # bytes of a column that are read at once


class Chunk(NamedTuple):
    """Some rows of a file.

    Attributes
    ----------
    table
        The rows as they were read; text if the file is CSV.
    rows
        int64, the number of each row in the file: from 0 in Parquet, the line's in CSV.
    unreadable
        The numbers of rows that are not in the table, and why.
    read
        How much of the file they are: rows of Parquet, or bytes of CSV.
    """

    table: Any
    rows: npt.NDArray[np.int64]
    unreadable: list[tuple[int, str]]
    read: int


def read(job: Plan, part: Slice) -> Iterator[Chunk]:
    """Read a slice of the input by chunks, at least one.

    Raises
    ------
    mlflow_sealed.batch.inputs.InputError
        If the file is broken, or is no longer the one that was planned with.
    """
    place, name = _place(job, part), shown(job, part)
    check_unchanged(job, part)
    given, schema = inputs.partitions(job.folder, place.path), job.schema_of_input
    reading = _from_parquet if job.format == "parquet" else _from_csv
    try:
        for chunk in reading(place, part):
            rows = columns.cast(chunk.table, schema, given, path=name)
            yield chunk._replace(table=rows)
    except InputError as error:
        raise InputError(str(error) if name in str(error) else f"{name}: {error}") from None
    except (pa.ArrowException, OSError) as error:
        check_unchanged(job, part)
        if isinstance(error, OSError) and error.errno is not None:
            said = f"cannot be read ({os.strerror(error.errno)})"
        else:  # not chained: it may show what could not be read
            said = f"is not {'Parquet' if job.format == 'parquet' else 'CSV'} that can be read"
        raise InputError(f"{name}: {said}") from None


def _place(job: Plan, part: Slice) -> Place:
    return storage.locate(job.input).of(job.files[part.file].path)


def check_unchanged(job: Plan, part: Slice) -> None:
    """Check that a file is the one that was planned with: other rows would be scored."""
    file, place = job.files[part.file], _place(job, part)
    now = place.system.get_file_info(place.path)
    if (now.size, now.mtime_ns or 0) != (file.bytes, file.changed_ns):
        raise InputError(
            f"{shown(job, part)}: has changed since the job began, or is gone: start again with "
            "another output"
        )


def _from_parquet(place: Place, part: Slice) -> Iterator[Chunk]:
    if not part.size:  # a table, or a row group, without rows
        with place.system.open_input_file(place.path) as file:
            schema = pq.read_schema(file).remove_metadata()
        yield Chunk(_empty(schema), np.zeros(0, dtype=np.int64), [], 0)
        return
    skipped, left, first = part.skipped, part.size, part.first
    # Buffered: a row group of any size is read piece by piece.
    with (
        place.system.open_input_file(place.path) as file,
        pq.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False) as opened,
    ):
        batches = opened.iter_batches(CHUNK_ROWS, row_groups=[part.group], use_threads=False)
        for batch in batches:
            passed = min(skipped, len(batch))
            rows = batch.slice(passed, left)
            skipped -= passed
            if not len(rows) and left:
                continue
            numbers = np.arange(first, first + len(rows))
            first, left = first + len(rows), left - len(rows)
            yield Chunk(rows, numbers, [], len(rows))
            if not left:
                return
    if left:
        raise InputError("has fewer rows than it had")


def _from_csv(place: Place, part: Slice) -> Iterator[Chunk]:
    names = csv_rows.header(inputs.head(place)).names
    with inputs.opened(place, part.skipped, part.size) as stream:
        before = 0
        for rows in csv_rows.read(stream, names, part.first):
            yield Chunk(rows.table, rows.numbers, rows.unreadable, stream.passed - before)
            before = stream.passed


def _empty(schema: Any) -> Any:
    return pa.RecordBatch.from_arrays([pa.array([], each.type) for each in schema], schema=schema)


def shown(job: Plan, part: Slice) -> str:
    """Return the name of a slice's file within the input."""
    path, top = job.files[part.file].path, job.folder.rstrip("/")
    return path.removeprefix(f"{top}/") if path != top else path.rpartition("/")[2]
