"""An environment of its own for each server, made from its lock and kept for the next time."""

import hashlib
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from mlflow_sealed.feed import lock, publish

from mlflow_sealed import process

FOLDER: Final = lock.ROOT / ".cache" / "peers"

_READY: Final = "ready"
_VERSIONS: Final = """
import importlib.metadata, json
print(json.dumps({found.name: found.version for found in importlib.metadata.distributions()}))
"""


def make(requirements: Path, *, folder: Path = FOLDER) -> Path:
    """Make the environment of a lock, unless it is there, and return its ``bin`` folder.

    Every file is held to its hash. The private package is the wheel of these sources, no feed is
    asked for it.

    Parameters
    ----------
    requirements
        The lock, with hashes.
    folder
        Where the environments are, one a lock and Python.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If an environment cannot be made.
    """
    made_from = requirements.read_bytes() + platform.python_version().encode()
    environment = folder / hashlib.sha256(made_from).hexdigest()[:16]
    if not (environment / _READY).exists():
        shutil.rmtree(environment, ignore_errors=True)
        _make(requirements, environment)
        (environment / _READY).touch()
    return environment / "bin"


def versions(binaries: Path) -> dict[str, str]:
    """Return the versions of what is installed in the environment with this ``bin`` folder."""
    command = [str(binaries / "python"), "-I", "-c", _VERSIONS]
    done = subprocess.run(command, capture_output=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _make(requirements: Path, environment: Path) -> None:
    name = requirements.relative_to(lock.ROOT)
    print(f"installing {name} …", file=sys.stderr, flush=True)
    python = str(environment / "bin" / "python")
    with tempfile.TemporaryDirectory() as wheels:
        publish.build_wheel(lock.ROOT / "mypreprocessing", Path(wheels))
        _uv("venv", "--python", sys.executable, str(environment))
        source = ("--require-hashes", "--find-links", wheels, str(requirements))
        _uv("pip", "sync", "--python", python, "--compile-bytecode", *source)


def _uv(*arguments: str) -> None:
    command = (sys.executable, "-m", "uv", *arguments, "--quiet")
    process.run(command, hint="see what uv says above")
