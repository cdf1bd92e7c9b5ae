"""The real surroundings that tests share: a feed, a trained model, a server, an engine."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
import mlflow.artifacts
import pytest
import requests

from mlflow_sealed import process, project
from mlflow_sealed.feed import credential, publish, upload_address
from mlflow_sealed.feed.local import LocalFeed
from mlflow_sealed.training.show import pictures
from tests import scheduling, services
from tests.environ import ROOT, clean_environ, untraced
from tests.impostor import impostor  # noqa: F401 # a fixture
from tests.mlflow_sealed.image import engine as engines
from tests.scheduling import pytest_xdist_make_scheduler  # noqa: F401 # a hook
from tests.services import pytest_runtest_call, pytest_runtest_setup  # noqa: F401 # hooks
from tests.spark import cluster, env_root, java_home, pyspark  # noqa: F401 # fixtures
from training import __main__ as command
from training.options import DATA

PROJECT = project.read(ROOT)
PACKAGE = ROOT / "mypreprocessing"
TOOLKIT = ROOT / "mlflow_sealed"
CHAMPION = "models:/diabetes@champion"
QUICK = ["--data", str(ROOT / DATA), "--trees", "5", "--folds", "2", "--repeats", "1"]
"""The options of a training that is there to be logged, not to be good."""


@dataclass(frozen=True)
class Feed:
    """A local feed that serves the private package, with a password made for this run."""

    local: LocalFeed
    index: credential.Index

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a user who has this feed's credential and nothing else."""
        return credential.environment(credential.from_index(self.index), clean_environ())


@dataclass(frozen=True)
class Trained:
    """What one ``mlflow run`` has left behind."""

    tracking_uri: str
    folder: Path
    environ: dict[str, str]
    output: str

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(self.tracking_uri)

    @property
    def version(self) -> mlflow.entities.model_registry.ModelVersion:
        return self.client.get_model_version_by_alias("diabetes", "champion")

    @property
    def run(self) -> mlflow.entities.Run:
        return self.client.get_run(str(self.version.run_id))

    def download(self, uri: str, folder: Path) -> Path:
        """Copy an artifact of ours, a registered model too, into a folder."""
        # The registry follows this one alone, not the parameter that download_artifacts has.
        mlflow.set_tracking_uri(self.tracking_uri)
        return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))


@dataclass(frozen=True)
class Server:
    """A running ``mlflow models serve``."""

    url: str
    log: Path
    pid: int

    def post(self, body: bytes | str, content_type: str = "application/json") -> requests.Response:
        return requests.post(
            f"{self.url}/invocations",
            data=body,
            headers={"Content-Type": content_type},
            timeout=60,
        )


def pytest_configure() -> None:
    """Let the processes of the tests keep bytecode, as those of every make target do."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give the tests their markers and their order."""
    services.mark(items)
    scheduling.pytest_collection_modifyitems(config, items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were skipped, and the one command that changes it."""
    if skipped := len(terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(
            f"{skipped} tests were skipped, for the reasons above; what they need is installed by: "
            "make setup (as root, on Debian or Ubuntu)"
        )


@contextmanager
def once(tmp_path_factory: pytest.TempPathFactory, name: str) -> Iterator[Path]:
    """Give a folder that all processes of this run have, to one of them at a time."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"once-{name}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


@pytest.fixture(scope="module")
def one_picture() -> Iterator[None]:
    """Trainings in this process draw one picture: for tests of something else than pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "PICTURES", {"roc": pictures.PICTURES["roc"]})
        yield


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking database without a run, to be copied: MLflow takes seconds to make one."""
    with once(tmp_path_factory, "empty") as folder:
        if not (folder / "mlflow.db").exists():
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)  # the default experiment's artifacts are where it is made
                mlflow.MlflowClient(f"sqlite:///{folder}/new.db").search_experiments()
            (folder / "new.db").rename(folder / "mlflow.db")
    return folder / "mlflow.db"


@pytest.fixture(scope="session")
def champion_database(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """A tracking database with the one run of a `QUICK` training: version 1 is the champion."""
    folder = tmp_path_factory.mktemp("champion")
    shutil.copy(empty_database, folder / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "PICTURES", {"roc": pictures.PICTURES["roc"]})
        patch.chdir(folder)
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        assert command.main(QUICK) == 0
    return folder / "mlflow.db"


@pytest.fixture
def client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_database: Path
) -> mlflow.MlflowClient:
    """An empty tracking database, and a user who runs the command by hand."""
    return _client(empty_database, tmp_path, monkeypatch)


@pytest.fixture
def client_with_champion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, champion_database: Path
) -> mlflow.MlflowClient:
    """The same user, after a `QUICK` training."""
    return _client(champion_database, tmp_path, monkeypatch)


def _client(database: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> mlflow.MlflowClient:
    monkeypatch.chdir(folder)
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    shutil.copy(database, folder / "mlflow.db")
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    monkeypatch.setattr(project, "find", lambda: PROJECT)
    return mlflow.MlflowClient()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish.build_wheel(PACKAGE, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def toolkit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the toolkit."""
    return publish.build_wheel(TOOLKIT, tmp_path_factory.mktemp("toolkit"))


@pytest.fixture(scope="session")
def feed(tmp_path_factory: pytest.TempPathFactory, wheel: Path, toolkit: Path) -> Iterator[Feed]:
    """A feed with both packages published, the way a user publishes them."""
    local = LocalFeed(tmp_path_factory.mktemp("feed") / "home")
    with local.serving(process.free_port()) as index:
        for each in (wheel, toolkit):
            assert publish.publish(each, upload_address.from_index(index)).uploaded
        yield Feed(local, index)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, feed: Feed, empty_database: Path) -> Trained:
    """A champion, trained by ``mlflow run`` in an environment made from the feed."""
    options = ("--env-manager", "uv", "--experiment-name", "diabetes")
    command = ["mlflow", "run", str(ROOT), *options]
    return train(command, tmp_path_factory.mktemp("trained"), feed, empty_database)


def train(command: list[str], folder: Path, feed: Feed, database: Path) -> Trained:
    """Run a training for a user who has the feed's credential, in a folder with a database."""
    shutil.copy(database, folder / "mlflow.db")
    environ = {
        **untraced(feed.environ),  # other tests measure what it runs
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "MLFLOW_ENV_ROOT": str(folder / "envs"),
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    output = done.stdout + done.stderr
    return Trained(environ["MLFLOW_TRACKING_URI"], folder, environ, output)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, trained: Trained) -> Iterator[Server]:
    """The champion behind ``mlflow models serve``, in an environment made from the feed."""
    with served_by_mlflow(trained, tmp_path_factory.mktemp("served")) as server:
        yield server


@contextmanager
def served_by_mlflow(trained: Trained, folder: Path) -> Iterator[Server]:
    """Serve the champion of a training with ``mlflow models serve``."""
    log = folder / "serve.log"
    port = process.free_port()
    command = ("mlflow", "models", "serve", "-m", CHAMPION)
    options = ("-h", "127.0.0.1", "-p", str(port), "--env-manager", "uv")
    with process.background(
        (*command, *options), port=port, timeout_s=300, env=trained.environ, log=log
    ) as server:
        yield Server(f"http://127.0.0.1:{port}", log, server.pid)


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An engine, in DOCKER_HOST for every test after; its folder."""
    if lacking := engines.missing():
        services.lack(f"no Docker engine ({lacking}); {engines.HOW}")
    folder = tmp_path_factory.mktemp("engine")
    with engines.running(folder):
        yield folder
