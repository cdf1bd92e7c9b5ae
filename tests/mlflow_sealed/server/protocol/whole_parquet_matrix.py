"""The whole matrix of Parquet: `make matrix`. test_parquet.py has a slice of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from mlflow_sealed.batch import session
from tests.mlflow_sealed.server.protocol.both_doors import assert_alike
from tests.mlflow_sealed.server.protocol.parquet_files import (
    FRAMES,
    KINDS,
    SPARK,
    by_arrow,
    by_fastparquet,
    by_spark,
)
from tests.spark import env_root, java_home, pyspark  # noqa: F401 # fixtures


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("writer", ["pyarrow", "arro3"])
def test_all_of_pyarrow_and_arro3(
    writer: Literal["pyarrow", "arro3"], kind: str, tmp_path: Path
) -> None:
    for file in by_arrow(writer, kind, whole=True):
        assert_alike(file, tmp_path)


@pytest.mark.parametrize("kind", FRAMES)
def test_all_of_fastparquet(kind: str, tmp_path: Path) -> None:
    for file in by_fastparquet(kind, whole=True):
        assert_alike(file, tmp_path)


@pytest.fixture(scope="module")
def spark(pyspark: Path) -> Iterator[Any]:  # noqa: F811 # the fixture
    """A session on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ENV_ROOT", str(pyspark.parents[1]))
        with session.connected("matrix", "local[1]") as connected:
            yield connected


@pytest.mark.services
@pytest.mark.parametrize("kind", SPARK)
def test_all_of_spark(spark: Any, kind: str, tmp_path: Path) -> None:
    for file in by_spark(spark, kind, tmp_path):
        assert_alike(file, tmp_path)
