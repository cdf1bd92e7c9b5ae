"""A standalone cluster: what its executors run with, and a worker that dies in the middle."""

import os
import sys
import tarfile
import threading
import time
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import mypreprocessing
from mlflow_sealed.batch import environment, plan, session, spark_compat
from mlflow_sealed.batch.commands import main
from mlflow_sealed.batch.model import RegisteredModel
from mlflow_sealed.feed import credential
from tests.conftest import PROJECT, Feed
from tests.environ import ROOT
from tests.mlflow_sealed.batch.conftest import MANY, Registry, contents
from tests.spark import Cluster


@pytest.fixture
def credentials(feed: Feed, user: Registry, monkeypatch: pytest.MonkeyPatch) -> Feed:
    """The feed's credential, as a user has it; the nodes do not."""
    del user
    for name in ("PIP_EXTRA_INDEX_URL", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, feed.environ[name])
    return feed


def test_executors_run_with_the_package_of_the_feed(
    cluster: Cluster, champion: RegisteredModel, credentials: Feed, wheel: Path
) -> None:
    packed = environment.packed([champion.requirements, PROJECT.lock("executors")])

    def tell(batches: Any) -> Any:  # is sent as it stands, with the names of what it imports
        record = [each for each in metadata.files("mypreprocessing") or [] if each.name == "RECORD"]
        for batch in batches:
            told = {
                "file": mypreprocessing.__file__,
                "folder": str(Path.cwd()),
                "python": sys.executable,
                "record": record[0].read_text(),
                "path": "\n".join(sys.path),
                "environ": "\n".join(f"{name}={value}" for name, value in os.environ.items()),
            }
            yield pa.RecordBatch.from_pydict({name: [told[name]] * len(batch) for name in told})

    schema = "file string, folder string, python string, record string, path string, environ string"
    with session.connected("told", cluster.master, environment=packed) as spark:
        assert 1 <= spark_compat.count_executors(spark) <= 2
        told = spark.range(0, 4, 1, 4).mapInArrow(tell, schema).collect()
    hashes = wheel_hashes(wheel)
    for row in told:
        unpacked = Path(row.folder) / "environment"
        assert unpacked.is_relative_to(cluster.folder)
        assert Path(row.file).is_relative_to(unpacked)
        assert Path(row.python).is_relative_to(unpacked)
        assert hashes <= set(row.record.splitlines())
        # Their Spark is kept in the checkout; nothing else of it is on their path.
        found = [each for each in row.path.splitlines() if each.startswith(str(ROOT))]
        assert not [each for each in found if not each.startswith(f"{ROOT}/.cache/spark/")]
        assert credentials.index.password not in row.environ
        assert not any(f"\n{name}=" in row.environ for name in credential.VARIABLES)


def wheel_hashes(wheel: Path) -> set[str]:
    """The lines that a wheel has in its RECORD for the files of the package."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(each for each in archive.namelist() if each.endswith("RECORD"))
        lines = archive.read(name).decode().splitlines()
    return {line for line in lines if line.startswith("mypreprocessing/")}


def test_a_packed_environment_has_no_credential_and_no_address(
    champion: RegisteredModel, credentials: Feed
) -> None:
    packed = environment.packed([champion.requirements, PROJECT.lock("executors")])
    secrets = [
        credentials.index.password.encode(),
        credentials.index.url.encode(),
        str(ROOT).encode(),
    ]
    with tarfile.open(packed) as archive:
        small = [entry for entry in archive if entry.isfile() and entry.size < 2**20]
        assert len(small) > 500
        assert not [name for name in archive.getnames() if "tests" in name.split("/")]
        for entry in small:
            file = archive.extractfile(entry)
            assert file is not None
            content = file.read()
            assert not [secret for secret in secrets if secret in content], entry.name


@pytest.mark.usefixtures("credentials")
def test_a_worker_that_is_killed_in_the_middle_loses_nothing(
    cluster: Cluster, many: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    output = tmp_path / "output"
    killed = threading.Thread(target=kill_in_the_middle, args=(cluster, output))
    killed.start()
    arguments = ("--input", str(many), "--output", str(output), "--master", cluster.master)
    status = main([*arguments, "--partitions", str(MANY.partitions)])
    killed.join()
    cluster.restore()
    assert status == 0
    assert (output / plan.DONE).exists()
    assert contents(output) == expected


def kill_in_the_middle(cluster: Cluster, output: Path) -> None:
    """Kill a worker once the first part is done; the others are not."""
    records = output / plan.PARTS
    deadline = time.monotonic() + 300
    while not list(records.glob("part-*")):
        assert time.monotonic() < deadline, "no part was done"
        time.sleep(0.02)
    cluster.kill_worker()
    assert len(list(records.glob("part-*"))) < MANY.partitions
