"""Write the locks: every requirement of every environment with its hashes, the private one too."""

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name, parse_wheel_filename

from feed import credential, process, publish
from feed.local import LocalFeed

ROOT: Final = Path(__file__).parent.parent

SERVING: Final = "mlflow_model/requirements.txt"
TRAINING: Final = "training/requirements.txt"
DEVELOPMENT: Final = "requirements-dev.txt"
BOOTSTRAP: Final = "requirements-uv.txt"
SPARK: Final = "spark/requirements.txt"
SPARK_BUILD: Final = "spark/build.txt"
SPARK_EXECUTORS: Final = "spark/executors.txt"
SPARK_FITTING: Final = "spark/fitting.txt"

_LOCKS: Final = {
    BOOTSTRAP: ["--group", "bootstrap"],
    SERVING: ["mlflow_model/requirements.in"],
    # Each environment is held to the versions of the one before: training to serving's, and
    # development to training's, so that what is tested is what is trained and what is served.
    TRAINING: ["training/requirements.in", "--constraints", SERVING],
    DEVELOPMENT: [
        *("training/requirements.in", "--group", "dev", "--constraints", TRAINING),
        *("--no-emit-package", "mypreprocessing"),
    ],
    # Apart from all others: half a gigabyte that only Spark's users need.
    SPARK: ["spark/requirements.in"],
    SPARK_BUILD: ["spark/build.in"],
    SPARK_EXECUTORS: ["spark/executors.in", "--constraints", TRAINING],
    SPARK_FITTING: ["spark/fitting.in", "--constraints", TRAINING],
}
_PEERS: Final = "benchmarks/peers/*/requirements.in"


class LockError(Exception):
    """The sources and the lock disagree; the message says what to do."""


def locked_sha256(wheel: str, lock: Path = ROOT / SERVING) -> str | None:
    """Return the hash that a lock has for the version of `wheel`, or None for another version.

    Parameters
    ----------
    wheel
        The file name of a pure Python wheel, which is the only file of its version.
    """
    name, version, *_ = parse_wheel_filename(wheel)
    pin = re.escape(f"{canonicalize_name(name)}=={version}")
    text = lock.read_text(encoding="utf-8") if lock.exists() else ""
    found = re.search(rf"^{pin} \\\n +--hash=sha256:(\w+)", text, re.MULTILINE)
    return found[1] if found else None


def check(wheel: Path, lock: Path = ROOT / SERVING) -> None:
    """Compare a built wheel with the lock.

    Raises
    ------
    LockError
        If the lock has another version, or other bytes under this one.
    """
    locked = locked_sha256(wheel.name, lock)
    name = f"{lock.parent.name}/{lock.name}"
    if locked is None:
        raise LockError(f"{name} does not have {wheel.name}: run make lock and commit it")
    if locked != publish.sha256(wheel):
        raise LockError(
            f"{name} has {wheel.name} with sha256 {locked}, these sources give "
            f"{publish.sha256(wheel)}: raise the version in mypreprocessing/pyproject.toml, then "
            "run make lock"
        )


def lock() -> None:
    """Resolve all requirements anew, as far as the locks do not say, and write the locks.

    The private package is taken from a feed of its own that has the wheel of the present sources
    and nothing else, so that its hash is known before it is published.

    Raises
    ------
    LockError
        If the sources of the package changed under a version that is locked.
    feed.process.ProcessError
        If the build or uv fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        feed = LocalFeed(Path(folder) / "feed")
        feed.packages.mkdir(parents=True)
        wheel = publish.build_wheel(ROOT / "mypreprocessing", feed.packages)
        if locked_sha256(wheel.name) is not None:
            check(wheel)
        with feed.serving(process.free_port()) as index:
            environ = credential.environment(credential.from_index(index), os.environ)
            for output, sources in {**_LOCKS, **_peers()}.items():
                _compile(output, sources, environ)


def _peers() -> dict[str, list[str]]:
    """Return the locks of the benchmark's peers: the model's own libraries, and one server each."""
    found = sorted(path.relative_to(ROOT) for path in ROOT.glob(_PEERS))
    # Not serving's lock: some peers want older versions of what it has.
    model = ["--constraints", "mlflow_model/requirements.in"]
    return {str(path.with_suffix(".txt")): [str(path), *model] for path in found}


def _compile(output: str, sources: list[str], environ: dict[str, str]) -> None:
    process.run(
        [
            *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--generate-hashes"),
            *("--universal", "--python-version", "3.11", "--custom-compile-command", "make lock"),
            *("--output-file", output, *sources),
        ],
        env=environ,
        hint="see what uv says above",
    )
