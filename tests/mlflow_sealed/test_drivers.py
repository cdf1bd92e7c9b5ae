"""An address whose driver is missing is one line that names what to install, and no password."""

from collections.abc import Callable, Sequence
from typing import Final

import mlflow
import pytest

from mlflow_sealed import drivers, process, project, serve
from mlflow_sealed.batch import commands as batch
from mlflow_sealed.drivers import DriverError
from mlflow_sealed.feed import commands as feed
from mlflow_sealed.image import commands as image
from mlflow_sealed.training import commands as model
from tests.conftest import QUICK
from tests.environ import ROOT
from training import __main__ as training
from training import tune

Main = Callable[[list[str]], int]

ADDRESSES: Final = {
    "postgresql://me:s3cret@host/runs": "psycopg[binary]",
    "postgresql+psycopg://me:s3cret@host/runs": "psycopg[binary]",
    "postgresql+psycopg2://me:s3cret@host/runs": "psycopg2-binary",
    "postgresql+pg8000://me:s3cret@host/runs": "pg8000",
    "mysql://me:s3cret@host/runs": "mysqlclient",
    "mysql+pymysql://me:s3cret@host/runs": "PyMySQL",
    "mysql+mysqlconnector://me:s3cret@host/runs": "mysql-connector-python",
    "mysql+cymysql://me:s3cret@host/runs": "cymysql",
    "mysql+mariadbconnector://me:s3cret@host/runs": "mariadb",
    "mssql://me:s3cret@host/runs": "pyodbc",
    "mssql+pyodbc://me:s3cret@source": "pyodbc",
    "mssql+pymssql://me:s3cret@host/runs": "pymssql",
    "mssql+mssqlpython://me:s3cret@host/runs": "mssql-python",
}
"""Of databases, and the package that SQLAlchemy's dialect wants."""

NO_ADDRESSES: Final = {
    "postgres://me:s3cret@host/runs": "begins with postgres:, expected http:, https:, mssql:",
    "s3://s3cret/runs": "begins with s3:, expected http:, https:, mssql:, mysql:, postgresql: or",
    "POSTGRESQL://me:s3cret@host/runs": "begins with POSTGRESQL:, which SQLAlchemy does not know",
    "mysql+nothing://me:s3cret@host/r": "begins with mysql+nothing:, which SQLAlchemy does not",
    "postgresql://me:s3cret@host:port/r": "is no address of a database, expected postgresql://USER",
    "postgresql:me:s3cret@host": "is no address of a database, expected postgresql://USER",
}

ARTIFACTS: Final = {
    "s3://s3cret/runs": "s3:, which needs boto3, not installed here",
    "r2://s3cret@account.r2.cloudflarestorage.com/runs": "r2:, which needs boto3, not",
    "b2://s3cret@s3.us-west-001.backblazeb2.com/runs": "b2:, which needs boto3, not",
    "gs://s3cret/runs": "gs:, which needs google-cloud-storage, not installed here",
    "wasbs://s3cret@account.blob.core.windows.net/runs": (
        "wasbs:, which needs azure-storage-blob and azure-identity, not"
    ),
    "abfss://s3cret@account.dfs.core.windows.net/runs": (
        "abfss:, which needs azure-storage-file-datalake and azure-identity, not"
    ),
    "sftp://me:s3cret@host/runs": "sftp:, which needs paramiko and pysftp, not installed here",
    "hdfs://s3cret:9000/runs": "hdfs: need Hadoop's libhdfs and Java: install both, and set",
    "viewfs://s3cret/runs": "hdfs: need Hadoop's libhdfs and Java: install both, and set",
}
"""Of artifacts, and the end of what is said."""

MLFLOW: Final = ["--", "mlflow", "run", "."]
COMMANDS: Final[dict[str, tuple[Main, list[str]]]] = {
    "feed run": (feed.main, ["run", *MLFLOW]),
    "feed drop": (feed.main, ["drop", *MLFLOW]),
    "image build": (image.main, ["build"]),
    "image due": (image.main, ["due", "registry.example.org/example"]),
    "image tag": (image.main, ["tag", "registry.example.org/example"]),
    "image record": (image.main, ["record", "registry.example.org/example"]),
    "model promote": (model.main, ["promote", "1"]),
    "model rollback": (model.main, ["rollback"]),
    "model report": (model.main, ["report"]),
    "score": (batch.main, ["--input", "in.csv", "--output", "out"]),
    "serve": (serve.main, []),
    "training": (training.main, QUICK),
    "tuning": (tune.main, ["--data", QUICK[1]]),
}
"""Those that use a tracking server."""


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[Main, Sequence[str]], str]:
    """Run a command that fails, and return the one line that it says."""

    def run(main: Main, arguments: Sequence[str]) -> str:
        capsys.readouterr()
        assert main(list(arguments)) == 1
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1, lines
        assert "s3cret" not in lines[0]
        return lines[0]

    return run


