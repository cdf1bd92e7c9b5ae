"""What the pipeline reaches: a repository, a feed, an MLflow server, a registry, a machine."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import bcrypt
import requests

from mlflow_sealed import process
from mlflow_sealed.feed import credential
from tests.environ import ROOT, untraced
from tests.pipeline.job import Registry

KEPT: Final = (
    *("LANG", "DOCKER_HOST", "PYTHONDONTWRITEBYTECODE", "SSL_CERT_DIR", "SSL_CERT_FILE"),
    *("CURL_CA_BUNDLE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY"),
    *("http_proxy", "https_proxy"),
)
"""What an agent's machine has in its environment: how to reach networks and the engine."""


def machine() -> dict[str, str]:
    """Return the environment of a machine that has this one's programs and networks."""
    folders = os.environ["PATH"].split(os.pathsep)
    path = os.pathsep.join(each for each in folders if not each.startswith(f"{ROOT}/"))
    return {"PATH": path, **{name: os.environ[name] for name in KEPT if name in os.environ}}


def make_repository(folder: Path, changes: dict[str, str] | None = None) -> Path:
    """Make a repository of the sources under test as they lie here, with other texts for some."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    for name, text in (changes or {}).items():
        (folder / name).write_text(text, encoding="utf-8")
    ask_for_this_python(folder / "azure-pipelines.yml")
    commit(folder)
    return folder


def ask_for_this_python(file: Path) -> None:
    """Let a pipeline ask for the Python that the tests run on, which is what this machine has."""
    asked = re.compile(r'^( +versionSpec: )"3\.\d+"$', re.MULTILINE)
    text, count = asked.subn(rf'\1"{sysconfig.get_python_version()}"', file.read_text("utf-8"))
    assert count == 4  # of its jobs
    file.write_text(text, encoding="utf-8")


def commit(folder: Path) -> None:
    """Commit all files of a folder as a repository's only commit."""
    author = ("-c", "user.name=tests", "-c", "user.email=tests@example.org")
    for command in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "--all"),
        (*author, "commit", "--quiet", "--message=The sources under test"),
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Run an MLflow server with a database and artifacts of its own, and give its address."""
    port = process.free_port()
    command = (
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--workers", "1"),
        *("--artifacts-destination", str(folder / "artifacts")),
    )
    environ = untraced(os.environ)  # it is not ours to measure
    environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with process.background(
        command,
        port=port,
        timeout_s=300,
        env=environ,
        log=folder / "server.log",
    ):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def registry(folder: Path, password: str) -> Iterator[Registry]:
    """Run Debian's docker-registry with one user, and give the connection to it."""
    found = Registry(f"127.0.0.1:{process.free_port()}", "pusher", password)
    credential.write_secret(_htpasswd(found), folder / "htpasswd")
    config = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": found.host},
        "auth": {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}},
    }
    (folder / "config.yml").write_text(json.dumps(config), encoding="utf-8")
    with process.background(
        ["docker-registry", "serve", str(folder / "config.yml")],
        port=int(found.host.rpartition(":")[2]),
        timeout_s=30,
        log=folder / "registry.log",
    ):
        yield found


def tags(connection: Registry, repository: str) -> list[str]:
    """Return the tags that a registry has of a repository."""
    answer = requests.get(
        f"http://{connection.host}/v2/{repository}/tags/list",
        auth=(connection.username, connection.password),
        timeout=30,
    )
    found: list[str] = answer.json().get("tags") or []
    return sorted(found)


def _htpasswd(connection: Registry) -> str:
    """Return the user's line; bcrypt is the one scheme that the registry takes."""
    hashed = bcrypt.hashpw(connection.password.encode(), bcrypt.gensalt(rounds=4))
    return f"{connection.username}:{hashed.decode()}\n"
