"""Score a part in an executor: read it, check it, ask the model, and write the part's files.

The model is the logged pyfunc itself. Rows go from the files of the input to those of the output:
neither the driver nor Spark's own processes see them. Executors import this module, so it imports
installed distributions only.
"""

import contextlib
import gc
import inspect
import os
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

from mlflow_sealed.batch import chunks, plan, rules, storage, tally
from mlflow_sealed.batch.chunks import Chunk
from mlflow_sealed.batch.plan import Plan
from mlflow_sealed.batch.rules import BrokenRule, Rule
from mlflow_sealed.batch.storage import Place
from mlflow_sealed.batch.tally import Tally

_REFUSED: Final = pa.schema(
    {"file": pa.string(), "row": pa.int64(), "field": pa.string(), "rule": pa.string()}
)


class Scorer(NamedTuple):
    """A loaded model.

    Attributes
    ----------
    decide
        The model's method that scores a table of its record's fields (null is NaN), n rows. It
        returns the classes (int8) and their probabilities (float64), both of shape (n,).
    record
        The type of one row.
    explain
        The model's own ``predict``, which gives the reasons of records.
    reasons
        The names of what contributes to a prediction.
    rules
        The rules of the record.
    version
        The model's version, which stands in every scored row.
    """

    decide: Callable[[pd.DataFrame], tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]]
    explain: Callable[[list[BaseModel]], list[dict[str, Any]]]
    reasons: tuple[str, ...]
    record: type[BaseModel]
    rules: tuple[Rule, ...]
    version: str


class WriteError(OSError):
    """The output cannot be written; the message says why and what to do."""


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
        except (plan.InputError, WriteError) as error:
            yield str(error)


@lru_cache(maxsize=1)
def scorer(folder: str, version: str) -> Scorer:
    """Load the logged pyfunc, once in each process.

    Raises
    ------
    TypeError
        If it cannot score a table; the message says why.
    """
    import mlflow.pyfunc  # noqa: PLC0415 # takes a second or two

    model = mlflow.pyfunc.load_model(folder).unwrap_python_model()
    if not hasattr(model, "decide"):
        raise TypeError("it has no method decide, which scores a table: train again")
    # pyspark collects garbage after each task, and would traverse the imported modules each time.
    gc.freeze()
    record = row_type(model)

    def explain(rows: list[BaseModel]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = model.predict(None, rows, {"explain": True})
        return found

    found = rules.rules_of(record)
    # A model whose features are not its fields says which they are.
    made = getattr(model, "preprocessing", None)
    reasons = tuple(getattr(made, "names", (rule.name for rule in found)))
    return Scorer(model.decide, explain, reasons, record, found, version)


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


def score_part(
    job: Plan,
    part: int,
    output: Place,
    scorer: Scorer,
    *,
    report: Callable[[Tally, int], None] = lambda _, __: None,
) -> Tally:
    """Score a part: write its two files, then its tally, which says that it is done.

    Scored again, also by two processes at once, it gives the same files under the same names.

    Parameters
    ----------
    report
        Is called after each chunk, with its tally and how much of the part is read: rows, or bytes.

    Raises
    ------
    mlflow_sealed.batch.plan.InputError
        If the part cannot be read, or its file is no longer the one that was planned with.
    WriteError
        If the output cannot be written.
    """
    name = f"{plan.name(part)}.parquet"
    total = Tally()
    with (
        _told(output),
        _writing(output.at(f"{plan.SCORED}/{name}")) as write_scored,
        _writing(output.at(f"{plan.REFUSED}/{name}")) as write_refused,
    ):
        for each in job.parts[part]:
            for chunk in chunks.read(job, each):
                scored, broken = score_chunk(chunk, scorer, job)
                write_scored(scored)
                write_refused(_refused(chunks.shown(job, each), chunk, broken))
                tallied = _tally(len(scored), chunk, broken)
                total += tallied
                report(tallied, chunk.read)
            chunks.check_unchanged(job, each)
        tally.place(output, part).write(plan.as_json(total.model_dump()))
    return total


@contextlib.contextmanager
def _told(output: Place) -> Iterator[None]:
    """Turn what the file system does not allow into a line for the user."""
    try:
        yield
    except storage.StorageError:
        raise
    except OSError as error:
        said = os.strerror(error.errno) if error.errno else "its store refused it"
        raise WriteError(
            f"{output.path} cannot be written: {said}; what is done stays: mend that, and start "
            "again"
        ) from None


def score_chunk(chunk: Chunk, scorer: Scorer, job: Plan) -> tuple[Any, list[BrokenRule]]:
    """Return the scored rows of a chunk, and the rules that the other rows break."""
    fields = {rule.name: chunk.table.column(rule.name) for rule in scorer.rules}
    checked = rules.check(fields, scorer.rules, scorer.record)
    records, table = checked.records, chunk.table
    if job.format == "csv":
        table = _with_numbers(table, checked, scorer.rules)
    if not checked.accepted.all():
        records = records[checked.accepted]
        table = table.filter(pa.array(checked.accepted))
    table = table.select(list(job.kept))
    added = _explained(records, scorer) if job.explain else _decided(records, scorer)
    added["model_version"] = pa.repeat(scorer.version, len(records))
    cast = {name: values.cast(plan.ADDED.get(name, values.type)) for name, values in added.items()}
    order = [*plan.ADDED, *(plan.EXPLAINED if job.explain else ())]
    scored = pa.RecordBatch.from_arrays(
        [*table.columns, *(cast[name] for name in order)], names=[*table.schema.names, *order]
    )
    return scored, checked.broken


def _decided(records: pd.DataFrame, scorer: Scorer) -> dict[str, Any]:
    pred, probability = scorer.decide(records)
    return {"pred": pa.array(pred), "probability": pa.array(probability)}


def _explained(records: pd.DataFrame, scorer: Scorer) -> dict[str, Any]:
    """Return predictions with their reasons: the model's own answers, one record at a time."""
    rows = [
        scorer.record.model_validate(dict(zip(records.columns, values, strict=True)))
        for values in _plain_rows(records, scorer.rules)
    ]
    answers = scorer.explain(rows) if rows else []
    return {
        "pred": pa.array([each["pred"] for each in answers], pa.int8()),
        "probability": pa.array([each["probability"] for each in answers], pa.float64()),
        "base_value": pa.array([each["base_value"] for each in answers], pa.float64()),
        "contributions": pa.array(
            [each["contributions"] for each in answers],
            pa.struct([(name, pa.float64()) for name in scorer.reasons]),
        ),
    }


def _plain_rows(records: pd.DataFrame, kinds: tuple[Rule, ...]) -> Iterator[tuple[Any, ...]]:
    """Give the rows of a table of records as the record takes them: None for NaN."""
    columns_ = []
    for rule in kinds:
        values = records[rule.name].tolist()
        if rule.number:
            kind = int if rule.whole else float
            values = [None if value != value else kind(value) for value in values]  # noqa: PLR0124 # NaN
        columns_.append(values)
    return zip(*columns_, strict=True)


def _with_numbers(table: Any, checked: rules.Checked, kinds: tuple[Rule, ...]) -> Any:
    """Return a table whose columns of features are numbers; undefined where a row is refused."""
    for rule in kinds:
        if not rule.number:
            continue
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
