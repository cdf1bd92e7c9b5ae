"""Java, pyspark and a cluster, for the tests of scoring and of training on Spark.

A folder of tests takes what it needs in its conftest.py.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

import pytest

from mlflow_sealed import process
from mlflow_sealed.batch import engine, java, spark_compat
from tests import services
from tests.environ import ROOT, clean_environ

QUICK_JAVA = (
    "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    " -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
)
"""For processes that end soon: no time is spent on compiling well, or on verifying Spark."""


@dataclass
class Cluster:
    """A standalone cluster whose nodes have neither the repository nor a credential."""

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
    """Return `QUICK_JAVA`, with a folder for the temporary files of killed processes."""
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
def env_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The MLFLOW_ENV_ROOT of these tests: where pyspark is, and environments are packed."""
    return tmp_path_factory.mktemp("envs")


@pytest.fixture(scope="session")
def pyspark(env_root: Path, java_home: Path) -> Iterator[Path]:
    """The folder of the installed pyspark, which a session finds again; a Spark of its own too."""
    del java_home
    # Kept over the runs of the tests, as the environments of served models are: it takes minutes.
    made = engine.installed({**clean_environ(), "MLFLOW_ENV_ROOT": str(ROOT / ".cache" / "spark")})
    (env_root / made.name).symlink_to(made)
    yield env_root / made.name / "pyspark"
    if "pyspark" in sys.modules:
        spark_compat.end_java()


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
