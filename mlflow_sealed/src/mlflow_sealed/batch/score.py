"""What executors do: read a part, check it, score it, and put its files into place.

The model is the logged pyfunc itself. The rows go from the input's files to those of
the output, and nowhere else: neither the driver nor Spark's own processes see them. It runs in the
executors: it imports installed distributions only.
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

from mlflow_sealed.batch import plan, rules, storage
from mlflow_sealed.batch.plan import Plan, Record, Slice
from mlflow_sealed.batch.rules import Refusal, Rule
from mlflow_sealed.batch.storage import Place

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
        As they were read; text where it was CSV.
    rows
        int64, the number of each in the file: from 0 in Parquet, the line's in CSV.
    broken
        The numbers of rows that are not in the table, and why.
    """

    table: Any
    rows: npt.NDArray[np.int64]
    broken: list[tuple[int, str]]


class Scorer(NamedTuple):
    """The model's own decision for a table, its record and the record's rules, its version."""

    decide: Callable[[pd.DataFrame], tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]]
    record: type[BaseModel]
    rules: tuple[Rule, ...]
    version: str


def run(parts: Iterable[int], *, output: str, model: str) -> Iterator[str]:
    """Do some parts, as ``mapPartitions`` asks for it.

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
        Why a part cannot be read, if it cannot: doing it again would not help.
    """
    from pyspark import SparkFiles  # noqa: PLC0415 # is there where Spark is

    folder = SparkFiles.get(model)
    place = storage.locate(output)
    job = Plan.model_validate_json(place.at(plan.PLAN).read())
    for part in parts:
        try:
            do(job, part, place, scorer(folder, job.model_version))
        except plan.InputError as error:
            yield str(error)


@lru_cache(maxsize=1)
def scorer(folder: str, version: str) -> Scorer:
    """Load the logged pyfunc, once in each process."""
    import mlflow.pyfunc  # noqa: PLC0415 # takes a second or two

    model = mlflow.pyfunc.load_model(folder).unwrap_python_model()
    # pyspark collects garbage after each task, and would look through all of this each time.
    gc.freeze()
    row = record(model)
    return Scorer(model.decide, row, rules.rules_of(row), version)


def record(model: Any) -> type[BaseModel]:
    """Return the type of a model's rows: T where its ``predict`` takes ``list[T]``.

    Raises
    ------
    TypeError
        If it takes something else.
    """
    predict = inspect.unwrap(type(model).predict)
    rows = typing.get_type_hints(predict).get("model_input")
    [row] = typing.get_args(rows) or (None,)
    if not isinstance(row, type) or not issubclass(row, BaseModel):
        raise TypeError(f"predict takes {rows}, expected list[…] of a pydantic model")
    return row


def do(job: Plan, part: int, output: Place, scorer: Scorer) -> Record:
    """Score a part: write its two files, then the record that says that it is done.

    Done twice, or by two at once, it gives the same files under the same names.

    Raises
    ------
    mlflow_sealed.batch.plan.InputError
        If the part cannot be read.
    """
    name = f"{plan.name(part)}.parquet"
    record = Record()
    with (
        _writing(output.at(f"{plan.SCORED}/{name}")) as scored,
        _writing(output.at(f"{plan.REFUSED}/{name}")) as refused,
    ):
        for each in job.parts[part]:
            for chunk in read(job, each):
                answers, refusals = answer(chunk, scorer, text=job.format == "csv")
                scored(answers)
                refused(_refused(_shown(job, each), chunk, refusals))
                record += _record(len(answers), chunk, refusals)
    plan.record_place(output, part).write(plan.as_json(record.model_dump()))
    return record


def read(job: Plan, part: Slice) -> Iterator[Chunk]:
    """Read a slice of the input by chunks, at least one.

    Raises
    ------
    mlflow_sealed.batch.plan.InputError
        If the file is broken, or not the one any more that was planned with.
    """
    place = storage.locate(job.input).of(job.files[part.file].path)
    try:
        with place.system.open_input_file(place.path) as file:
            yield from _from_parquet(file, part) if job.format == "parquet" else _from_csv(file)
    except (pa.ArrowException, UnicodeDecodeError, csv.Error):
        # Not chained: they may show what they could not read.
        kind = "Parquet" if job.format == "parquet" else "CSV in UTF-8"
        raise plan.InputError(f"{_shown(job, part)}: is not {kind} that can be read") from None


