"""Score a part in an executor: read it, check it, ask the model, and write the part's files.

The model is the logged pyfunc itself. Rows go from the files of the input to those of the output:
neither the driver nor Spark's own processes see them. Executors import this module, so it imports
installed distributions only.
"""

import contextlib
import csv
import gc
import inspect
import io
import itertools
import typing
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from mlflow_sealed.batch import plan, rules, storage, tally
from mlflow_sealed.batch.plan import Plan, Slice
from mlflow_sealed.batch.rules import BrokenRule, Rule
from mlflow_sealed.batch.storage import Place
from mlflow_sealed.batch.tally import Tally

CHUNK_ROWS: Final = 2**16
"""How many rows are in memory at once."""

_REFUSED: Final = pa.schema(
    {"file": pa.string(), "row": pa.int64(), "field": pa.string(), "rule": pa.string()}
)


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
    """

    table: Any
    rows: npt.NDArray[np.int64]
    unreadable: list[tuple[int, str]]


class Scorer(NamedTuple):
    """A loaded model.

    Attributes
    ----------
    decide
        The model's method that scores a table of its record's fields (null is NaN), n rows. It
        returns the classes (int8) and their probabilities (float64), both of shape (n,).
    record
        The type of one row.
    rules
        The rules of the record.
    version
        The model's version, which stands in every scored row.
    """

    decide: Callable[[pd.DataFrame], tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]]
    record: type[BaseModel]
    rules: tuple[Rule, ...]
    version: str


def run(parts: Iterable[int], *, output: str, model: str) -> Iterator[str]:
    """Score some parts: the function that ``mapPartitions`` takes.

    Parameters
    ----------
    parts
        Their numbers in the plan.
    output
        The address of the output, which has the plan.
    model
        The name of the model's archive.

    Yields
    ------
    str
        Why a part cannot be read. It is no exception, after which Spark would try again in vain.
    """
    from pyspark import SparkFiles  # noqa: PLC0415 # only Spark's executors have it

    folder = SparkFiles.get(model)
    place = storage.locate(output)
    job = Plan.model_validate_json(place.at(plan.PLAN).read())
    for part in parts:
        try:
            score_part(job, part, place, scorer(folder, job.model_version))
        except plan.InputError as error:
            yield str(error)


@lru_cache(maxsize=1)
def scorer(folder: str, version: str) -> Scorer:
    """Load the logged pyfunc, once in each process."""
    import mlflow.pyfunc  # noqa: PLC0415 # takes a second or two

    model = mlflow.pyfunc.load_model(folder).unwrap_python_model()
    # pyspark collects garbage after each task, and would traverse the imported modules each time.
    gc.freeze()
    record = row_type(model)
    return Scorer(model.decide, record, rules.rules_of(record), version)


def row_type(model: Any) -> type[BaseModel]:
    """Return the type of a model's rows: T where its ``predict`` takes ``list[T]``.

    Raises
    ------
    TypeError
        If it takes something else.
    """
    rows = typing.get_type_hints(inspect.unwrap(type(model).predict)).get("model_input")
    [row] = typing.get_args(rows) or (None,)
    if not isinstance(row, type) or not issubclass(row, BaseModel):
        raise TypeError(f"predict takes {rows}, expected list[…] of a pydantic model")
    return row


def score_part(job: Plan, part: int, output: Place, scorer: Scorer) -> Tally:
    """Score a part: write its two files, then its tally, which says that it is done.

    Scored again, also by two executors at once, it gives the same files under the same names.

    Raises
    ------
    mlflow_sealed.batch.plan.InputError
        If the part cannot be read.
    """
    name = f"{plan.name(part)}.parquet"
    total = Tally()
    with (
        _writing(output.at(f"{plan.SCORED}/{name}")) as write_scored,
        _writing(output.at(f"{plan.REFUSED}/{name}")) as write_refused,
    ):
        for each in job.parts[part]:
            for chunk in read(job, each):
                scored, broken = score_chunk(chunk, scorer, text=job.format == "csv")
                write_scored(scored)
                write_refused(_refused(_shown(job, each), chunk, broken))
                total += _tally(len(scored), chunk, broken)
    tally.place(output, part).write(plan.as_json(total.model_dump()))
    return total


def read(job: Plan, part: Slice) -> Iterator[Chunk]:
    """Read a slice of the input by chunks, at least one.

    Raises
    ------
    mlflow_sealed.batch.plan.InputError
        If the file is broken, or is no longer the one that was planned with.
    """
    place = storage.locate(job.input).of(job.files[part.file].path)
    try:
        with place.system.open_input_file(place.path) as file:
            yield from _from_parquet(file, part) if job.format == "parquet" else _from_csv(file)
    except (pa.ArrowException, UnicodeDecodeError, csv.Error):
        # Not chained: they may show what they could not read.
        kind = "Parquet" if job.format == "parquet" else "CSV in UTF-8"
        raise plan.InputError(f"{_shown(job, part)}: is not {kind} that can be read") from None


def score_chunk(chunk: Chunk, scorer: Scorer, *, text: bool) -> tuple[Any, list[BrokenRule]]:
    """Return the scored rows of a chunk, and the rules that the other rows break.

    Parameters
    ----------
    text
        Whether the columns are text: then those of the features become numbers.
    """
    columns = {rule.name: chunk.table.column(rule.name) for rule in scorer.rules}
    checked = rules.check(columns, scorer.rules, scorer.record)
    records, table = checked.records, chunk.table
    if text:
        table = _with_numbers(table, checked, scorer.rules)
    if not checked.accepted.all():
        records = records[checked.accepted]
        table = table.filter(pa.array(checked.accepted))
    pred, probability = scorer.decide(records)
    added = {
        "pred": pa.array(pred),
        "probability": pa.array(probability),
        "model_version": pa.repeat(scorer.version, len(pred)),
    }
    scored = pa.RecordBatch.from_arrays(
        [*table.columns, *(added[name].cast(kind) for name, kind in plan.ADDED.items())],
        names=[*table.schema.names, *plan.ADDED],
    )
    return scored, checked.broken


def _from_parquet(file: Any, part: Slice) -> Iterator[Chunk]:
    opened, first = pq.ParquetFile(file), part.first
    batches = opened.iter_batches(CHUNK_ROWS, row_groups=[part.group], use_threads=False)
    empty = opened.schema_arrow.empty_table().to_batches() or [_empty(opened.schema_arrow)]
    for batch in itertools.chain([next(batches, empty[0])], batches):
        yield Chunk(batch, np.arange(first, first + len(batch)), [])
        first += len(batch)


def _from_csv(file: Any) -> Iterator[Chunk]:
    lines = csv.reader(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""), strict=True)
    header = next(lines)
    while True:
        rows: list[list[str]] = []
        numbers: list[int] = []
        unreadable: list[tuple[int, str]] = []
        for cells in itertools.islice(lines, CHUNK_ROWS):
            if len(cells) == len(header):
                rows.append(cells)
                numbers.append(lines.line_num)
            elif cells:  # an empty line is no row
                unreadable.append(
                    (lines.line_num, f"expected {len(header)} cells, got {len(cells)}")
                )
        yield Chunk(_text(header, rows), np.array(numbers, dtype=np.int64), unreadable)
        if not rows and not unreadable:
            return


def _text(header: list[str], rows: list[list[str]]) -> Any:
    """Return cells as columns of text; an empty one is null."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in header)
    arrays = [pa.array([cell or None for cell in cells], pa.string()) for cells in columns]
    return pa.RecordBatch.from_arrays(arrays, names=header)


