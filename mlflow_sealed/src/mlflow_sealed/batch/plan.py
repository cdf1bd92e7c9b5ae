"""Plan a scoring job: divide its input into parts, each of which is scored once.

The plan is written to the output before the first row is scored. A job that is started again reads
it and scores the parts that are left. The executors read it too, so this module imports installed
distributions only.
"""

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from mlflow_sealed.batch import storage
from mlflow_sealed.batch.storage import Place
from mlflow_sealed.server.protocol import column_types, csv_table

PLAN: Final = "_plan.json"
PARTS: Final = "_parts"
"""The folder that has the tally of each part that is done."""

DONE: Final = "_SUCCESS"
SCORED: Final = "scored"
REFUSED: Final = "refused"
ADDED: Final = {"pred": pa.int8(), "probability": pa.float64(), "model_version": pa.string()}
"""The columns of scored rows that follow those of the input."""

ENDINGS: Final = {"parquet": (".parquet",), "csv": (".csv",)}
ROWS: Final = 500_000
"""About how many rows a part has, unless the number of parts is given."""

_HEADER_BYTES: Final = 2**16

Format = Literal["parquet", "csv"]


class InputError(ValueError):
    """The input cannot be scored; the message says why, and shows no value."""


class Slice(NamedTuple):
    """Consecutive rows of a file.

    Attributes
    ----------
    file
        Its index in `Plan.files`.
    group
        The row group of a Parquet file; -1 for a whole CSV file.
    first
        The number of its first row in the file, from 0.
    size
        In rows for Parquet, in bytes for CSV.
    """

    file: int
    group: int
    first: int
    size: int


class File(NamedTuple):
    """A file of the input, as it was when the job began."""

    path: str
    bytes: int
    changed_ns: int


