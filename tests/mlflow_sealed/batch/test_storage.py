"""Files where several processes reach them: whole or not at all."""

from pathlib import Path

import pytest

from mlflow_sealed.batch import storage
from mlflow_sealed.batch.storage import Place, StorageError, locate


def write_half(place: Place) -> None:
    with place.replaced() as part:
        Path(part).write_bytes(b"half")
        raise RuntimeError("in the middle")


def test_a_file_that_is_not_written_to_its_end_leaves_nothing(tmp_path: Path) -> None:
    place = locate(str(tmp_path / "file"))
    place.write(b"before")
    with pytest.raises(RuntimeError, match="in the middle"):
        write_half(place)
    assert place.read() == b"before"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_two_that_write_at_once_do_not_mix(tmp_path: Path) -> None:
    place = locate(str(tmp_path / "file"))
    with place.replaced() as first, place.replaced() as second:
        Path(first).write_bytes(b"first")
        Path(second).write_bytes(b"second")
    assert place.read() in {b"first", b"second"}
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_what_killed_writers_have_left_can_be_removed(tmp_path: Path) -> None:
    folder = locate(str(tmp_path))
    folder.at("kept.parquet").write(b"whole")
    writing = folder.at("kept.parquet").replaced()
    left = Path(writing.__enter__())
    left.write_bytes(b"half")
    assert left.exists()
    storage.sweep(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.parquet"]


def test_a_folder_has_the_files_that_spark_would_read(tmp_path: Path) -> None:
    names = ["b.csv", "a/c.csv", "_temporary/d.csv", ".hidden.csv", "_e.csv", "f.txt"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = storage.files(locate(str(tmp_path)), (".csv",))
    assert [Path(each.path).relative_to(tmp_path) for each in found] == [
        Path("a/c.csv"),
        Path("b.csv"),
    ]


def test_an_address_may_be_an_uri(tmp_path: Path) -> None:
    place = locate((tmp_path / "file").as_uri())
    place.write(b"content")
    assert (tmp_path / "file").read_bytes() == b"content"
    assert locate(place.address).read() == b"content"


@pytest.mark.parametrize(
    ("address", "said"),
    {
        "gopher://user:s3cret@host/table": (
            "cannot use addresses of gopher://, expected a path, s3://, gs://, abfss:// or hdfs://"
        ),
        "postgresql://user:s3cret@host/table": (
            "cannot use addresses of postgresql://, expected a path, s3://, gs://, abfss:// or "
            "hdfs://"
        ),
        "s3a://key:s3cret@bucket/table": (
            "cannot use addresses of s3a://, expected s3://BUCKET/PATH"
        ),
        "wasbs://s3cret@account/table": (
            "cannot use addresses of wasbs://, expected "
            "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH"
        ),
        "abfss://s3cret/table": (
            "an address of abfss:// is not valid, expected "
            "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH"
        ),
        "s3://bucket/table?s3cret=1": (
            "an address of s3:// is not valid, expected s3://BUCKET/PATH"
        ),
    }.items(),
)
def test_an_address_that_cannot_be_used_is_an_error_without_what_is_in_it(
    address: str, said: str
) -> None:
    with pytest.raises(StorageError) as caught:
        locate(address)
    assert str(caught.value) == said


def test_hdfs_without_hadoop_names_what_is_missing() -> None:
    """Its library is on no machine that runs the tests."""
    with pytest.raises(StorageError, match="hdfs: need Hadoop's libhdfs and Java: install both"):
        locate("hdfs://user:s3cret@host:9000/table")


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere does not exist"):
        storage.files(locate(str(tmp_path / "nowhere")), (".csv",))
