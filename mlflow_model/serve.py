"""Serve the champion on this machine as the container does: the same server, the same lock."""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml
from mlflow.exceptions import MlflowException

from feed import credential, lock, process
from feed.__main__ import FAILURES, credential_or_local
from mlflow_model.download import download

MODEL: Final = "models:/diabetes@champion"
HOST: Final = "127.0.0.1"
PORT: Final = "5000"
ENVIRONMENTS: Final = lock.ROOT / ".cache" / "serving"
"""Where the environments of served models are, by what they are made from."""


@process.command(*FAILURES, MlflowException)
def main() -> int:
    """Serve until Ctrl-C or SIGTERM, and return the exit status."""
    os.environ.setdefault("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    with tempfile.TemporaryDirectory() as folder:
        return serve(download(MODEL, Path(folder)), os.environ)


def serve(model: Path, environ: Mapping[str, str]) -> int:
    """Serve a model's folder in an environment made from its lock, and return the exit status.

    The server gets no credential. HOST and PORT say where it listens, 127.0.0.1:5000 if not set.

    Raises
    ------
    feed.process.ProcessError, feed.credential.CredentialError
        If the environment cannot be made.
    """
    python = environment(model)
    settings = {
        "HOST": environ.get("HOST") or HOST,
        "PORT": environ.get("PORT") or PORT,
        "PYTHONPATH": str(lock.ROOT),
    }
    command = (str(python), "-m", "mlflow_model.container", str(model))
    return process.status(command, env={**credential.removed(environ), **settings})


def environment(model: Path, root: Path = ENVIRONMENTS) -> Path:
    """Return the Python of an environment that has what a model's lock says and nothing else.

    It is made once: with the feed's credential, every hash checked.

    Raises
    ------
    feed.process.ProcessError, feed.credential.CredentialError
        If it cannot be made; nothing half-made stays.
    """
    requirements = model / "requirements.txt"
    trained = yaml.safe_load((model / "python_env.yaml").read_text(encoding="utf-8"))["python"]
    version = ".".join(trained.split(".")[:2])  # models of before have the patch release too
    name = hashlib.sha256(requirements.read_bytes() + version.encode()).hexdigest()[:16]
    folder = root / name
    python = folder / "bin" / "python"
    if (folder / "ready").exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    with credential_or_local() as found:
        environ = credential.environment(found, os.environ)
        hint = "the environment of the model cannot be made; see uv's output above"
        process.run(("uv", "venv", "--quiet", "--python", version, str(folder)), hint=hint)
        options = ("--quiet", "--require-hashes", "--python", str(python))
        process.run(("uv", "pip", "sync", *options, str(requirements)), env=environ, hint=hint)
    _compile(python)
    (folder / "ready").touch()
    return python


def _compile(python: Path) -> None:
    """Let Python keep the bytecode of what a server imports; what is lacking, the server names."""
    environ = {**credential.removed(os.environ), "PYTHONPATH": str(lock.ROOT)}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    process.captured([str(python), "-m", "mlflow_model.bytecode"], env=environ)


if __name__ == "__main__":
    sys.exit(main())
