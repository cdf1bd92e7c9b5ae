"""Publish a private package to a feed: build it, check it, upload it, never replace it."""

import hashlib
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from mlflow_sealed import process
from mlflow_sealed.feed import reading, upload
from mlflow_sealed.feed.answers import AnswerError, FeedError
from mlflow_sealed.feed.upload_address import Target

SOURCE_DATE_EPOCH: Final = "1580601600"
"""The date of every file in the wheel: 2020-02-02 00:00 UTC, which is hatchling's own default."""

_WAITS_S: Final = (0.0, 1.0, 3.0)
"""Before each look at the index after an upload: some servers write it a moment later."""

_TAKEN: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT})
"""What servers answer to an upload of a file that they have; a wrong password may be 403 too."""


class OtherBytesError(FeedError):
    """The feed has other bytes under a version; the message says what to do."""


@dataclass(frozen=True)
class Outcome:
    """What came of publishing a wheel.

    Attributes
    ----------
    uploaded
        False if the feed had the same bytes already.
    unseen
        Why the index does not show the uploaded wheel yet; empty if it does.
    """

    uploaded: bool
    unseen: str = ""


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
        done = upload.run_python(*command, environ={"SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH})
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        print(done.stdout, done.stderr, file=sys.stderr)
        raise process.ProcessError(f"the build of {project} failed: see its output above")
    return wheels[0]


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def publish(wheel: Path, target: Target) -> Outcome:
    """Publish `wheel`, unless the feed has it already.

    What the server has taken is never called a failure: where the index does not show it, or cannot
    be read, the outcome says so.

    Raises
    ------
    OtherBytesError
        If the feed has other bytes under this version.
    mlflow_sealed.feed.answers.FeedError
        If it refuses the credential or the wheel, or cannot be reached.
    """
    if _shows(wheel, target):
        return Outcome(uploaded=False)
    upload.check(wheel)
    try:
        upload.upload(wheel, target)
    except AnswerError as error:
        # Another publisher was quicker, or the index did not show it yet.
        if error.status in _TAKEN and _shows(wheel, target):
            return Outcome(uploaded=False)
        raise
    return Outcome(uploaded=True, unseen=_unseen(wheel, target))


def _shows(wheel: Path, target: Target) -> bool:
    """Return whether the feed shows these bytes; other bytes under the version are an error."""
    published = _published(wheel.name, target)
    if published not in {None, sha256(wheel)}:
        raise OtherBytesError(
            f"{target.index.url} has {wheel.name} with sha256 {published}, these sources give "
            f"{sha256(wheel)}: raise the version, a published one never changes"
        )
    return published is not None


def _published(filename: str, target: Target) -> str | None:
    *guesses, last = target.indexes
    for index in guesses:
        with suppress(AnswerError):  # servers answer what they like where they have no index
            if found := reading.published_sha256(filename, index):
                return found
    return reading.published_sha256(filename, last)


def _unseen(wheel: Path, target: Target) -> str:
    for wait in _WAITS_S:
        time.sleep(wait)
        try:
            if _shows(wheel, target):
                return ""
        except OtherBytesError:
            raise
        except FeedError as error:
            return str(error)
    return "it does not list the file"


def _with_plain_modes(project: Path, parent: Path) -> Path:
    copy = parent / project.name
    shutil.copytree(project, copy, copy_function=shutil.copyfile)
    return copy
