"""Generate a table of plausible patients, who do not exist, as Parquet, for tests and benchmarks.

    python -m examples.generate --rows 1000000 --bad-share 0.001 --partitions 8 --seed 7 patients

A file depends only on the seed and its own number: it is the same in any order and on any machine.
It is made in chunks, so memory does not grow with the rows. Neither Spark nor Java is needed.
"""

import argparse
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from annotated_types import Ge, Le
from pyarrow import parquet

from mlflow_sealed import process
from mypreprocessing import FEATURES, MEASUREMENTS, Patient

ID: Final = "id"
"""The column before the features: the number of the row in the whole table, from 0."""

CHUNK: Final = 1 << 16
"""How many rows there are in memory at a time, and in a row group of a file."""

Floats = npt.NDArray[np.float64]


class GenerateError(Exception):
    """The table cannot be made; the message says why."""


@dataclass(frozen=True)
class Table:
    """What table to make.

    Attributes
    ----------
    rows, partitions
        How many rows, divided evenly into how many files.
    bad_share
        The share of rows that break a rule of `Patient`, from 0 to 1.
    seed
        Another one gives other patients.
    """

    rows: int
    partitions: int = 1
    bad_share: float = 0.0
    seed: int = 0

    def span(self, partition: int) -> tuple[int, int]:
        """Return the numbers of a partition's first row, and of the one after its last.

        Examples
        --------
        >>> [Table(rows=10, partitions=3).span(partition) for partition in range(3)]
        [(0, 3), (3, 6), (6, 10)]
        """
        first, last = (
            self.rows * number // self.partitions for number in (partition, partition + 1)
        )
        return first, last


class Fault(NamedTuple):
    """One way to break the rules: the field, the kind of rule, and a value that breaks it."""

    field: str
    rule: str
    value: float | None


class Marginal(NamedTuple):
    """How one feature is distributed: normal, or log-normal above an offset, within two ends."""

    location: float
    scale: float
    least: float
    most: float
    decimals: int
    logarithmic: bool = False
    offset: float = 0.0
    missing: float = 0.0


MARGINALS: Final = {
    "pregnancies": Marginal(1.3, 0.65, 0, 17, 0, logarithmic=True, offset=-1),
    "glucose": Marginal(121.7, 30.5, 44, 199, 0, missing=0.007),
    "blood_pressure": Marginal(72.4, 12.4, 24, 122, 0, missing=0.046),
    "skin_thickness": Marginal(29.2, 10.5, 7, 99, 0, missing=0.296),
    "insulin": Marginal(4.8, 0.75, 14, 846, 0, logarithmic=True, missing=0.487),
    "bmi": Marginal(32.5, 6.9, 18.2, 67.1, 1, missing=0.014),
    "diabetes_pedigree": Marginal(-0.95, 0.65, 0.078, 2.42, 3, logarithmic=True),
    "age": Marginal(2.1, 1.0, 21, 81, 0, logarithmic=True, offset=21),
}
"""Means, spreads, ends and missing shares near those of the Pima data (Smith et al. 1988)."""

CORRELATIONS: Final = {
    ("pregnancies", "age"): 0.6,
    ("glucose", "insulin"): 0.6,
    ("skin_thickness", "bmi"): 0.65,
    ("blood_pressure", "age"): 0.35,
    ("blood_pressure", "bmi"): 0.3,
    ("glucose", "age"): 0.3,
    ("glucose", "blood_pressure"): 0.25,
    ("glucose", "bmi"): 0.25,
    ("insulin", "age"): 0.25,
    ("insulin", "bmi"): 0.3,
    ("skin_thickness", "age"): 0.2,
    ("skin_thickness", "insulin"): 0.25,
    ("skin_thickness", "glucose"): 0.2,
    ("blood_pressure", "skin_thickness"): 0.2,
    ("pregnancies", "glucose"): 0.15,
    ("pregnancies", "blood_pressure"): 0.2,
}
"""What goes together in the Pima data, by rank; the other pairs are independent here."""


@process.command(GenerateError)
def main(arguments: list[str] | None = None) -> int:
    """Write a table and return the exit status."""
    options = _parse(arguments)
    table = Table(options.rows, options.partitions, options.bad_share, options.seed)
    write(table, options.output)
    bad = int(bad_before(table, table.rows))
    print(f"{options.output}: {table.rows:,} rows in {table.partitions} files, {bad:,} of them bad")
    return 0


