"""A registered model, generated patients, and a Spark: this machine's, or a cluster's."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

import mlflow
import pytest
from mlflow_sealed.batch import engine, java, plan, score, session, storage
from mlflow_sealed.batch.job import Model, fetch
from mlflow_sealed.training import log

from examples.generate import Table, write
from mlflow_sealed import process
from tests import services
from tests.conftest import ROOT, clean_environ, untraced
from training.dataset import read
from training.fit import fit
from training.options import DATA, Options

MANY = Table(rows=200_000, partitions=16, bad_share=0.01, seed=12)
QUICK_JAVA = (
    "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    " -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
)
"""For processes that end soon: what it takes to run fast is not spent, nor is Spark verified."""

PATIENTS = Table(rows=24_000, partitions=3, bad_share=0.01, seed=11)


@dataclass(frozen=True)
class Registry:
    """A tracking database with a champion, and who uses it."""

    uri: str
    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a user who runs the commands by hand."""
        environ = untraced(clean_environ())  # the tests' own process does all that there is
        # Every process that Spark starts would compile MLflow anew.
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        return {
            **environ,
            "MLFLOW_TRACKING_URI": self.uri,
            "MLFLOW_ENV_ROOT": str(self.folder / "envs"),
            "PYTHONPATH": str(ROOT),
        }


@dataclass
class Cluster:
    """A standalone cluster whose nodes know nothing of the repository or of a credential."""

    spark: Path
    java: Path
    folder: Path
    stack: ExitStack
    port: int = field(default_factory=process.free_port)
    workers: list[Popen[bytes]] = field(default_factory=list)

    @property
    def master(self) -> str:
        return f"spark://127.0.0.1:{self.port}"

    def start_master(self) -> None:
        self._start("master", self.port, "org.apache.spark.deploy.master.Master")

    def restore(self) -> None:
        """Start workers until there are two."""
        while len(self.workers) < 2:
            home = Path(tempfile.mkdtemp(dir=self.folder, prefix="worker-"))
            options = ("--cores", "1", "--memory", "1g", "--work-dir", str(home), self.master)
            started = self._start(
                home.name, process.free_port(), "org.apache.spark.deploy.worker.Worker", *options
            )
            self.workers.append(started)

    def kill_worker(self) -> None:
        """Kill a worker and its executors at once, as if its machine had lost power."""
        killed = self.workers.pop()
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()

    def _start(self, name: str, port: int, program: str, *options: str) -> Popen[bytes]:
        at = ("--host", "127.0.0.1", "--port", str(port), "--webui-port", "0")
        environ = {
            "PATH": os.defpath,
            "HOME": str(self.folder),
            "JAVA_HOME": str(self.java),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_DAEMON_MEMORY": "256m",
            "JAVA_TOOL_OPTIONS": java_options(self.folder),
        }
        command = ("env", "-C", str(self.folder), str(self.spark / "bin" / "spark-class"), program)
        started = process.background(
            (*command, *at, *options),
            port=port,
            timeout_s=120,
            env=environ,
            log=self.folder / f"{name}.log",
        )
        return self.stack.enter_context(started)


def java_options(folder: Path) -> str:
    """Return `QUICK_JAVA`, with a folder for what a process leaves behind that is killed."""
    return f"{QUICK_JAVA} -Djava.io.tmpdir={folder}"


@pytest.fixture(scope="session")
def java_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Java, for every test that needs Spark."""
    try:
        home = java.home()
    except java.JavaError as error:
        services.lack(f"{error}; `make setup` installs it")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_TOOL_OPTIONS", java_options(tmp_path_factory.mktemp("java")))
        yield home


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
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Parquet that takes so long that something can happen in between."""
    folder = tmp_path_factory.mktemp("many") / "table"
    write(MANY, folder)
    return folder


@pytest.fixture(scope="session")
def expected(
    many: Path, champion: Model, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """The files that a job has to make of `many`, made by one process after the other part."""
    output = tmp_path_factory.mktemp("expected")
    for folder in (plan.SCORED, plan.REFUSED, plan.PARTS):
        (output / folder).mkdir()
    job = plan.make(
        str(many),
        model=champion.name,
        model_sha256=champion.sha256,
        features=champion.features,
        parts=MANY.partitions,
    )
    assert len(job.parts) == MANY.partitions
    scorer = score.scorer(str(champion.folder), job.model_version)
    for part in range(len(job.parts)):
        score.do(job, part, storage.locate(str(output)), scorer)
    return contents(output)


def contents(output: Path) -> dict[str, bytes]:
    """The files of rows in an output, and nothing beside them may look like one."""
    found = [path for path in output.rglob("*") if path.is_file() and path.suffix != ".json"]
    kept = [path for path in found if path.name != plan.DONE]
    return {str(path.relative_to(output)): path.read_bytes() for path in kept}


@pytest.fixture(scope="session")
def pyspark(registry: Registry, java_home: Path) -> Iterator[Path]:
    """The folder of the installed pyspark, which a session finds again; a Spark of its own too."""
    del java_home
    # Kept over the runs of the tests, as the environments of served models are: it takes minutes.
    made = engine.installed({**registry.environ, "MLFLOW_ENV_ROOT": str(ROOT / ".cache" / "spark")})
    found = Path(registry.environ["MLFLOW_ENV_ROOT"]) / made.name
    found.parent.mkdir(exist_ok=True)
    found.symlink_to(made)
    yield found / "pyspark"
    if "pyspark" in sys.modules:
        session.end_java()


@pytest.fixture(scope="session")
def cluster(
    pyspark: Path, java_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A standalone cluster: a master and two workers, each a process in a folder of its own."""
    folder = tmp_path_factory.mktemp("cluster")
    with ExitStack() as stack:
        made = Cluster(pyspark, java_home, folder, stack)
        made.start_master()
        made.restore()
        yield made
