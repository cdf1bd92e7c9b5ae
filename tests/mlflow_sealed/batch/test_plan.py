"""The plan of a job: which inputs are refused before it begins, and how one is divided."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlflow_sealed.batch import plan
from mlflow_sealed.batch.plan import InputError, Plan, Slice
from tests.mlflow_sealed.batch.reading import FEATURES, reading


def table(rows: int = 3, **changes: Any) -> pa.Table:
    return pa.Table.from_pandas(pd.DataFrame([reading(**changes)] * rows), preserve_index=False)


def made(source: Path, parts: int = 0) -> Plan:
    return plan.make(
        str(source), model="models:/level/3", model_sha256="0" * 64, features=FEATURES, parts=parts
    )


def test_every_row_is_in_one_part(tmp_path: Path) -> None:
    for name, rows in (("a", 25), ("b", 7)):
        pq.write_table(table(rows), tmp_path / f"{name}.parquet", row_group_size=10)
    job = made(tmp_path, parts=2)
    assert len(job.parts) == 2
    assert [each for part in job.parts for each in part] == [
        Slice(0, 0, 0, 10),
        Slice(0, 1, 10, 10),
        Slice(0, 2, 20, 5),
        Slice(1, 0, 0, 7),
    ]
    assert job.rows == 32


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 40])
def test_parts_keep_the_order_and_have_about_the_same_size(parts: int) -> None:
    slices = [Slice(0, group, group * 10, 10) for group in range(21)]
    divided = plan.divide(slices, parts)
    assert [each for part in divided for each in part] == slices
    sizes = {len(part) for part in divided}
    assert max(sizes) - min(sizes) <= 1
    assert len(divided) == min(parts, 21)


def test_a_csv_file_is_a_part_for_its_lines_are_counted(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(f"{','.join(FEATURES)}\n", encoding="utf-8")
    job = made(tmp_path)
    assert [len(part) for part in job.parts] == [1, 1]
    assert job.rows is None


def test_another_input_is_another_job_and_another_division_is_not(tmp_path: Path) -> None:
    pq.write_table(table(30), tmp_path / "a.parquet", row_group_size=10)
    first = made(tmp_path)
    assert made(tmp_path, parts=3).parts != first.parts
    assert made(tmp_path, parts=3).fingerprint == first.fingerprint
    assert first.model_copy(update={"model_sha256": "1" * 64}).fingerprint != first.fingerprint
    pq.write_table(table(31), tmp_path / "a.parquet", row_group_size=10)
    assert made(tmp_path).fingerprint != first.fingerprint


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "a.parquet")
    job = made(tmp_path)
    assert Plan.model_validate_json(plan.as_json(job.model_dump(mode="json"))) == job


PARQUETS: dict[str, tuple[pa.Table, str]] = {
    "a missing column": (
        table().drop_columns(["months", "size"]),
        "a.parquet: columns missing: size, months",
    ),
    "a column of ours": (table(pred=1), "columns taken by the output: pred$"),
    "a type that is no number": (
        table(months=True),
        "a.parquet: column 'months' holds booleans; expected numbers, or numbers as text",
    ),
    "no rows": (table(0, x=1).select([]), "columns missing"),
}


@pytest.mark.parametrize(("content", "told"), PARQUETS.values(), ids=PARQUETS.keys())
def test_parquet_that_cannot_be_scored_is_refused(
    content: pa.Table, told: str, tmp_path: Path
) -> None:
    pq.write_table(content, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=told):
        made(tmp_path)


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    pq.write_table(table().slice(0, 0), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="has no rows"):
        made(tmp_path)


CSVS = {
    "no header": ("6,148,33.6,0.627,50\n", "columns missing: repeats, level"),
    "a column twice": (f"{','.join(FEATURES)},id,id\n", "some have the same name"),
    "semicolons": (";".join(FEATURES), "its cells are separated by semicolons, expected commas"),
    "tabs, quoted": (
        "\t".join(f'"{name}"' for name in FEATURES) + "\n",
        "its cells are separated by tabs, expected commas",
    ),
    "an open quote": ('"months\n', "its first line is not CSV"),
}


@pytest.mark.parametrize(("content", "told"), CSVS.values(), ids=CSVS.keys())
def test_csv_that_cannot_be_scored_is_refused_without_a_value(
    content: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=told) as caught:
        made(tmp_path)
    assert "33.6" not in str(caught.value)


def test_files_that_are_not_alike_are_refused(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "a.parquet")
    pq.write_table(table(id=7), tmp_path / "b.parquet")
    with pytest.raises(
        InputError, match="b.parquet: has other columns, or types, than .*a.parquet"
    ):
        made(tmp_path)
    for name, header in (("a", FEATURES), ("b", FEATURES[::-1])):
        (tmp_path / "csv").mkdir(exist_ok=True)
        (tmp_path / "csv" / f"{name}.csv").write_text(",".join(header), encoding="utf-8")
    with pytest.raises(InputError, match="b.csv: has another header than .*a.csv"):
        made(tmp_path / "csv")


def test_a_folder_of_both_formats_or_of_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected files of .parquet or of .csv, got none"):
        made(tmp_path)
    (tmp_path / "a.csv").touch()
    (tmp_path / "a.parquet").touch()
    with pytest.raises(InputError, match="got both"):
        made(tmp_path)
    (tmp_path / "a.csv").unlink()
    with pytest.raises(InputError, match="a.parquet: is not Parquet that can be read"):
        made(tmp_path)
