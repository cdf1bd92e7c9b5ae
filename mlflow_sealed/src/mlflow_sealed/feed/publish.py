"""Publish a private package to a feed: build it, check it, upload it, never replace it."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from json import JSONDecodeError
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import requests
from packaging.utils import canonicalize_name, parse_wheel_filename
from pypi_simple import (
    NoSuchProjectError,
    PyPISimple,
    UnsupportedContentTypeError,
    UnsupportedRepoVersionError,
)

from mlflow_sealed import process
from mlflow_sealed.feed import credential
from mlflow_sealed.feed.credential import Index
from mlflow_sealed.feed.upload_address import Target

SOURCE_DATE_EPOCH: Final = "1580601600"
"""The date of every file in the wheel: 2020-02-02 00:00 UTC, which is hatchling's own default."""

_TIMEOUT_S: Final = 30


class PublishError(Exception):
    """The package cannot be published; the message says why and what to do."""


def build_wheel(project: Path, folder: Path) -> Path:
    """Build the wheel of `project` into `folder` and return its path.

    The same sources give the same bytes: the build's tools are pinned (nothing is downloaded), the
    date in the archive is `SOURCE_DATE_EPOCH`, and no file is executable, as it would be from some
    file systems.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If the build fails.
    """
    with tempfile.TemporaryDirectory() as parent:
        sources = _with_plain_modes(project, Path(parent))
        command = ("build", "--wheel", "--no-isolation", "--outdir", str(folder), str(sources))
        done = _python(*command, environ={"SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH})
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        print(done.stdout, done.stderr, file=sys.stderr)
        raise process.ProcessError(f"the build of {project} failed: see its output above")
    return wheels[0]


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def publish(wheel: Path, target: Target) -> bool:
    """Publish `wheel`, unless the feed has it already.

    Returns
    -------
    bool
        True if it was uploaded, False if the feed had the same bytes.

    Raises
    ------
    PublishError
        If the feed has other bytes under this version, refuses the credential, cannot be reached,
        or does not show the wheel afterwards.
    """
    published = published_sha256(wheel.name, target.index)
    if published is None:
        _check(wheel)
        _upload(wheel, target)
        published = published_sha256(wheel.name, target.index)
    elif published == sha256(wheel):
        return False
    if published != sha256(wheel):
        raise PublishError(
            f"{target.index.url} has {wheel.name} with sha256 {published}, these sources give "
            f"{sha256(wheel)}: raise the version, a published one never changes"
        )
    return True


def published_sha256(filename: str, index: Index) -> str | None:
    """Return the SHA-256 of a wheel on a feed, or None if it is not there.

    Raises
    ------
    PublishError
        If the feed cannot be asked.
    """
    project = canonicalize_name(parse_wheel_filename(filename)[0])
    with _client(index) as client:
        try:
            page = client.get_project_page(project, timeout=_TIMEOUT_S)
            for package in page.packages:
                if package.filename == filename:
                    return package.digests.get("sha256") or _downloaded_sha256(package.url, client)
        except NoSuchProjectError:
            return None
        except (UnsupportedContentTypeError, UnsupportedRepoVersionError, JSONDecodeError):
            raise PublishError(f"{index.url} is not a package index: check the address") from None
        except requests.RequestException as error:
            raise PublishError(_reason(error, index)) from None
    return None


def _client(index: Index) -> PyPISimple:
    session = requests.Session()
    session.auth = (index.username, index.password)
    # A feed on this machine is no business of a proxy's.
    session.trust_env = credential.without_proxy(index.url, {}) == {}
    return PyPISimple(index.url, session=session)


def _with_plain_modes(project: Path, parent: Path) -> Path:
    copy = parent / project.name
    shutil.copytree(project, copy, copy_function=shutil.copyfile)
    return copy


def _python(
    module: str, *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", module, *arguments)
    return process.captured(command, env={**os.environ, **(environ or {})})


def _check(wheel: Path) -> None:
    done = _python("twine", "check", "--strict", str(wheel))
    if done.returncode:
        raise PublishError(f"twine check refuses {wheel.name}: {' '.join(done.stdout.split())}")


def _upload(wheel: Path, target: Target) -> None:
    environ = {
        **credential.without_proxy(target.upload_url, os.environ),
        "TWINE_REPOSITORY_URL": target.upload_url,
        "TWINE_USERNAME": target.index.username,
        "TWINE_PASSWORD": target.index.password,
        "TWINE_NON_INTERACTIVE": "1",
    }
    done = _python("twine", "upload", "--disable-progress-bar", str(wheel), environ=environ)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        said = credential.scrub(lines[-1].strip(), target.index) if lines else "it said nothing"
        raise PublishError(f"twine could not upload to {target.upload_url}: {said}")


def _downloaded_sha256(url: str, client: PyPISimple) -> str:
    home, other = urlsplit(client.endpoint).netloc, urlsplit(url).netloc
    response = (
        client.s.get(url, timeout=_TIMEOUT_S)
        if home == other
        else requests.get(url, timeout=_TIMEOUT_S)
    )
    response.raise_for_status()
    return hashlib.sha256(response.content).hexdigest()


def check_access(index: Index, package: str) -> None:
    """Ask a feed for the page of a package, to see whether it lets us in.

    Raises
    ------
    PublishError
        If it refuses the credential, cannot be reached, or is no package index.
    """
    published_sha256(f"{package}-0-py3-none-any.whl", index)


def _reason(error: requests.RequestException, index: Index) -> str:
    status = error.response.status_code if error.response is not None else None
    if status in {401, 403}:
        return f"{index.url} refuses the user name or password (status {status}): check them"
    if status is not None:
        return f"{index.url} answered with status {status}: check the address, or try again later"
    return (
        f"{index.url} cannot be reached ({type(error).__name__}): is it up, is the address right?"
    )