class Plan(BaseModel):
    """What a job is to score, and with which model.

    Attributes
    ----------
    input
        The address that was given.
    columns
        The columns of the input, in their order.
    model
        The model's address, with its version: ``models:/NAME/3``.
    model_sha256
        The SHA-256 of the model's manifest, which has those of all of its files.
    features
        The columns that the model takes.
    """

    model_config = ConfigDict(frozen=True)

    input: str
    format: Format
    columns: tuple[str, ...]
    files: tuple[File, ...]
    model: str
    model_sha256: str
    features: tuple[str, ...]
    parts: tuple[tuple[Slice, ...], ...]

    @property
    def rows(self) -> int | None:
        """How many rows there are; None for CSV, which has to be read to know."""
        if self.format == "csv":
            return None
        return sum(each.size for part in self.parts for each in part)

    @property
    def model_version(self) -> str:
        """The model's version alone."""
        return self.model.rpartition("/")[2]

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of what the predictions depend on: everything but the division."""
        content = self.model_dump_json(exclude={"parts"}).encode()
        return hashlib.sha256(content).hexdigest()


def make(
    source: str, *, model: str, model_sha256: str, features: Sequence[str], parts: int = 0
) -> Plan:
    """Read what an input has, without its rows, and divide it.

    Parameters
    ----------
    source
        The address of a file or a folder.
    features
        The columns that the input must have.
    parts
        About how many parts to make; 0: one for `ROWS` rows of Parquet, or for each CSV file.

    Raises
    ------
    InputError
        If there is nothing to score, a column is missing, has a type that is no number's or a name
        that the output needs, or files differ in their columns.
    mlflow_sealed.batch.storage.StorageError
        If it cannot be found.
    """
    place = storage.locate(source)
    infos = storage.files(place, (*ENDINGS["parquet"], *ENDINGS["csv"]))
    form = _format(source, [info.path for info in infos])
    files = tuple(File(info.path, info.size, info.mtime_ns or 0) for info in infos)
    columns, slices = (_parquet if form == "parquet" else _csv)(place, files, features)
    total = sum(each.size for each in slices)
    if not total:
        raise InputError(f"{source}: has no rows")
    wanted = parts or (max(1, round(total / ROWS)) if form == "parquet" else len(slices))
    return Plan(
        input=place.address,
        format=form,
        columns=columns,
        files=files,
        model=model,
        model_sha256=model_sha256,
        features=tuple(features),
        parts=divide(slices, wanted),
    )


def divide(slices: Sequence[Slice], parts: int) -> tuple[tuple[Slice, ...], ...]:
    """Divide slices, in their order, into at most this many parts of about the same size.

    Examples
    --------
    >>> [len(part) for part in divide([Slice(0, group, 0, 10) for group in range(5)], 2)]
    [2, 3]
    """
    total, before = sum(each.size for each in slices), 0
    found: dict[int, list[Slice]] = {}
    for each in slices:
        middle = before + each.size / 2
        found.setdefault(int(parts * middle / total), []).append(each)
        before += each.size
    return tuple(tuple(part) for part in found.values())


def name(part: int) -> str:
    """Return what the names of a part's files begin with.

    Examples
    --------
    >>> name(7)
    'part-00007'
    """
    return f"part-{part:05}"


def number(file: str) -> int:
    """Return the part that a file belongs to, by its name.

    Examples
    --------
    >>> number("part-00007.json")
    7
    """
    return int(file.removeprefix("part-").partition(".")[0])


def as_json(content: Any) -> bytes:
    """Return JSON for a file that people read too."""
    return (json.dumps(content, indent=1) + "\n").encode()


def _format(source: str, paths: list[str]) -> Format:
    formats: set[Format] = set()
    for path in paths:
        formats.add("parquet" if path.endswith(ENDINGS["parquet"]) else "csv")
    if len(formats) != 1 or not all(path.endswith((".parquet", ".csv")) for path in paths):
        found = "both" if len(formats) > 1 else "none"
        raise InputError(f"{source}: expected files of .parquet or of .csv, got {found}")
    return formats.pop()


def _parquet(
    place: Place, files: Sequence[File], features: Sequence[str]
) -> tuple[tuple[str, ...], list[Slice]]:
    schema, slices = None, []
    for index, file in enumerate(files):
        try:
            metadata = pq.read_metadata(file.path, filesystem=place.system)
        except (OSError, pa.ArrowException):
            raise InputError(f"{file.path}: is not Parquet that can be read") from None
        arrow = metadata.schema.to_arrow_schema().remove_metadata()
        if schema is None:
            _check_columns(file.path, arrow.names, features)
            _check_types(file.path, arrow, features)
            schema = arrow
        elif not arrow.equals(schema):
            raise InputError(f"{file.path}: has other columns, or types, than {files[0].path}")
        first = 0
        for group in range(metadata.num_row_groups):
            rows = metadata.row_group(group).num_rows
            slices.append(Slice(index, group, first, rows))
            first += rows
    return (tuple(schema.names) if schema is not None else ()), slices


def _csv(
    place: Place, files: Sequence[File], features: Sequence[str]
) -> tuple[tuple[str, ...], list[Slice]]:
    columns: tuple[str, ...] | None = None
    for file in files:
        with place.system.open_input_stream(file.path) as stream:
            # Only the first line is read here: executors find what is not UTF-8 after it.
            text = stream.read(_HEADER_BYTES).decode("utf-8-sig", errors="replace")
        if found := csv_table.other_separator(text, features):
            raise InputError(f"{file.path}: its cells are separated by {found}, expected commas")
        try:
            header = tuple(next(csv.reader(io.StringIO(text, newline=""), strict=True), []))
        except csv.Error:
            raise InputError(f"{file.path}: its first line is not CSV") from None
        if columns is None:
            _check_columns(file.path, header, features)
            columns = header
        elif header != columns:
            raise InputError(f"{file.path}: has another header than {files[0].path}")
    return columns or (), [Slice(index, -1, 0, file.bytes) for index, file in enumerate(files)]


def _check_columns(path: str, names: Sequence[str], features: Sequence[str]) -> None:
    faults = {
        "missing": [each for each in features if each not in names],
        "taken by the output": [each for each in ADDED if each in names],
    }
    found = [f"{fault}: {', '.join(each)}" for fault, each in faults.items() if each]
    if len(set(names)) < len(names):  # not shown: in a file without a header they are values
        found.append("some have the same name")
    if found:
        raise InputError(f"{path}: columns {'; '.join(found)}")


def _check_types(path: str, schema: Any, features: Sequence[str]) -> None:
    kinds = ((each, schema.field(each).type) for each in features)
    if wrong := column_types.refusal(kinds, pa.types):
        raise InputError(f"{path}: {wrong}")
