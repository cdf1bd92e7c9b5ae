"""What an input has, without its rows: its columns, and the slices that it can be read by."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from mlflow_sealed.batch import columns, csv_rows, inputs
from mlflow_sealed.batch.inputs import Format, Input, InputError
from mlflow_sealed.batch.storage import Place
from mlflow_sealed.server.protocol import column_types, csv_table

ROWS: Final = 250_000
"""About how many rows a part has, unless the number of parts is given."""

BYTES: Final = 2**24
"""Likewise for CSV, in bytes."""

_AT_ONCE: Final = 16  # files of an object store, of which each takes a while to answer
_MOST_PIECES: Final = 16  # of a row group: each is read from the group's beginning


class Slice(NamedTuple):
    """Consecutive rows of a file.

    Attributes
    ----------
    file
        Its index in `Plan.files`.
    group
        The row group of a Parquet file; -1 for CSV.
    first
        The number of its first row: in Parquet its place in the file, from 0; in CSV its line.
    size
        In rows for Parquet, in bytes for CSV.
    skipped
        What is before it: rows of the row group, or bytes of the file.
    """

    file: int
    group: int
    first: int
    size: int
    skipped: int = 0


class File(NamedTuple):
    """A file of the input, as it was when the job began."""

    path: str
    bytes: int
    changed_ns: int


class Model(NamedTuple):
    """What a plan has to know of a model.

    Attributes
    ----------
    address
        ``models:/NAME/3``.
    sha256
        The SHA-256 of its manifest, which has those of all of its files.
    features
        The columns that it takes.
    numbers
        Those of them that are numbers.
    """

    address: str
    sha256: str
    features: tuple[str, ...]
    numbers: tuple[str, ...]


def part_size(form: Format) -> int:
    """Return about how much a part has: rows of Parquet, or bytes of CSV."""
    return BYTES if form == "csv" else ROWS


def made(found: Input, files: Sequence[File], model: Model) -> tuple[Any, list[Slice]]:
    """Return the columns of all files together, an Arrow schema, and the slices in their order.

    Raises
    ------
    mlflow_sealed.batch.inputs.InputError
        If a file cannot be read, or a column is missing, or has a type that is no number's or that
        does not go with the other files'.
    """
    below = columns.of_folders(found.folder.path, [file.path for file in files])
    return (_parquet if found.format == "parquet" else _csv)(found, files, below, model)


def _parquet(
    found: Input, files: Sequence[File], below: Sequence[Any], model: Model
) -> tuple[Any, list[Slice]]:
    """Return the columns of Parquet files together, and their row groups, large ones in pieces."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        described = list(threads.map(lambda file: _footer(found.folder, file), files))
    slices = []
    for index, (file, (schema, _)) in enumerate(zip(files, described, strict=True)):
        _check_columns(found.folder.path, file.path, schema.names, model.features)
        _check_types(file.path, schema, model.numbers)
        slices += _groups(index, described[index][1])
    schemas = [(file.path, schema) for file, (schema, _) in zip(files, described, strict=True)]
    return _with_folders(columns.unified(schemas), below), slices or [Slice(0, -1, 0, 0)]


def _footer(place: Place, file: File) -> tuple[Any, list[int]]:
    """Return the columns of a Parquet file, and how many rows each of its row groups has."""
    if not file.bytes:
        raise InputError(f"{file.path}: has no bytes, and so was not written to its end")
    try:
        metadata = pq.read_metadata(file.path, filesystem=place.system)
        schema = metadata.schema.to_arrow_schema().remove_metadata()
    except OSError as error:
        if error.errno is not None:
            raise
        raise InputError(f"{file.path}: is not Parquet that can be read") from None
    except pa.ArrowException:
        raise InputError(f"{file.path}: is not Parquet that can be read") from None
    groups = (metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
    return schema, list(groups)


def _groups(file: int, sizes: Sequence[int]) -> list[Slice]:
    first, found = 0, []
    for group, rows in enumerate(sizes):
        pieces = max(1, min(round(rows / ROWS), _MOST_PIECES))
        for piece in range(pieces):
            start, end = (rows * number // pieces for number in (piece, piece + 1))
            found.append(Slice(file, group, first + start, end - start, start))
        first += rows
    return found


def _csv(
    found: Input, files: Sequence[File], below: Sequence[Any], model: Model
) -> tuple[Any, list[Slice]]:
    schemas, slices = [], []
    for index, file in enumerate(files):
        start = inputs.head(found.folder.of(file.path))
        text = start.decode("utf-8", errors="replace").lstrip("\ufeff")
        if separator := csv_table.other_separator(text, model.features):
            raise InputError(
                f"{file.path}: its cells are separated by {separator}, expected commas"
            )
        try:
            header = csv_rows.header(start)
        except InputError as error:
            raise InputError(f"{file.path}: {error}") from None
        _check_columns(found.folder.path, file.path, header.names, model.features)
        schemas.append((file.path, pa.schema([(name, pa.string()) for name in header.names])))
        slices += _pieces(found.folder.of(file.path), index, file, header)
    return _with_folders(columns.unified(schemas), below), slices


def _pieces(place: Place, index: int, file: File, header: csv_rows.Header) -> list[Slice]:
    """Return the slices of a CSV file: several of a large one whose lines are all rows.

    They are where there is no quote: else a row may have several lines.
    """
    whole = Slice(index, -1, header.lines + 1, max(file.bytes - header.size, 0), header.size)
    packed = file.path.lower().endswith(inputs.PACKED)
    if packed or file.bytes < 2 * BYTES or not isinstance(place.system, fs.LocalFileSystem):
        return [whole]
    found, first, start = [], header.lines + 1, header.size
    with inputs.opened(place, header.size) as stream:
        while block := stream.read(BYTES):
            block += csv_rows.rest_of_line(stream)
            if b'"' in block or b"\r" in block.replace(b"\r\n", b""):
                return [whole]
            found.append(Slice(index, -1, first, len(block), start))
            first, start = first + block.count(b"\n"), start + len(block)
    return found or [whole]


def _with_folders(schema: Any, below: Sequence[Any]) -> Any:
    """Return a schema with the columns that folders' names have; the files' own come first."""
    for each in below:
        schema = schema if each.name in schema.names else schema.append(each)
    return schema


def _check_columns(folder: str, path: str, names: Sequence[str], features: Sequence[str]) -> None:
    known = {*names, *inputs.partitions(folder, path)}
    missing = [each for each in features if each not in known]
    found = [f"missing: {', '.join(missing)}"] if missing else []
    if len(set(names)) < len(names):  # not shown: in a file without a header they are values
        found.append("some have the same name")
    if found:
        raise InputError(f"{path}: columns {'; '.join(found)}")


def _check_types(path: str, schema: Any, features: Sequence[str]) -> None:
    kinds = ((each, schema.field(each).type) for each in features if each in schema.names)
    if wrong := column_types.refusal(kinds, pa.types):
        raise InputError(f"{path}: {wrong}")
