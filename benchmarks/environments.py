"""An environment of its own for each server, made from its locks and kept for the next time."""

import hashlib
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.project import PROJECT, ROOT
from mlflow_sealed import process
from mlflow_sealed.feed import publish

FOLDER: Final = ROOT / ".cache" / "peers"

_READY: Final = "ready"
_VERSIONS: Final = """
import importlib.metadata, json
print(json.dumps({found.name: found.version for found in importlib.metadata.distributions()}))
"""


def make(locks: Sequence[Path], *, folder: Path = FOLDER) -> Path:
    """Make the environment of some locks, unless it exists, and return its ``bin`` folder.

    Every file is checked by its hash. The private packages are built from these sources; no feed is
    asked for them.

    Parameters
    ----------
    locks
        The locks, with hashes.
    folder
        Where the environments are: one for these locks and this Python.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If an environment cannot be made.
    """
    contents = [lock.read_bytes() for lock in locks]
    made_from = b"".join([*contents, platform.python_version().encode()])
    environment = folder / hashlib.sha256(made_from).hexdigest()[:16]
    if not (environment / _READY).exists():
        shutil.rmtree(environment, ignore_errors=True)
        _make(locks, environment)
        (environment / _READY).touch()
    return environment / "bin"


def versions(binaries: Path) -> dict[str, str]:
    """Return the versions of what is installed in the environment with this ``bin`` folder."""
    command = [str(binaries / "python"), "-I", "-c", _VERSIONS]
    done = subprocess.run(command, capture_output=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _make(locks: Sequence[Path], environment: Path) -> None:
    names = ", ".join(str(lock.relative_to(ROOT)) for lock in locks)
    print(f"installing {names} …", file=sys.stderr, flush=True)
    python = str(environment / "bin" / "python")
    with tempfile.TemporaryDirectory() as name:
        wheels = [_build(ROOT / package, Path(name)) for package in PROJECT.packages.folders]
        links = [part for each in wheels for part in ("--find-links", str(each.parent))]
        _uv("venv", "--python", sys.executable, str(environment))
        source = ("--require-hashes", *links, *map(str, locks))
        _uv("pip", "sync", "--python", python, "--compile-bytecode", *source)


def _build(package: Path, folder: Path) -> Path:
    """Build the wheel of a package in a folder of its own."""
    return publish.build_wheel(package, folder / package.name)


def _uv(*arguments: str) -> None:
    command = (sys.executable, "-m", "uv", *arguments, "--quiet")
    process.run(command, hint="see what uv says above")
