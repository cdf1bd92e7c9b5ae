"""A registered model, generated patients, and a Spark: this machine's, or a cluster's."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest

from spark import engine, java
from spark.batch_score import Model, fetch
from spark.generate import Table, write
from tests.conftest import ROOT, clean_environ
from training import log
from training.dataset import read
from training.fit import fit
from training.options import DATA, Options

PATIENTS = Table(rows=24_000, partitions=3, bad_share=0.01, seed=11)


@dataclass(frozen=True)
class Registry:
    """A tracking database with a champion, and who uses it."""

    uri: str
    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a user who runs the commands by hand."""
        return {
            **clean_environ(),
            "MLFLOW_TRACKING_URI": self.uri,
            "MLFLOW_ENV_ROOT": str(self.folder / "envs"),
            "PYTHONPATH": str(ROOT),
        }


@pytest.fixture(scope="session")
def java_home() -> Path:
    """Java, for every test that needs Spark."""
    try:
        return java.home()
    except java.JavaError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Registry:
    """A champion, fitted without being measured."""
    folder = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{folder}/mlflow.db"
    (folder / "mlflow.db").write_bytes(empty_database.read_bytes())
    data = read(ROOT / DATA)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        mlflow.set_tracking_uri(uri)
        mlflow.set_experiment("diabetes")
        with mlflow.start_run():
            logged = log.log_model(fit(data.records, data.labels, Options()), 0.3)
        version = mlflow.register_model(logged.model_uri, "diabetes")
        client = mlflow.MlflowClient()
        client.set_registered_model_alias("diabetes", "champion", version.version)
    return Registry(uri, folder)


@pytest.fixture
def user(registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Registry:
    """Someone in an empty folder, with the registry."""
    monkeypatch.chdir(tmp_path)
    for name in set(os.environ) - set(registry.environ):
        monkeypatch.delenv(name)
    for name, value in registry.environ.items():
        monkeypatch.setenv(name, value)
    mlflow.set_tracking_uri(registry.uri)
    return registry


@pytest.fixture(scope="session")
def champion(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The champion's files."""
    mlflow.set_tracking_uri(registry.uri)
    return fetch("models:/diabetes@champion", tmp_path_factory.mktemp("champion"))


@pytest.fixture(scope="session")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Parquet with missing values and bad rows."""
    folder = tmp_path_factory.mktemp("patients") / "table"
    write(PATIENTS, folder)
    return folder


@pytest.fixture(scope="session")
def spark_root(
    registry: Registry, java_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Where pyspark is, installed as a user gets it."""
    del java_home, tmp_path_factory
    return engine.installed(registry.environ)
