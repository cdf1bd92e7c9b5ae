"""Which files an input has: of any ending, in folders of Hive, by wildcards; none is left out."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlflow_sealed.batch import inputs, storage
from mlflow_sealed.batch.inputs import InputError
from mlflow_sealed.batch.storage import StorageError

TABLE = pa.table({"x": [1]})
CSV = b"x\n1\n"


def put(folder: Path, name: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() in {".parquet", ".parq", ".pq", ""}:
        pq.write_table(TABLE, path)
    else:
        path.write_bytes(gzip.compress(CSV) if path.suffix.lower() == ".gz" else CSV)


def names(source: str, folder: Path) -> list[str]:
    found = inputs.find(source, ["x"])
    return [str(Path(each.path).relative_to(folder)) for each in found.files]


@pytest.mark.parametrize(
    "ending", [".parquet", ".PARQUET", ".parq", ".pq", ".csv", ".CSV", ".csv.gz", ".CSV.GZ", ""]
)
def test_a_file_of_any_ending_counts(ending: str, tmp_path: Path) -> None:
    for name in ("b", "a/c"):
        put(tmp_path, f"{name}{ending}")
    assert names(str(tmp_path), tmp_path) == [f"a/c{ending}", f"b{ending}"]


def test_csv_without_an_ending_is_known_by_its_columns(tmp_path: Path) -> None:
    (tmp_path / "000000_0").write_bytes(b'"id","x"\r\n1,2\r\n')
    assert inputs.find(str(tmp_path), ["x"]).format == "csv"


def test_what_begins_with_an_underscore_or_a_dot_is_left_out(tmp_path: Path) -> None:
    for name in ("a.csv", "_b.csv", ".c.csv", "_temporary/d.csv"):
        put(tmp_path, name)
    (tmp_path / "_SUCCESS").touch()
    assert names(str(tmp_path), tmp_path) == ["a.csv"]


def test_a_file_that_is_not_understood_stops_the_job(tmp_path: Path) -> None:
    put(tmp_path, "a.csv")
    (tmp_path / "b.xlsx").write_bytes(b"PK")
    with pytest.raises(InputError, match=f"^{tmp_path}/b.xlsx: is neither Parquet nor CSV, by"):
        inputs.find(str(tmp_path), ["x"])


def test_both_formats_and_no_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no files, expected .parquet or .csv"):
        inputs.find(str(tmp_path), ["x"])
    put(tmp_path, "a.csv")
    put(tmp_path, "a.parquet")
    with pytest.raises(InputError, match=r"has Parquet and CSV \(.*a.parquet and .*a.csv\)"):
        inputs.find(str(tmp_path), ["x"])


def test_csv_of_no_bytes_has_no_rows(tmp_path: Path) -> None:
    put(tmp_path, "a.csv")
    (tmp_path / "b.csv").touch()
    assert names(str(tmp_path), tmp_path) == ["a.csv"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    {
        "*.csv": ["a.csv"],
        "site=*": ["site=1/b.csv", "site=2/c.csv"],
        "site=*/b.csv": ["site=1/b.csv"],
        "**/*.csv": ["a.csv", "site=1/b.csv", "site=2/c.csv"],
        "site=[2-9]/?.csv": ["site=2/c.csv"],
    }.items(),
)
def test_wildcards_are_matched_name_by_name(
    pattern: str, expected: list[str], tmp_path: Path
) -> None:
    for name in ("a.csv", "site=1/b.csv", "site=2/c.csv", "_d.csv"):
        put(tmp_path, name)
    assert names(f"{tmp_path}/{pattern}", tmp_path) == expected
    assert inputs.find(f"{tmp_path}/{pattern}", ["x"]).folder.path == str(tmp_path)


def test_a_folder_whose_name_looks_like_a_pattern_is_that_folder(tmp_path: Path) -> None:
    put(tmp_path, "x[1]/a.csv")
    assert names(f"{tmp_path}/x[1]", tmp_path) == ["x[1]/a.csv"]


def test_a_pattern_that_nothing_matches_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"\*.csv: no file matches"):
        inputs.find(f"{tmp_path}/*.csv", ["x"])
    with pytest.raises(StorageError, match="nowhere does not exist"):
        inputs.find(f"{tmp_path}/nowhere/*.csv", ["x"])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-20", "0"], pa.int64()),
        (["1", None], pa.int64()),
        (["0.5", "2"], pa.float64()),
        (["2026-11-28"], pa.string()),
        (["007"], pa.string()),
        (["1_0"], pa.string()),
        (["9223372036854775808"], pa.string()),
        (["NaN"], pa.string()),
        ([""], pa.string()),
        ([None], pa.string()),
    ],
)
def test_a_column_in_folders_names_has_a_type_that_loses_nothing(
    values: list[str | None], kind: pa.DataType
) -> None:
    assert inputs.partition_type(values) == kind


def test_a_null_in_a_folders_name_is_hives() -> None:
    found = inputs.partitions("/d", "/d/site=__HIVE_DEFAULT_PARTITION__/x/n%3D=a%2Fb/f.csv")
    assert found == {"site": None, "n=": "a/b"}


def test_a_packed_file_that_is_broken_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(InputError, match="a.csv.gz: cannot be unpacked$"):
        inputs.head(storage.locate(str(tmp_path / "a.csv.gz")))