def answer(chunk: Chunk, scorer: Scorer, *, text: bool) -> tuple[Any, list[Refusal]]:
    """Return the scored rows of a chunk, and why the others are refused.

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
    answers = pa.RecordBatch.from_arrays(
        [*table.columns, *(added[name].cast(kind) for name, kind in plan.ADDED.items())],
        names=[*table.schema.names, *plan.ADDED],
    )
    return answers, checked.refusals


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
        broken: list[tuple[int, str]] = []
        for cells in itertools.islice(lines, CHUNK_ROWS):
            if len(cells) == len(header):
                rows.append(cells)
                numbers.append(lines.line_num)
            elif cells:  # an empty line is none
                broken.append((lines.line_num, f"expected {len(header)} cells, got {len(cells)}"))
        yield Chunk(_text(header, rows), np.array(numbers, dtype=np.int64), broken)
        if not rows and not broken:
            return


def _text(header: list[str], rows: list[list[str]]) -> Any:
    """Return cells as columns of text; an empty one is null."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in header)
    arrays = [pa.array([cell or None for cell in cells], pa.string()) for cells in columns]
    return pa.RecordBatch.from_arrays(arrays, names=header)


def _empty(schema: Any) -> Any:
    return pa.RecordBatch.from_arrays([pa.array([], each.type) for each in schema], schema=schema)


def _with_numbers(table: Any, checked: rules.Checked, kinds: tuple[Rule, ...]) -> Any:
    """Return a table whose columns of features are numbers; without a meaning where refused."""
    for rule in kinds:
        numbers = checked.records[rule.name].where(checked.accepted)
        kind = pa.int64() if rule.whole else pa.float64()
        column = pa.array(numbers, pa.float64(), from_pandas=True).cast(kind)
        table = table.set_column(table.schema.get_field_index(rule.name), rule.name, column)
    return table


def _refused(file: str, chunk: Chunk, refusals: list[Refusal]) -> Any:
    """Return the table of refused rows: where they are, and why; no value of theirs."""
    found = [(int(chunk.rows[each.row]), each.field, each.rule) for each in refusals]
    found = sorted([*found, *((row, None, rule) for row, rule in chunk.broken)], key=_row)
    columns = zip(*found, strict=True) if found else ([], [], [])
    arrays = [[file] * len(found), *columns]
    return pa.RecordBatch.from_arrays(
        [pa.array(values, each.type) for values, each in zip(arrays, _REFUSED, strict=True)],
        schema=_REFUSED,
    )


def _row(found: tuple[int, str | None, str]) -> int:
    return found[0]


def _record(scored: int, chunk: Chunk, refusals: list[Refusal]) -> Record:
    reasons = Counter(f"{each.field}: {each.rule}" for each in refusals)
    reasons.update(rule for _, rule in chunk.broken)
    refused = len({each.row for each in refusals}) + len(chunk.broken)
    return Record(scored=scored, refused=refused, reasons=dict(reasons))


def _shown(job: Plan, part: Slice) -> str:
    """Return the name of a slice's file within the input."""
    path, top = job.files[part.file].path, storage.locate(job.input).path
    return path.removeprefix(f"{top}/") if path != top else path.rpartition("/")[2]


@contextlib.contextmanager
def _writing(place: Place) -> Iterator[Callable[[Any], None]]:
    """Give a function that adds rows to a file of Parquet, which is in its place at the end."""
    with place.replaced() as path, contextlib.ExitStack() as stack:
        writer: Any = None

        def add(rows: Any) -> None:
            nonlocal writer
            if writer is None:
                # A dictionary of numbers that are all different helps nobody.
                repeated = [name for name in rows.schema.names if name != "probability"]
                writer = stack.enter_context(
                    pq.ParquetWriter(
                        path, rows.schema, filesystem=place.system, use_dictionary=repeated
                    )
                )
            writer.write_batch(rows)

        yield add
