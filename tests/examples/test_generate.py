"""Generated patients: as many as asked, plausible, the stated share bad, the same each time."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from pydantic import ValidationError

from examples import generate
from examples.generate import CHUNK, ID, SCHEMA, Table, chunks, faults, main
from mypreprocessing import FEATURES, MEASUREMENTS, Patient, preprocess
from tests.environ import ROOT
from training.dataset import read
from training.options import DATA

ROWS = 3000
TABLE = Table(rows=ROWS, partitions=3, bad_share=0.01, seed=7)


def records(table: Table) -> list[dict[str, object]]:
    batches = (chunk for part in range(table.partitions) for chunk in chunks(table, part))
    return [row for batch in batches for row in batch.to_pylist()]


def broken_rules(row: dict[str, object]) -> list[tuple[object, str]]:
    """The fields and the kinds of the rules that a row breaks, by `Patient` itself."""
    try:
        Patient.model_validate({name: row[name] for name in FEATURES})
    except ValidationError as error:
        return [(found["loc"][0], found["type"]) for found in error.errors(include_input=False)]
    return []


def test_there_are_as_many_rows_as_asked_each_with_its_number() -> None:
    assert [row[ID] for row in records(TABLE)] == list(range(ROWS))


def test_the_stated_share_breaks_one_rule_each_and_every_rule_is_broken_in_turns() -> None:
    broken = [rules for row in records(TABLE) if (rules := broken_rules(row))]
    assert len(broken) == round(TABLE.bad_share * ROWS)
    assert all(len(rules) == 1 for rules in broken)
    kinds = Counter(field for ((field, _),) in broken)
    in_turns = [faults()[number % len(faults())].field for number in range(len(broken))]
    assert kinds == Counter(in_turns)


def test_every_bound_of_every_field_and_every_null_is_a_fault() -> None:
    found = Counter(fault.field for fault in faults())
    assert found == {name: 2 if name in MEASUREMENTS else 3 for name in FEATURES}


def test_without_a_bad_share_every_row_is_a_patient() -> None:
    table = Table(rows=ROWS, partitions=2, seed=3)
    assert not any(broken_rules(row) for row in records(table))


def test_a_partition_is_the_same_whatever_is_made_before_it(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    generate.write(TABLE, whole)
    generate.write_partition(TABLE, 2, tmp_path / "alone.parquet")
    assert (tmp_path / "alone.parquet").read_bytes() == (whole / "part-00002.parquet").read_bytes()
    again = tmp_path / "again"
    generate.write(TABLE, again)
    assert [path.read_bytes() for path in sorted(again.iterdir())] == [
        path.read_bytes() for path in sorted(whole.iterdir())
    ]


def test_another_seed_gives_other_patients() -> None:
    one, other = (records(Table(rows=10, seed=seed)) for seed in (1, 2))
    assert one != other


def test_two_partitions_hold_different_patients() -> None:
    halves = [pa.Table.from_batches(chunks(Table(20, 2), part)).drop([ID]) for part in (0, 1)]
    assert halves[0] != halves[1]


def test_patients_are_spread_as_those_of_the_pima_data() -> None:
    made = _frame(pd.DataFrame(records(Table(rows=20_000, seed=1)))[list(FEATURES)])
    known = _frame(read(ROOT / DATA).records)
    scale = known.std()
    assert ((made.mean() - known.mean()).abs() < 0.15 * scale).all()
    assert made.std().between(0.8 * scale, 1.2 * scale).all()
    assert ((made.isna().mean() - known.isna().mean()).abs() < 0.02).all()
    ranks = made.corr("spearman") - known.corr("spearman")
    assert ranks.abs().to_numpy().max() < 0.2


def test_a_missing_measurement_is_null_or_0_alike() -> None:
    made = pd.DataFrame(records(Table(rows=5000, seed=1)))
    for name in MEASUREMENTS:
        share = (made[name] == 0).sum() / (made[name].isna() | (made[name] == 0)).sum()
        assert 0.2 < share < 0.8, name


def test_a_file_is_made_in_chunks(tmp_path: Path) -> None:
    path = tmp_path / "one.parquet"
    generate.write_partition(Table(rows=2 * CHUNK + 1), 0, path)
    found = parquet.ParquetFile(path)
    assert [found.metadata.row_group(n).num_rows for n in range(3)] == [CHUNK, CHUNK, 1]
    assert found.schema_arrow == SCHEMA


def test_the_command_says_what_it_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "patients"
    arguments = ["--rows", "2500", "--bad-share", "0.02", "--partitions", "2", str(output)]
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"{output}: 2,500 rows in 2 files, 50 of them bad\n"
    assert parquet.read_table(output).num_rows == 2500
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["patients"]


def test_what_exists_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rows", "1", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (f"error: {tmp_path} exists: name a folder that does not\n")
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["--rows", "1", str(tmp_path / "file" / "patients")]) == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/file/patients cannot be written: Not a directory\n"
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [("--rows", "-1"), ("--bad-share", "1.5"), ("--bad-share", "nan"), ("--partitions", "0")],
)
def test_an_option_out_of_its_limits_is_named(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--rows", "1", option, value, str(tmp_path / "patients")])
    assert f"{option}: expected " in capsys.readouterr().err.splitlines()[-1]


def _frame(frame: pd.DataFrame) -> pd.DataFrame:
    features = preprocess(frame).astype(np.float64)
    return pd.DataFrame(features, columns=list(FEATURES))