@pytest.mark.parametrize(("address", "package"), ADDRESSES.items())
def test_a_database_whose_driver_is_missing_is_named_with_the_package(
    address: str, package: str
) -> None:
    with pytest.raises(DriverError) as caught:
        drivers.check(address, name="MLFLOW_TRACKING_URI")
    scheme = address.partition(":")[0]
    assert str(caught.value).startswith(
        f"MLFLOW_TRACKING_URI begins with {scheme}:, which needs {package}, not installed here: "
        "install it (in a project: add it to the sources of the training's lock"
    )


@pytest.mark.parametrize(("address", "expected"), NO_ADDRESSES.items())
def test_what_is_no_address_of_a_tracking_server_is_refused_without_its_password(
    address: str, expected: str
) -> None:
    with pytest.raises(DriverError) as caught:
        drivers.check(address, name="MLFLOW_TRACKING_URI")
    assert str(caught.value).startswith(f"MLFLOW_TRACKING_URI {expected}")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:5000", "sqlite:///mlflow.db", "mlruns", "file:///runs", "databricks", ""],
)
def test_an_address_that_needs_nothing_is_accepted(address: str) -> None:
    drivers.check(address, name="MLFLOW_TRACKING_URI")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_which_driver_its_tracking_server_lacks(
    name: str,
    said: Callable[[Main, Sequence[str]], str],
    monkeypatch: pytest.MonkeyPatch,
    client: mlflow.MlflowClient,
) -> None:
    del client
    monkeypatch.setattr(serve, "find", project.find)
    address = "postgresql://me:s3cret@host/runs"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    mlflow.set_tracking_uri(address)
    main, arguments = COMMANDS[name]
    assert said(main, arguments).startswith(
        "error: MLFLOW_TRACKING_URI begins with postgresql:, which needs psycopg[binary], "
    )


@pytest.mark.parametrize(("address", "expected"), ARTIFACTS.items())
def test_a_training_says_what_the_address_of_its_artifacts_needs(
    address: str,
    expected: str,
    said: Callable[[Main, Sequence[str]], str],
    client: mlflow.MlflowClient,
) -> None:
    experiment = client.create_experiment("diabetes", artifact_location=address)
    assert expected in said(training.main, QUICK)
    assert client.search_runs([experiment]) == [], "a run was made that cannot be logged to"


@pytest.mark.parametrize("name", ["image build", "score", "serve"])
def test_a_command_says_what_the_address_of_its_model_needs(
    name: str,
    said: Callable[[Main, Sequence[str]], str],
    monkeypatch: pytest.MonkeyPatch,
    client: mlflow.MlflowClient,
) -> None:
    """MLflow says that the path is not correct, or nothing but which module is missing."""
    monkeypatch.setattr(serve, "find", project.find)
    client.create_registered_model("diabetes")
    client.create_model_version("diabetes", "s3://s3cret/model")
    client.set_registered_model_alias("diabetes", "champion", "1")
    main, arguments = COMMANDS[name]
    assert "an address of s3:, which needs boto3, not installed here" in said(main, arguments)


def test_with_a_key_a_blob_storage_needs_no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "s3cret")
    with pytest.raises(DriverError, match="which needs azure-storage-blob, not installed here"):
        drivers.check_artifacts("wasbs://container@account.blob.core.windows.net/runs")


@pytest.mark.parametrize("address", ["mlflow-artifacts:/1", "file:///runs", "/runs", "ftp://host"])
def test_artifacts_that_need_nothing_are_accepted(address: str) -> None:
    drivers.check_artifacts(address)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("boto3", "this address needs boto3, not"),
        ("azure", "azure-storage-file-datalake or azure-identity or azure-storage-blob, not"),
        ("google.cloud", "needs google-cloud-storage, not"),
    ],
)
def test_a_driver_that_is_found_missing_in_the_middle_of_work_is_one_line(
    module: str, expected: str, said: Callable[[Main, Sequence[str]], str]
) -> None:
    @process.command()
    def main(arguments: list[str]) -> int:
        del arguments
        __import__(f"{module}.nothing" if module == "boto3" else module)
        raise AssertionError

    assert expected in said(main, [])


def test_control_a_module_of_ours_that_is_missing_is_a_fault() -> None:

    @process.command()
    def main() -> int:
        __import__("mlflow_sealed.nothing")
        raise AssertionError

    with pytest.raises(ModuleNotFoundError):
        main()


def test_the_project_says_where_its_drivers_belong() -> None:
    """The message sends the reader to project.toml: its training's lock has sources to edit."""
    assert "training/requirements.in" in (ROOT / "project.toml").read_text(encoding="utf-8")
