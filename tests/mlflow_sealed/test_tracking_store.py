"""The tracking store is checked before it is used, and made by one process alone."""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from mlflow_sealed import drivers, tracking_store
from tests.environ import clean_environ, untraced

FIRST_STARTS = """
import json, os, sys
import mlflow.store.tracking.sqlalchemy_store
from mlflow import MlflowClient
from mlflow_sealed import tracking_store

def ours(uri):
    tracking_store.prepare({"MLFLOW_TRACKING_URI": uri}, experiment="example")

def theirs(uri):  # what mlflow run does
    client = MlflowClient(uri)
    client.get_experiment_by_name("example") or client.create_experiment("example")

def start(work, uri, gate):
    if pid := os.fork():
        return pid
    os.read(gate, 1)
    try:
        work(uri)
    except BaseException:
        os._exit(1)
    os._exit(0)

def together(work, uri, count):
    gate, opener = os.pipe()
    pids = [start(work, uri, gate) for _ in range(count)]
    os.write(opener, b"." * count)
    return sorted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids)

folder = sys.argv[1]
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
said = {"ours": together(ours, f"sqlite:///{folder}/ours.db", 2)}
for attempt in range(5):  # whether MLflow's own fail is a matter of microseconds
    said["theirs"] = together(theirs, f"sqlite:///{folder}/theirs-{attempt}.db", 2)
    if any(said["theirs"]):
        break
print(json.dumps(said))
"""


def test_processes_that_start_beside_a_new_database_wait_for_each_other(tmp_path: Path) -> None:
    """Without us some of them fail: that is the control."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST_STARTS, str(tmp_path)],
        cwd=tmp_path,
        env=untraced(clean_environ()),
        capture_output=True,
        text=True,
        check=True,
    )
    statuses = json.loads(done.stdout)
    assert statuses["ours"] == [0, 0]
    assert statuses["theirs"] != [0, 0]
    made = mlflow.MlflowClient(f"sqlite:///{tmp_path}/ours.db")
    assert made.get_experiment_by_name("example") is not None


def test_that_tables_are_made_is_not_told(tmp_path: Path) -> None:
    """The control is MLflow's own client, which tells it."""
    code = f"""
import sys
from mlflow_sealed import tracking_store
if sys.argv[1] == "ours":
    tracking_store.prepare({{"MLFLOW_TRACKING_URI": "sqlite:///{tmp_path}/ours.db"}})
from mlflow import MlflowClient
MlflowClient(f"sqlite:///{tmp_path}/{{sys.argv[1]}}.db").search_experiments()
"""
    said = {
        name: subprocess.run(
            [sys.executable, "-c", code, name],
            cwd=tmp_path,
            env=untraced(clean_environ()),
            capture_output=True,
            text=True,
            check=True,
        ).stderr
        for name in ("ours", "theirs")
    }
    assert "Creating initial" in said["theirs"]
    assert said["ours"] == ""


def test_a_database_that_has_the_experiment_is_left_as_it_is(
    tmp_path: Path, empty_database: Path
) -> None:
    """It is looked at without MLflow, which takes seconds to import, and without the lock."""
    database = Path(shutil.copy(empty_database, tmp_path))
    address = f"sqlite:///{database}"
    before = database.read_bytes()
    with tracking_store.locked(address):
        tracking_store.prepare({tracking_store.URI: address}, experiment="Default")
    assert database.read_bytes() == before


def test_an_experiment_that_is_lacking_is_made_there_and_in_no_other_registry(
    tmp_path: Path, empty_database: Path
) -> None:
    (tmp_path / "registry").mkdir()
    runs, models = (
        f"sqlite:///{shutil.copy(empty_database, folder)}"
        for folder in (tmp_path, tmp_path / "registry")
    )
    environ = {tracking_store.URI: runs, tracking_store.REGISTRY_URI: models}
    for _ in range(2):
        tracking_store.prepare(environ, experiment="example")
    assert mlflow.MlflowClient(runs).get_experiment_by_name("example") is not None
    assert mlflow.MlflowClient(models).get_experiment_by_name("example") is None


def test_a_registry_whose_driver_is_missing_is_refused_before_anything_is_made(
    tmp_path: Path,
) -> None:
    environ = {
        tracking_store.URI: f"sqlite:///{tmp_path}/new.db",
        tracking_store.REGISTRY_URI: "mysql://me:s3cret@host/models",
    }
    with pytest.raises(drivers.DriverError, match="MLFLOW_REGISTRY_URI begins with mysql:"):
        tracking_store.prepare(environ)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["sqlite://", "sqlite:///:memory:", "http://127.0.0.1:1", ""])
def test_what_is_no_file_or_server_of_a_database_needs_no_preparation(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tracking_store.prepare({tracking_store.URI: address}, experiment="example")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("work", [tracking_store.check, tracking_store.prepare])
def test_a_folder_that_cannot_be_written_to_is_noticed_at_once(work: Callable[..., None]) -> None:
    """MLflow tries ten times, for 100 seconds, and then ends in a traceback."""
    before = time.monotonic()
    with pytest.raises(OSError, match="/proc/new/mlflow.db"):
        work({tracking_store.URI: "sqlite:////proc/new/mlflow.db"})
    assert time.monotonic() - before < 10


def test_a_lock_is_of_the_file_however_its_address_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    locked = threading.Event()

    def lock() -> None:
        with tracking_store.locked(f"sqlite:///{tmp_path}/mlflow.db"):
            locked.set()

    with tracking_store.locked("sqlite:///mlflow.db?timeout=30"):
        thread = threading.Thread(target=lock)
        thread.start()
        assert not locked.wait(0.2)
    thread.join()
    assert locked.is_set()
