"""Pack the Python environment of a cluster's executors, installed from the locks.

The nodes have neither the repository nor the feed's credential. The driver has both: it installs
what the locks list, every hash checked, and Spark sends the archive to each executor, which unpacks
it. The archive contains no address and no credential. The nodes need what an environment does not
contain: the same Python (`python_version`), at the same path.
"""

import gzip
import os
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from mlflow_sealed.batch import engine
from mlflow_sealed.feed import credential

_LEFT_OUT: Final = frozenset({"__pycache__", "tests"})
_SECONDS: Final = 315532800  # 1980, the earliest that every archive can have


def packed(requirements: Sequence[Path], environ: Mapping[str, str] = os.environ) -> Path:
    """Return the archive of an environment that has what some locks list; make it if there is none.

    It is kept in `mlflow_sealed.batch.engine.root`, under a name made from the locks.

    Parameters
    ----------
    requirements
        Locks that are installed together, such as a model's requirements.txt and the executors'.
    environ
        Has the feed's credential; for the local feed, ``mlflow-sealed feed run`` sets it.

    Raises
    ------
    mlflow_sealed.feed.credential.CredentialError
        If the credential is missing or unusable.
    mlflow_sealed.batch.engine.EngineError
        If a wheel cannot be downloaded or has another hash; nothing half-made is left.
    """
    contents = [each.read_bytes() for each in requirements]
    name = engine.digest(python_version(), str(base_python()), *contents)
    archive = engine.root(environ) / f"spark-executors-{name}.tar.gz"
    if archive.exists():
        return archive
    found = credential.read(environ)
    archive.parent.mkdir(parents=True, exist_ok=True)
    print(f"packing the executors' environment to {archive}, once", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".spark-") as made:
        folder, part = Path(made) / "environment", Path(made) / archive.name
        install(folder, requirements, credential.environment(found, environ))
        pack(folder, part)
        engine.take_place(part, archive)
    return archive


def python_version() -> str:
    """Return the version of Python that the nodes need: this one's, without the patch release."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def base_python() -> Path:
    """Return the path of the Python that the nodes need: this one's, outside of any environment."""
    return Path(sys.base_prefix) / "bin" / f"python{python_version()}"


def install(folder: Path, requirements: Sequence[Path], environ: Mapping[str, str]) -> None:
    """Make an environment from wheels only, every hash checked.

    Raises
    ------
    mlflow_sealed.batch.engine.EngineError
        If uv fails.
    """
    instead = "or let the nodes have the model's requirements"
    venv = ("venv", "--relocatable", "--no-project", "--python", str(base_python()), str(folder))
    engine.run_uv(*venv, environ=environ, instead=instead)
    engine.run_uv(
        *("pip", "sync", "--python", str(folder / "bin" / "python"), "--require-hashes"),
        *("--only-binary", ":all:", *map(str, requirements)),
        environ=environ,
        instead=instead,
    )


def pack(folder: Path, archive: Path) -> None:
    """Write a folder's content to a .tar.gz; the same content gives the same bytes.

    It is compressed only a little, because each executor unpacks it. The tests of libraries, a
    fifth of the whole, are left out.
    """
    with (
        archive.open("wb") as file,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as tar,
    ):
        for path in sorted(folder.rglob("*")):
            if _LEFT_OUT.isdisjoint(path.relative_to(folder).parts):
                tar.add(path, str(path.relative_to(folder)), recursive=False, filter=_plain)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Remove from an entry who packed it, and when."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = _SECONDS
    return entry
