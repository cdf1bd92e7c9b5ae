"""Write the locks: every requirement of every environment with its hashes, private ones too."""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name, parse_wheel_filename

from mlflow_sealed import process
from mlflow_sealed.feed import credential, publish
from mlflow_sealed.feed.local import LocalFeed
from mlflow_sealed.project import Project

PYTHON: Final = "3.11"
"""The oldest Python that the locks are for; they are good for later ones too."""


class LockError(Exception):
    """The sources and a lock disagree; the message says what to do."""


def locked_sha256(wheel: str, lock: Path) -> str | None:
    """Return the hash that a lock has for the version of `wheel`, or None for another version.

    Parameters
    ----------
    wheel
        The file name of a pure Python wheel, which is the only file of its version.
    """
    name, version, *_ = parse_wheel_filename(wheel)
    pin = rf"{re.escape(canonicalize_name(name))}(?:\[[\w,-]+\])?=={re.escape(str(version))}"
    text = lock.read_text(encoding="utf-8") if lock.exists() else ""
    found = re.search(rf"^{pin} \\\n +--hash=sha256:(\w+)", text, re.MULTILINE)
    return found[1] if found else None


def check(wheel: Path, project: Project) -> None:
    """Compare a built wheel with every lock that has its distribution.

    Raises
    ------
    LockError
        If no lock has the distribution, or one has another version, or other bytes under this one.
    """
    locks = [each for each in _installing(project) if _names(each, wheel.name)]
    if not locks:
        raise LockError(f"no lock has {wheel.name}: run make lock and commit what it writes")
    for each in locks:
        _check(wheel, each, project.root)


def lock(project: Project, *, same_version: bool = False) -> None:
    """Resolve all requirements anew, as far as the locks do not say, and write the locks.

    The project's own packages are taken from a feed of its own that has the wheels of the present
    sources and nothing else, so that their hashes are known before they are published. All others
    are taken from the public index, or from what the environment says stands for it.

    Parameters
    ----------
    same_version
        Let sources change under a version that is locked. It must not have been published.

    Raises
    ------
    LockError
        If the sources of a package changed under a version that is locked.
    mlflow_sealed.feed.credential.CredentialError
        If the environment gives an index that is unusable.
    mlflow_sealed.process.ProcessError
        If the build or uv fails.
    """
    # What is part of a package comes before its wheel is built.
    packaged = [name for name in project.locks if _is_packaged(name, project)]
    for name in packaged:
        _compile(project, name, credential.public(os.environ))
    with tempfile.TemporaryDirectory() as folder:
        feed = LocalFeed(Path(folder) / "feed")
        feed.packages.mkdir(parents=True)
        for each in project.packages.folders:
            with tempfile.TemporaryDirectory() as built:
                wheel = publish.build_wheel(project.root / each, Path(built))
                if not same_version:
                    _check_unchanged(wheel, project)
                shutil.move(wheel, feed.packages)
        with feed.serving(process.free_port()) as index:
            found = credential.from_index(index, os.environ)
            environ = credential.environment(found, credential.public(os.environ), locked=False)
            for name in [name for name in project.locks if name not in packaged]:
                _compile(project, name, environ)


def _is_packaged(name: str, project: Project) -> bool:
    file = project.locks[name].file
    return any(file.is_relative_to(folder) for folder in project.packages.folders)


def _installing(project: Project) -> list[Path]:
    """Return the locks that the project's own packages are installed from."""
    return [project.root / each.file for each in project.locks.values() if not each.editable]


def _names(lock: Path, wheel: str) -> bool:
    name = re.escape(canonicalize_name(parse_wheel_filename(wheel)[0]))
    text = lock.read_text(encoding="utf-8") if lock.exists() else ""
    return bool(re.search(rf"^{name}(?:\[[\w,-]+\])?==", text, re.MULTILINE))


def _check(wheel: Path, lock: Path, root: Path) -> None:
    name, locked = lock.relative_to(root), locked_sha256(wheel.name, lock)
    if locked is None:
        raise LockError(f"{name} does not have {wheel.name}: run make lock and commit it")
    if locked != publish.sha256(wheel):
        raise LockError(
            f"{name} has {wheel.name} with sha256 {locked}, these sources give "
            f"{publish.sha256(wheel)}: raise the version in "
            f"{wheel.name.split('-')[0]}/pyproject.toml, then run make lock"
        )


def _check_unchanged(wheel: Path, project: Project) -> None:
    for each in _installing(project):
        if locked_sha256(wheel.name, each) is not None:
            _check(wheel, each, project.root)


def _compile(project: Project, name: str, environ: dict[str, str]) -> None:
    """Write one lock; a relative path stands in its comments, so uv runs at the project's top."""
    wanted = project.locks[name]
    constraints = (
        ("--constraints", str(project.locks[wanted.constraints].file))
        if (wanted.constraints)
        else ()
    )
    ours = [_distribution(folder) for folder in project.packages.folders]
    # uv keeps the hashes that a lock has for a version: those of ours are of these sources.
    options = [part for each in ours for part in ("--upgrade-package", each)]
    options += _cool_down(ours, os.environ)
    if wanted.editable:
        options += [part for each in ours for part in ("--no-emit-package", each)]
    process.run(
        [
            *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--generate-hashes"),
            *("--universal", "--python-version", PYTHON, "--custom-compile-command", "make lock"),
            *("--directory", str(project.root), "--output-file", str(wanted.file)),
            *wanted.sources,
            *constraints,
            *options,
        ],
        env=environ,
        hint="see what uv says above",
    )


def _cool_down(ours: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """Let the user's cool-down hold for what is public.

    uv takes a file of an index that gives no date, as many feeds do, for a new one.
    """
    if not (newest := environ.get("UV_EXCLUDE_NEWER")):
        return []
    exempt = (part for each in ours for part in ("--exclude-newer-package", f"{each}=false"))
    return ["--exclude-newer", newest, *exempt]


def _distribution(folder: Path) -> str:
    return canonicalize_name(folder.name)
