"""Give a command the feed: the one whose credential is set, or the project's local one."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

from mlflow_sealed import process, project
from mlflow_sealed.feed import credential
from mlflow_sealed.feed.answers import FeedError
from mlflow_sealed.feed.local import HOME, LocalFeed
from mlflow_sealed.feed.lock import LockError
from mlflow_sealed.feed.upload_address import TargetError
from mlflow_sealed.project import ProjectError

FAILURES: Final = (
    credential.CredentialError,
    FeedError,
    LockError,
    process.ProcessError,
    ProjectError,
    TargetError,
)
"""What a command that needs the feed may end with: each is one line for the user."""


@contextmanager
def credential_or_local(root: Path, *, make: bool = False) -> Iterator[credential.Credential]:
    """Give the credential that is set, or with none the local feed's, started for the block.

    Parameters
    ----------
    root
        The project's folder, which has the local feed.
    make
        Make the local feed where there is none yet; without it, that is an error.

    Raises
    ------
    mlflow_sealed.feed.credential.CredentialError
        If a credential is set and unusable, or none is set and there is no local feed.
    """
    local = LocalFeed(root / HOME)
    found = credential.find(os.environ)
    if found or not (make or local.exists()):
        yield _with_names(found or credential.read(os.environ), root)
    else:
        print("no feed credential is set: using the local feed in .feed/", file=sys.stderr)
        with local.serving(process.free_port()) as index:
            yield _with_names(credential.from_index(index, os.environ), root)


def _with_names(found: credential.Credential, root: Path) -> credential.Credential:
    """Note the names of the packages that only the feed has: the project's own."""
    folders = project.read(root).packages.folders
    return replace(found, only=tuple(canonicalize_name(folder.name) for folder in folders))