def _empty(schema: Any) -> Any:
    return pa.RecordBatch.from_arrays([pa.array([], each.type) for each in schema], schema=schema)


def _with_numbers(table: Any, checked: rules.Checked, kinds: tuple[Rule, ...]) -> Any:
    """Return a table whose columns of features are numbers; undefined where a row is refused."""
    for rule in kinds:
        numbers = checked.records[rule.name].where(checked.accepted)
        kind = pa.int64() if rule.whole else pa.float64()
        column = pa.array(numbers, pa.float64(), from_pandas=True).cast(kind)
        table = table.set_column(table.schema.get_field_index(rule.name), rule.name, column)
    return table


def _refused(file: str, chunk: Chunk, broken: list[BrokenRule]) -> Any:
    """Return the table of refused rows: where they are and why, without their values."""
    checked = [(int(chunk.rows[each.row]), each.field, each.rule) for each in broken]
    found = sorted([*checked, *((row, None, why) for row, why in chunk.unreadable)], key=_row)
    columns = zip(*found, strict=True) if found else ([], [], [])
    arrays = [[file] * len(found), *columns]
    return pa.RecordBatch.from_arrays(
        [pa.array(values, each.type) for values, each in zip(arrays, _REFUSED, strict=True)],
        schema=_REFUSED,
    )


def _row(found: tuple[int, str | None, str]) -> int:
    return found[0]


def _tally(scored: int, chunk: Chunk, broken: list[BrokenRule]) -> Tally:
    reasons = Counter(f"{each.field}: {each.rule}" for each in broken)
    reasons.update(why for _, why in chunk.unreadable)
    refused = len({each.row for each in broken}) + len(chunk.unreadable)
    return Tally(scored=scored, refused=refused, reasons=dict(reasons))


def _shown(job: Plan, part: Slice) -> str:
    """Return the name of a slice's file within the input."""
    path, top = job.files[part.file].path, storage.locate(job.input).path
    return path.removeprefix(f"{top}/") if path != top else path.rpartition("/")[2]


@contextlib.contextmanager
def _writing(place: Place) -> Iterator[Callable[[Any], None]]:
    """Give a function that adds rows to a Parquet file, which appears when the block ends."""
    with place.replaced() as path, contextlib.ExitStack() as stack:
        writer: Any = None

        def add(rows: Any) -> None:
            nonlocal writer
            if writer is None:
                # Numbers that are all different gain nothing from a dictionary.
                repeated = [name for name in rows.schema.names if name != "probability"]
                writer = stack.enter_context(
                    pq.ParquetWriter(
                        path, rows.schema, filesystem=place.system, use_dictionary=repeated
                    )
                )
            writer.write_batch(rows)

        yield add
