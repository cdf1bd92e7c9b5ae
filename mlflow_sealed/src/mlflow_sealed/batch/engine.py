"""Make pyspark importable: one that is installed already, or one that is installed here, once.

It takes half a gigabyte, and few users need it, so it is in no environment of a project.
"""

import contextlib
import hashlib
import importlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mlflow_sealed import process
from mlflow_sealed.feed import credential

FOLDER: Final = Path(__file__).parent
LOCK: Final = FOLDER / "pyspark.txt"
BUILD_LOCK: Final = FOLDER / "pyspark-build.txt"
"""What builds pyspark: the public index has only its sources."""


class EngineError(RuntimeError):
    """There is no pyspark of the right version; the message says what to install."""


def ready(environ: Mapping[str, str] = os.environ) -> None:
    """Make ``import pyspark`` work.

    The first of these is used: that of the Spark that SPARK_HOME names; one that is installed for
    this Python, as on Databricks; the one in `root`, which is installed there the first time, from
    `LOCK`, every hash checked.

    Raises
    ------
    EngineError
        If the one that is found has another major version, or it cannot be installed.
    """
    if home := environ.get("SPARK_HOME"):
        _check(_use_home(Path(home)), f"SPARK_HOME ({home})")
    elif importlib.util.find_spec("pyspark") is not None:
        # Not from its metadata: within spark-submit it is an archive on the path.
        _check(importlib.import_module("pyspark").__version__, "the installed pyspark")
    else:
        sys.path.append(str(installed(environ)))  # last: it has nothing that anything else needs


def version(lock: Path = LOCK) -> str:
    """Return the version of pyspark that is locked."""
    found = re.search(r"^pyspark==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise EngineError(f"{lock.parent.name}/{lock.name} has no pyspark: run make lock")
    return found[1]


def root(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of what is made once, which has the environments of MLflow projects too."""
    return Path(environ.get("MLFLOW_ENV_ROOT") or Path.home() / ".mlflow" / "envs")


def digest(*parts: str | bytes) -> str:
    """Return a short hash of parts, for the name of what is made from them."""
    found = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        found.update(b"%d:%b" % (len(content), content))
    return found.hexdigest()[:16]


def installed(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the pyspark in `root`, to be put on the path; install it the first time.

    Raises
    ------
    EngineError
        If it cannot be installed; nothing half-made is left.
    mlflow_sealed.feed.credential.CredentialError
        If the environment gives an index that is unusable.
    """
    folder = root(environ) / f"spark-{version()}-{digest(LOCK.read_bytes())}"
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    print(f"installing pyspark {version()} to {folder}, once", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".spark-") as made:
        target = Path(made) / "target"
        run_uv(
            # Not `pip install`, which would build pyspark each time to read its requirements.
            *("pip", "sync", "--target", str(target), "--python", sys.executable),
            *("--require-hashes", "--build-constraints", str(BUILD_LOCK), str(LOCK)),
            environ=credential.public(environ),
            instead=f"or install pyspark=={version()} for this Python",
        )
        take_place(target, folder)
    return folder


def take_place(made: Path, place: Path) -> None:
    """Move what is complete to its place in one step; keep what another process put there first."""
    with contextlib.suppress(FileExistsError):
        try:
            made.rename(place)
        except OSError:
            if not place.exists():
                raise


def run_uv(*arguments: str, environ: Mapping[str, str], instead: str) -> None:
    """Run uv, quietly.

    Raises
    ------
    EngineError
        If there is no uv or it fails; the message ends with what to do instead.
    """
    uv = shutil.which("uv", path=environ.get("PATH"))
    if uv is None:
        raise EngineError(f"no uv on PATH to install what Spark needs: get uv, {instead}")
    done = process.captured([uv, "--quiet", *arguments], env={**environ, "UV_NO_PROGRESS": "1"})
    if done.returncode:
        said = " ".join(done.stderr.split())
        raise EngineError(f"uv {' '.join(arguments[:2])} failed ({said}): mend that, {instead}")


def _use_home(home: Path) -> str:
    """Put the Python of a Spark on the path, as its own bin/pyspark does; return its version."""
    python = home / "python"
    source = next((each for each in (home, python) if (each / "pyspark").is_dir()), None)
    if source is None and home.name == "pyspark":
        source = home.parent  # an installed pyspark is a Spark of its own
    described = source / "pyspark" / "version.py" if source else None
    if source is None or described is None or not described.exists():
        raise EngineError(f"SPARK_HOME ({home}) has no pyspark: expected the folder of a Spark 4")
    sys.path[:0] = [str(source), *map(str, sorted((python / "lib").glob("py4j-*.zip")))]
    found = re.search(r"__version__[^=]*= *['\"]([^'\"]+)", described.read_text(encoding="utf-8"))
    return found[1] if found else "of no known version"


def _check(found: str, what: str) -> None:
    wanted = version()
    if found.partition(".")[0] != wanted.partition(".")[0]:
        raise EngineError(
            f"{what} is {found}: expected {wanted}, or another 4; use Spark 4, or remove it and "
            "it is installed here"
        )
