"""What a scoring job has to do: the parts of its input, which it does once each.

The plan is written to the output before the first row is scored. A job that is started again reads
it, and does the parts that are left. It runs in the executors: it imports installed distributions
only.
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

from mlflow_sealed.batch import rules, storage
from mlflow_sealed.batch.storage import Place

PLAN: Final = "_plan.json"
PARTS: Final = "_parts"
"""The folder that has a record of each part that is done."""

DONE: Final = "_SUCCESS"
SCORED: Final = "scored"
REFUSED: Final = "refused"
ADDED: Final = {"pred": pa.int8(), "probability": pa.float64(), "model_version": pa.string()}
"""The columns that scored rows have after those of the input."""

ENDINGS: Final = {"parquet": (".parquet",), "csv": (".csv",)}
ROWS: Final = 500_000
"""How many rows a part has about, where nobody says how many parts there are to be."""

_HEADER_BYTES: Final = 2**16

Format = Literal["parquet", "csv"]


class InputError(ValueError):
    """The input cannot be scored; the message says why, and shows no value."""


class Slice(NamedTuple):
    """Rows of a file that follow one another.

    Attributes
    ----------
    file
        Its index in `Plan.files`.
    group
        Of Parquet, the row group; -1 for a whole file of CSV.
    first
        The number of its first row in the file, from 0.
    size
        Rows of Parquet, bytes of CSV.
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
    """A job.

    Attributes
    ----------
    input
        The address that was given.
    columns
        Of the input, in their order.
    model
        Its name and version, such as ``models:/NAME/3``.
    model_sha256
        Of the manifest, which has those of all of the model's files.
    features
        The columns that the model's rows have.
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
        """How many rows there are, None for CSV, of which nobody knows before it is read."""
        if self.format == "csv":
            return None
        return sum(each.size for part in self.parts for each in part)

    @property
    def model_version(self) -> str:
        """The version alone."""
        return self.model.rpartition("/")[2]

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of what the answers depend on: all but how it is divided."""
        content = self.model_dump_json(exclude={"parts"}).encode()
        return hashlib.sha256(content).hexdigest()


class Record(BaseModel):
    """What became of a part, or of several together.

    Attributes
    ----------
    reasons
        How many times each reason was one, by field and rule.
    """

    model_config = ConfigDict(frozen=True)

    scored: int = 0
    refused: int = 0
    reasons: dict[str, int] = {}

    def __add__(self, other: "Record") -> "Record":
        """Return both together."""
        names = sorted(self.reasons.keys() | other.reasons.keys())
        reasons = {name: self.reasons.get(name, 0) + other.reasons.get(name, 0) for name in names}
        scored, refused = self.scored + other.scored, self.refused + other.refused
        return Record(scored=scored, refused=refused, reasons=reasons)


def make(
    source: str, *, model: str, model_sha256: str, features: Sequence[str], parts: int = 0
) -> Plan:
    """Look at an input and divide it.

    Parameters
    ----------
    source
        The address of a file or a folder.
    features
        The columns that it has to have.
    parts
        About how many parts to make; 0 for one in each `ROWS` rows of Parquet, or each file of CSV.

    Raises
    ------
    InputError
        If there is nothing to score, a column is missing, of a type that no number has, or of a
        name that the output needs, or files differ in their columns.
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
    """Divide slices, in their order, into at most so many parts of about the same size.

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
    """Return the name that the files of a part have.

    Examples
    --------
    >>> name(7)
    'part-00007'
    """
    return f"part-{part:05}"


def record_place(output: Place, part: int) -> Place:
    """Return where the record of a part is once the part is done."""
    return output.at(f"{PARTS}/{name(part)}.json")


def records(output: Place) -> dict[int, Record]:
    """Return the records of the parts that are done."""
    found = storage.files(output.at(PARTS), (".json",))
    numbered = ((int(info.base_name[5:10]), info.path) for info in found)
    return {number: Record.model_validate_json(output.of(path).read()) for number, path in numbered}


def total(done: dict[int, Record]) -> Record:
    """Return what became of all parts together."""
    return sum(done.values(), Record())


def as_json(content: Any) -> bytes:
    """Return what is written to a file that people read too."""
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
            # Bytes that are no UTF-8 are the executors' to find, but for those of the first line.
            text = stream.read(_HEADER_BYTES).decode("utf-8-sig", errors="replace")
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
    if len(set(names)) < len(names):  # not named: without a header they would be values
        found.append("some have the same name")
    if found:
        raise InputError(f"{path}: columns {'; '.join(found)}")


def _check_types(path: str, schema: Any, features: Sequence[str]) -> None:
    for each in features:
        kind = schema.field(each).type
        if not rules.is_readable(kind):
            raise InputError(f"{path}: column {each} is of type {kind}, expected a number or text")
