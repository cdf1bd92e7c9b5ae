"""A project with a registered model, and generated tables. The example is the diabetes model."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis  # noqa: F401 # before `score.scorer` freezes objects: it would warn after that
import mlflow
import pytest
from mlflow.models import Model

from examples.generate import Table, write
from mlflow_model import save
from mlflow_sealed.batch import plan, score, storage
from mlflow_sealed.batch.model import RegisteredModel, fetch
from tests.conftest import CHAMPION, PROJECT
from tests.environ import ROOT, clean_environ, untraced
from training.dataset import read
from training.fit import fit
from training.options import DATA, Options

MANY = Table(rows=200_000, partitions=16, bad_share=0.01, seed=12)
PATIENTS = Table(rows=24_000, partitions=3, bad_share=0.01, seed=11)
NAME = PROJECT.names.model


@dataclass(frozen=True)
class Registry:
    """A tracking database with a champion, and the environment of its users."""

    uri: str
    folder: Path
    env_root: Path

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a user who runs the commands by hand."""
        environ = untraced(clean_environ())  # the tests' own process runs all of the code
        # Every process that Spark starts would compile MLflow anew.
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        return {
            **environ,
            "MLFLOW_TRACKING_URI": self.uri,
            "MLFLOW_ENV_ROOT": str(self.env_root),
            "PYTHONPATH": str(ROOT),
        }


@pytest.fixture(scope="session")
def registry(
    tmp_path_factory: pytest.TempPathFactory,
    empty_database: Path,
    env_root: Path,
) -> Registry:
    """A champion, fitted without being measured, and a project to use it from."""
    folder = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{folder}/mlflow.db"
    (folder / "mlflow.db").write_bytes(empty_database.read_bytes())
    make_project(folder)
    data = read(ROOT / DATA)
    booster = fit(data.records, data.labels, Options()).get_booster()
    flavor: Any = save
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        mlflow.set_tracking_uri(uri)
        mlflow.set_experiment(PROJECT.names.experiment)
        patch.setattr("sys.dont_write_bytecode", True)  # else MLflow leaves some in the model
        patch.setenv("MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING", "false")
        with mlflow.start_run():
            logged = Model.log(
                artifact_path=None,
                name=NAME,
                flavor=flavor,
                booster=booster,
                threshold=0.3,
                model_name=NAME,
            )
        version = mlflow.register_model(logged.model_uri, NAME)
        mlflow.MlflowClient().set_registered_model_alias(NAME, "champion", version.version)
    return Registry(uri, folder, env_root)


def make_project(folder: Path) -> None:
    """Make a folder a project with what scoring needs of one: its names, and a lock."""
    lock = PROJECT.lock("executors").relative_to(ROOT)
    (folder / lock).parent.mkdir()
    for path in (Path("project.toml"), lock):
        shutil.copy(ROOT / path, folder / path)


@pytest.fixture
def user(registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Registry:
    """Someone in the folder of a project, with the registry."""
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in set(os.environ) - set(registry.environ):
        monkeypatch.delenv(name)
    for name, value in registry.environ.items():
        monkeypatch.setenv(name, value)
    mlflow.set_tracking_uri(registry.uri)
    return registry


@pytest.fixture(scope="session")
def champion(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> RegisteredModel:
    """The champion's files."""
    mlflow.set_tracking_uri(registry.uri)
    return fetch(CHAMPION, tmp_path_factory.mktemp("champion"))


@pytest.fixture(scope="session")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Parquet with missing values and bad rows."""
    folder = tmp_path_factory.mktemp("patients") / "table"
    write(PATIENTS, folder)
    return folder


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Parquet that takes so long that something can happen in between."""
    folder = tmp_path_factory.mktemp("many") / "table"
    write(MANY, folder)
    return folder


@pytest.fixture(scope="session")
def expected(
    many: Path, champion: RegisteredModel, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """The files that a job has to make of `many`, made by one process, one part after another."""
    output = tmp_path_factory.mktemp("expected")
    for folder in (plan.SCORED, plan.REFUSED, plan.PARTS):
        (output / folder).mkdir()
    job = planned(many, champion, MANY.partitions)
    assert len(job.parts) == MANY.partitions
    scorer = score.scorer(str(champion.folder), job.model_version)
    for part in range(len(job.parts)):
        score.score_part(job, part, storage.locate(str(output)), scorer)
    return contents(output)


def planned(source: Path, model: RegisteredModel, parts: int = 0) -> plan.Plan:
    """The plan to score a table with a model."""
    return plan.make(str(source), model.planned, parts=parts)


def contents(output: Path) -> dict[str, bytes]:
    """The files of rows in an output; there must be no other files that look like them."""
    found = [path for path in output.rglob("*") if path.is_file() and path.suffix != ".json"]
    kept = [path for path in found if path.name != plan.DONE]
    return {str(path.relative_to(output)): path.read_bytes() for path in kept}


def locked(name: str) -> set[str]:
    """The distributions that a lock of the project has."""
    text = PROJECT.lock(name).read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE))
