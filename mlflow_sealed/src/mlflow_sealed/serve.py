"""Serve the champion on this machine as the container does: the same server, the same locks."""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import yaml
from mlflow.exceptions import MlflowException

from mlflow_sealed import process, surroundings
from mlflow_sealed.command import be_quiet
from mlflow_sealed.feed import credential
from mlflow_sealed.feed.access import FAILURES, credential_or_local
from mlflow_sealed.flavor.download import fetch
from mlflow_sealed.parser import Parser
from mlflow_sealed.project import Project, find
from mlflow_sealed.tracking import use_default

LISTEN: Final = {"SCORING_LISTEN_HOST": "127.0.0.1", "SCORING_LISTEN_PORT": "5000"}
"""Where it listens if nothing else is said."""

ENVIRONMENTS: Final = Path(".cache/serving")
"""Where a project has the environments of served models, by what they are made from."""


@process.command(*FAILURES, MlflowException)
def main(arguments: Sequence[str]) -> int:
    """Serve the champion until Ctrl-C or SIGTERM, and return the exit status."""
    Parser(prog="mlflow-sealed serve", description=__doc__).parse_args(arguments)
    be_quiet()
    project = find()
    use_default(project)
    with tempfile.TemporaryDirectory() as folder:
        return serve(fetch(project.champion, Path(folder)), project, os.environ)


def serve(model: Path, project: Project, environ: Mapping[str, str]) -> int:
    """Serve a model's folder in an environment made from the locks, and return the exit status.

    The server gets no credential, neither the feed's nor the tracking server's. SCORING_LISTEN_HOST
    and SCORING_LISTEN_PORT say where it listens, 127.0.0.1:5000 if not set. HOST and PORT count in
    a container only: here, shells and conda set them for other purposes.

    Raises
    ------
    mlflow_sealed.process.ProcessError, mlflow_sealed.feed.credential.CredentialError
        If the environment cannot be made.
    """
    python = environment(model, project)
    command = (str(python), "-m", "mlflow_sealed.server.run", str(model))
    return process.status(command, env=settings(surroundings.of_a_server(environ)))


def settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which the server listens where a person wants it.

    Examples
    --------
    >>> settings({"HOST": "x86_64-conda-linux-gnu", "SCORING_LISTEN_PORT": "5002"})[
    ...     "SCORING_LISTEN_HOST"
    ... ]
    '127.0.0.1'
    """
    return {**environ, **{name: environ.get(name) or value for name, value in LISTEN.items()}}


def environment(model: Path, project: Project) -> Path:
    """Return the Python of an environment that has what a model and the server need, and no more.

    It is made once: with the feed's credential, every hash checked.

    Raises
    ------
    mlflow_sealed.process.ProcessError, mlflow_sealed.feed.credential.CredentialError
        If it cannot be made; nothing half-made stays.
    """
    locks = (model / "requirements.txt", project.lock("server"))
    trained = yaml.safe_load((model / "python_env.yaml").read_text(encoding="utf-8"))["python"]
    version = ".".join(trained.split(".")[:2])  # models of before have the patch release too
    parts = (version.encode(), *(lock.read_bytes() for lock in locks))
    name = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    folder = project.root / ENVIRONMENTS / name
    python = folder / "bin" / "python"
    if (folder / "ready").exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    with credential_or_local(project.root) as found:
        environ = credential.environment(found, os.environ)
        hint = "the environment of the model cannot be made; see uv's output above"
        venv = ("uv", "venv", "--quiet", "--python", interpreter(version), str(folder))
        process.run(venv, hint=f"the model was trained with Python {version}: put one on PATH")
        options = ("--quiet", "--require-hashes", "--python", str(python))
        process.run(("uv", "pip", "sync", *options, *map(str, locks)), env=environ, hint=hint)
    _compile(python, project)
    (folder / "ready").touch()
    return python


def interpreter(version: str) -> str:
    """Return what uv makes an environment from: this Python, or any on PATH of another version.

    The patch release does not matter: the locks are for every one. uv downloads none.

    Examples
    --------
    >>> interpreter("3.0")
    '3.0'
    """
    this = f"{sys.version_info.major}.{sys.version_info.minor}"
    return sys.executable if version == this else version


def _compile(python: Path, project: Project) -> None:
    """Let Python keep the bytecode of what a server imports; what is lacking, the server names."""
    environ = surroundings.of_a_server(os.environ)
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    modules = (project.names.package, "xgboost")
    process.captured(
        [str(python), "-m", "mlflow_sealed.server.run.bytecode", *modules], env=environ
    )
