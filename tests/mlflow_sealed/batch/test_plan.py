"""The plan of a job: which inputs are refused before it begins, and how one is divided."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlflow_sealed.batch import plan, survey
from mlflow_sealed.batch.plan import InputError, Plan, Slice
from tests.mlflow_sealed.batch.reading import FEATURES, reading


def table(rows: int = 3, **changes: Any) -> pa.Table:
    return pa.Table.from_pandas(pd.DataFrame([reading(**changes)] * rows), preserve_index=False)


MODEL = plan.Model("models:/level/3", "0" * 64, FEATURES, FEATURES)


def made(source: Path, parts: int = 0, **options: Any) -> Plan:
    return plan.make(str(source), MODEL, parts=parts, **options)


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


def test_small_csv_files_are_a_part_together_and_their_rows_are_not_known(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(f"{','.join(FEATURES)}\n", encoding="utf-8")
    job = made(tmp_path)
    assert [len(part) for part in job.parts] == [2]
    assert job.rows is None


def test_a_large_csv_file_is_divided_between_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "BYTES", 100)
    lines = [
        f"{','.join(FEATURES)}\r\n",
        *(f"0,1,1,1,{30 + number % 9}\r\n" for number in range(60)),
    ]
    (tmp_path / "a.csv").write_bytes("".join(lines).encode())
    slices = [each for part in made(tmp_path / "a.csv").parts for each in part]
    assert len(slices) > 4
    content = (tmp_path / "a.csv").read_bytes()
    pieces = [content[each.skipped : each.skipped + each.size] for each in slices]
    assert b"".join(pieces) == content[len(lines[0]) :]
    assert all(piece.endswith(b"\r\n") for piece in pieces)
    assert [each.first for each in slices] == [
        content[: each.skipped].count(b"\n") + 1 for each in slices
    ]
    for other in (b'"', b"\r"):  # a row may have several lines
        (tmp_path / "a.csv").write_bytes(content[:-2] + other)
        assert len(made(tmp_path / "a.csv").parts) == 1


def test_a_large_row_group_is_divided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "ROWS", 10)
    pq.write_table(table(33), tmp_path / "a.parquet", row_group_size=25)
    assert [each for part in made(tmp_path).parts for each in part] == [
        Slice(0, 0, 0, 12),
        Slice(0, 0, 12, 13, 12),
        Slice(0, 1, 25, 8),
    ]


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
    "text without its end": (table().slice(0, 0).select(["months"]), "columns missing: repeats"),
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


@pytest.mark.parametrize("groups", [0, 1])
def test_a_table_without_rows_is_planned(groups: int, tmp_path: Path) -> None:
    empty = table().slice(0, 0)
    with pq.ParquetWriter(tmp_path / "a.parquet", empty.schema) as writer:
        for _ in range(groups):
            writer.write_table(empty)
    job = made(tmp_path)
    assert (job.rows, len(job.parts)) == (0, 1)


CSVS = {
    "no header": ("6,148,33.6,0.627,50\n", "columns missing: repeats, level"),
    "a column twice": (f"{','.join(FEATURES)},id,id\n", "some have the same name"),
    "semicolons": (";".join(FEATURES), "its cells are separated by semicolons, expected commas"),
    "tabs, quoted": (
        "\t".join(f'"{name}"' for name in FEATURES) + "\n",
        "its cells are separated by tabs, expected commas",
    ),
    "an open quote": ('"months\n', "is not CSV: its first line cannot be read"),
}


@pytest.mark.parametrize(("content", "told"), CSVS.values(), ids=CSVS.keys())
def test_csv_that_cannot_be_scored_is_refused_without_a_value(
    content: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=told) as caught:
        made(tmp_path)
    assert "33.6" not in str(caught.value)


def test_columns_go_by_name(tmp_path: Path) -> None:
    pq.write_table(table(id=7), tmp_path / "a.parquet")
    other = table(extra="x")
    pq.write_table(other.select(other.column_names[::-1]), tmp_path / "b.parquet")
    assert made(tmp_path).columns == (*FEATURES, "id", "extra")
    (tmp_path / "csv").mkdir()
    for name, header in (("a", FEATURES), ("b", (*FEATURES[::-1], "id"))):
        (tmp_path / "csv" / f"{name}.csv").write_text(",".join(header), encoding="utf-8")
    assert made(tmp_path / "csv").columns == (*FEATURES, "id")


def test_types_of_which_none_holds_the_others_values_are_named(tmp_path: Path) -> None:
    pq.write_table(table(id=7), tmp_path / "a.parquet")
    pq.write_table(table(id="7"), tmp_path / "b.parquet")
    with pytest.raises(
        InputError,
        match=r"b.parquet: column 'id' is large_string, and int64 in .*a.parquet: expected",
    ):
        made(tmp_path)


def test_the_columns_to_keep_are_the_inputs(tmp_path: Path) -> None:
    pq.write_table(table(id=7), tmp_path / "a.parquet")
    assert made(tmp_path).kept == (*FEATURES, "id")
    assert made(tmp_path, kept=["id", "level", "id"]).kept == ("id", "level")
    with pytest.raises(InputError, match="columns to keep that are missing: nme$"):
        made(tmp_path, kept=["nme"])


def test_what_the_output_has_is_part_of_the_job(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "a.parquet")
    plans = [made(tmp_path), made(tmp_path, explain=True), made(tmp_path, kept=["level"])]
    assert len({each.fingerprint for each in plans}) == 3


def test_reasons_need_columns_of_their_own(tmp_path: Path) -> None:
    pq.write_table(table(base_value=1), tmp_path / "a.parquet")
    made(tmp_path)
    with pytest.raises(InputError, match="columns taken by the output: base_value"):
        made(tmp_path, explain=True)


def test_parquet_of_no_bytes_was_not_written_to_its_end(tmp_path: Path) -> None:
    pq.write_table(table(), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").touch()
    with pytest.raises(InputError, match="b.parquet: has no bytes, and so was not written to"):
        made(tmp_path)


def test_a_feature_may_stand_in_a_folders_name(tmp_path: Path) -> None:
    (tmp_path / "months=33" / "site=north").mkdir(parents=True)
    without = table().drop_columns(["months"])
    pq.write_table(without, tmp_path / "months=33" / "site=north" / "a.parquet")
    job = made(tmp_path)
    assert job.columns == (*without.column_names, "months", "site")
    assert str(job.schema_of_input.field("months").type) == "int64"


def test_a_feature_in_a_folders_name_is_one_of_every_file(tmp_path: Path) -> None:
    (tmp_path / "months=33").mkdir()
    without = table().drop_columns(["months"])
    for folder in (tmp_path / "months=33", tmp_path):
        pq.write_table(without, folder / "a.parquet")
    with pytest.raises(InputError, match=f"^{tmp_path}/a.parquet: columns missing: months$"):
        made(tmp_path)
