"""A feed whose password is a planted token, and the image of the champion."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from mlflow_sealed import process
from mlflow_sealed.feed import credential, publish, upload_address
from mlflow_sealed.feed.local import LocalFeed
from mlflow_sealed.image import docker, docker_config
from tests.conftest import PROJECT, Feed, Server, Trained, served_by_mlflow, train
from tests.environ import ROOT, clean_environ
from tests.mlflow_sealed.documented_variables import redirecting
from tests.mlflow_sealed.image.secrets_search import Watch
from tests.mlflow_sealed.server.running import named, tree
from training.options import DATA

COMMAND: Final = (
    "mlflow models build-docker -m models:/diabetes@champion -n diabetes --env-manager local"
)
NOWHERE_TO_WRITE: Final = (
    *("--read-only", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges"),
)
RESTRICTED: Final = (*NOWHERE_TO_WRITE, "--tmpfs", "/tmp")  # noqa: S108 # in the container


@dataclass(frozen=True)
class Built:
    """What the literal command left behind, and what could be seen while it ran."""

    output: str
    temporary: Path
    watch: Watch
    tokens: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True)
class Container:
    """A running container that listens on 127.0.0.1."""

    name: str
    url: str

    def post(self, body: bytes | str, timeout_s: float = 60) -> requests.Response:
        headers = {"Content-Type": "application/json"}
        return requests.post(
            f"{self.url}/invocations", data=body, headers=headers, timeout=timeout_s
        )

    def pids(self) -> list[int]:
        """The processes on this machine: the supervisor, then its workers."""
        found = docker.ask("inspect", "--format", "{{.State.Pid}}", self.name).decode()
        return [int(found), *named("scoring-worker", tree(int(found)))]

    def serving(self) -> int:
        """The number of workers whose event loop runs: the model is loaded by then."""
        return sum(_polls(pid) for pid in self.pids()[1:])

    def cpu_s(self) -> float:
        """The processor time of the supervisor, its workers and theirs."""
        supervisor = self.pids()[0]
        stats = [Path(f"/proc/{pid}/stat").read_text(encoding="ascii") for pid in tree(supervisor)]
        times = [stat.rpartition(")")[2].split()[11:13] for stat in stats]
        return sum(int(ticks) for pair in times for ticks in pair) / os.sysconf("SC_CLK_TCK")

    def wait(self) -> int:
        return int(docker.ask("wait", self.name))

    def log(self) -> str:
        done = subprocess.run(
            ["docker", "logs", self.name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
        )
        return done.stdout


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, feed: Feed, empty_database: Path) -> Trained:
    """The default model, quickly: in the tests' own environment, with little cross-validation."""
    quick = ("--data", str(ROOT / DATA), "--folds", "2", "--repeats", "1")
    command = ["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "training", *quick]
    return train(command, tmp_path_factory.mktemp("trained"), feed, empty_database)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, trained: Trained) -> Iterator[Server]:
    """This folder's own: another folder's tests, in the same process, serve what theirs trained."""
    with served_by_mlflow(trained, tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.fixture(scope="session")
def token() -> str:
    """A password that looks different when it is URL-encoded."""
    return f"t0k/+@:%{secrets.token_urlsafe(24)}=="


@pytest.fixture(scope="session")
def planted(
    tmp_path_factory: pytest.TempPathFactory, token: str, wheel: Path, toolkit: Path
) -> Iterator[credential.Index]:
    """A feed with the package whose password is the token."""
    home = tmp_path_factory.mktemp("planted")
    credential.write_secret(token, home / "password")
    with LocalFeed(home).serving(process.free_port()) as index:
        for each in (wheel, toolkit):
            publish.publish(each, upload_address.from_index(index))
        yield index


@pytest.fixture(scope="session")
def build_environ(
    tmp_path_factory: pytest.TempPathFactory,
    engine: Path,
    planted: credential.Index,
    trained: Trained,
) -> dict[str, str]:
    """The environment of a user who builds: tracking, credential and DOCKER_CONFIG."""
    del engine
    folder = tmp_path_factory.mktemp("docker-config") / "docker"
    environ = {
        **clean_environ(),
        "MLFLOW_TRACKING_URI": trained.tracking_uri,
        "PIP_EXTRA_INDEX_URL": planted.authenticated_url,
        "BUILDKIT_PROGRESS": "plain",
    }
    return {
        **environ,
        "DOCKER_CONFIG": str(docker_config.make(environ, PROJECT.lock("server"), folder)),
    }


@pytest.fixture(scope="session")
def attacked_environ(
    tmp_path_factory: pytest.TempPathFactory, build_environ: dict[str, str], impostor: str
) -> dict[str, str]:
    """The same, where an impostor's index is searched first and all is set that redirects."""
    indexes = f"{impostor} {build_environ['PIP_EXTRA_INDEX_URL']}"
    redirected = redirecting(tmp_path_factory.mktemp("redirecting"))
    return {**build_environ, **redirected, "PIP_EXTRA_INDEX_URL": indexes}


@pytest.fixture(scope="session")
def built(
    tmp_path_factory: pytest.TempPathFactory,
    attacked_environ: dict[str, str],
    token: str,
    feed: Any,
    trained: Trained,
) -> Built:
    """The image ``diabetes``, made by the literal command."""
    temporary = tmp_path_factory.mktemp("temporary")
    environ = {**attacked_environ, "TMPDIR": str(temporary)}
    with Watch(temporary) as watch:
        done = run(COMMAND.split(), environ, cwd=trained.folder)
    assert done.returncode == 0, done.stdout
    return Built(done.stdout, temporary, watch, (token, feed.index.password))


@pytest.fixture(scope="session")
def held_out(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The held-out rows, and the probabilities that were recorded for them."""
    uri = f"runs:/{trained.run.info.run_id}/held_out.json"
    path = trained.download(uri, tmp_path_factory.mktemp("held-out"))
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="package")
def container(built: Built) -> Iterator[Container]:
    """The image at work, with two workers and nothing that it does not need.

    It ends with this folder's tests: those of the pipeline look at what an engine has left.
    """
    del built
    with running("diabetes", workers=2) as started:
        yield started


@contextmanager
def running(image: str, *options: str, workers: int = 1, **more: Any) -> Iterator[Container]:
    """Run an image on 127.0.0.1 for the length of a block, once it answers."""
    with starting(image, *options, workers=workers, **more) as started:
        until(lambda: _pings(started), timeout_s=60)
        yield started


@contextmanager
def starting(
    image: str,
    *options: str,
    workers: int = 1,
    port_variable: str = "PORT",
    restricted: Sequence[str] = RESTRICTED,
    arguments: Sequence[str] = (),
) -> Iterator[Container]:
    """Run an image on 127.0.0.1 for the length of a block."""
    port = process.free_port()
    settings = {"HOST": "127.0.0.1", port_variable: port, "MLFLOW_MODELS_WORKERS": workers}
    environ = [part for item in settings.items() for part in ("--env", "{}={}".format(*item))]
    run = ("run", "--detach", "--network", "host", *restricted, *environ, *options)
    command = (*run, image, *arguments)
    name = docker.ask(*command).decode().strip()
    try:
        yield Container(name, f"http://127.0.0.1:{port}")
    finally:
        docker.ask("rm", "--force", name)


def until(holds: Callable[[], bool], *, timeout_s: float) -> float:
    """Wait until a condition holds, and return how many seconds that took."""
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < timeout_s, "it does not come true in time"
        time.sleep(0.02)
    return time.monotonic() - start


def run(
    command: list[str], environ: Mapping[str, str], *, cwd: Path
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; output and errors are together, in their order."""
    return subprocess.run(
        command,
        env=environ,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _polls(pid: int) -> bool:
    try:
        files = [file.readlink() for file in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return Path("anon_inode:[eventpoll]") in files


def _pings(container: Container) -> bool:
    try:
        return requests.get(f"{container.url}/ping", timeout=5).ok
    except (requests.ConnectionError, requests.Timeout):  # it listens before it has loaded
        return False