def write(table: Table, output: Path) -> None:
    """Write a table as a folder of Parquet files, which appears when it is complete.

    Raises
    ------
    GenerateError
        If `output` exists, or cannot be written.
    """
    if output.exists():
        raise GenerateError(f"{output} exists: name a folder that does not")
    part = output.with_name(f"{output.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        for partition in range(table.partitions):
            write_partition(table, partition, part / f"part-{partition:05}.parquet")
        part.rename(output)
    except OSError as error:
        raise GenerateError(f"{output} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_partition(table: Table, partition: int, path: Path) -> None:
    """Write one file of a table, in row groups of `CHUNK` rows."""
    with parquet.ParquetWriter(path, SCHEMA, compression="snappy") as writer:
        for chunk in chunks(table, partition):
            writer.write_batch(chunk)


def chunks(table: Table, partition: int) -> Iterator[pa.RecordBatch]:
    """Give the rows of one partition, `CHUNK` at a time.

    Returns
    -------
    iterator of pyarrow.RecordBatch
        With `SCHEMA`. A measurement that is missing is null in half of the cases, else 0.
    """
    random = np.random.default_rng([table.seed, partition])
    first, last = table.span(partition)
    for start in range(first, last, CHUNK):
        rows = np.arange(start, min(start + CHUNK, last))
        features = _spoiled(_patients(random, len(rows)), table, start)
        columns = [
            pa.array(column, SCHEMA.field(name).type, mask=np.isnan(column))
            for name, column in zip(FEATURES, features.T, strict=True)
        ]
        yield pa.record_batch([pa.array(rows), *columns], schema=SCHEMA)


def bad_before(table: Table, row: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return how many of the rows before `row` are bad: their share, rounded.

    Examples
    --------
    >>> bad_before(Table(rows=1000, bad_share=0.01), [0, 50, 51, 1000]).tolist()
    [0, 0, 1, 10]
    """
    return np.rint(np.asarray(row) * table.bad_share).astype(np.int64)


def faults() -> list[Fault]:
    """Return the ways to break a rule of `Patient`, which bad rows take in turns.

    They follow from the fields' own bounds, and from which of them may be null.
    """
    return [fault for name in FEATURES for fault in _faults(name)]


def _faults(name: str) -> Iterator[Fault]:
    for bound in Patient.model_fields[name].metadata:
        match bound:
            case Ge(ge=least):
                yield Fault(name, "greater_than_equal", float(least) - 1)  # type: ignore[arg-type] # a number
            case Le(le=most):
                yield Fault(name, "less_than_equal", float(most) + 1)  # type: ignore[arg-type] # a number
    if name not in MEASUREMENTS:
        yield Fault(name, "null", None)


def _patients(random: np.random.Generator, count: int) -> Floats:
    """Return good rows, shape (count, 8), NaN where a measurement is null."""
    features = random.standard_normal((count, len(FEATURES))) @ _MIXING.T
    for position, name in enumerate(FEATURES):
        features[:, position] = _quantiles(MARGINALS[name], features[:, position])
    absence = random.random((count, len(FEATURES)))
    features[absence < _MISSING] = 0
    features[absence < _MISSING / 2] = np.nan
    return features


def _quantiles(marginal: Marginal, normal: Floats) -> Floats:
    values = marginal.location + marginal.scale * normal
    values = np.exp(values) + marginal.offset if marginal.logarithmic else values
    clipped: Floats = np.clip(values, marginal.least, marginal.most)
    return clipped.round(marginal.decimals)


def _spoiled(features: Floats, table: Table, start: int) -> Floats:
    """Return a chunk that begins with row `start` with one rule broken in each bad row."""
    spoiled, kinds = features.copy(), faults()
    before = bad_before(table, np.arange(start, start + len(features) + 1))
    for row in np.flatnonzero(np.diff(before)):
        field, _, value = kinds[before[row] % len(kinds)]
        spoiled[row, FEATURES.index(field)] = np.nan if value is None else value
    return spoiled


def _mixing() -> Floats:
    """Return the matrix that makes independent normal numbers correlate, shape (8, 8)."""
    correlation = np.eye(len(FEATURES))
    for (one, other), value in CORRELATIONS.items():
        pair = FEATURES.index(one), FEATURES.index(other)
        correlation[pair] = correlation[pair[::-1]] = value
    mixing: Floats = np.linalg.cholesky(correlation).astype(np.float64)
    return mixing


def _schema() -> pa.Schema:
    fields = Patient.model_fields.items()
    columns = [
        (name, pa.int32() if field.annotation is int else pa.float64()) for name, field in fields
    ]
    return pa.schema([(ID, pa.int64()), *columns])


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m examples.generate", description="Make patients."
    )
    parser.add_argument("--rows", type=int, required=True, help="how many patients")
    parser.add_argument("--bad-share", type=float, default=0.0, help="share that break a rule")
    parser.add_argument("--partitions", type=int, default=1, help="how many files (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another one, other patients")
    parser.add_argument("output", type=Path, help="the folder to make")
    options = parser.parse_args(arguments)
    for name, least, most in _LIMITS:
        value = getattr(options, name)
        if not least <= value <= most:
            flag = name.replace("_", "-")
            parser.error(f"--{flag}: expected {least:g} to {most:g}, got {value:g}")
    return options


SCHEMA: Final = _schema()
_MIXING: Final = _mixing()
_MISSING: Final = np.array([MARGINALS[name].missing for name in FEATURES])
_LIMITS: Final = (
    ("rows", 0, 1e12),
    ("bad_share", 0, 1),
    ("partitions", 1, 1e5),
    ("seed", 0, 2**63),
)

if __name__ == "__main__":
    sys.exit(main())
