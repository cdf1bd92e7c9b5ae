"""Where a package is uploaded to: the address that belongs to a feed's index, or a .pypirc's."""

import configparser
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlflow_sealed.feed import credential
from mlflow_sealed.feed.credential import Index

_ADDRESS: Final = re.compile(
    r"https?://[\w.-]+(:\d+)?(/[^\s@]*)?|https?://\[[\da-f:]+\](:\d+)?(/[^\s@]*)?"
)


class TargetError(Exception):
    """No upload address can be told; the message says why and what to do."""


@dataclass(frozen=True)
class Target:
    """Where to publish: the upload address, and the index where the result shows."""

    upload_url: str
    index: Index


def from_index(feed: Index) -> Target:
    """Return where the index of a feed takes uploads.

    Azure Artifacts has ``…/pypi/upload/`` next to ``…/pypi/simple/``; other servers, pypiserver
    among them, take them one level above ``simple/``.
    """
    base = feed.url.rstrip("/").removesuffix("simple")
    return Target(f"{base}upload/" if base.endswith("/pypi/") else base, feed)


def from_pypirc(path: Path, repository: str | None = None) -> Target:
    """Return the repository that a .pypirc names, as TwineAuthenticate@1 writes it.

    Parameters
    ----------
    repository
        The section to take; may be left out when there is only one.

    Raises
    ------
    TargetError
        If the file cannot be read, or has no such section or several to choose from.
    """
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error):
        raise TargetError(f"PYPIRC_PATH ({path}) is not a readable .pypirc") from None
    found = [name for name in parser.sections() if parser.has_option(name, "repository")]
    chosen = [name for name in found if repository in {None, name}]
    if len(chosen) != 1:
        raise TargetError(
            f"PYPIRC_PATH ({path}) has the repositories {found}, "
            f"expected {repository or 'exactly one'}: name one of them with --repository"
        )
    return _target(dict(parser[chosen[0]]), path)


def find(
    environ: Mapping[str, str], found: credential.Credential, repository: str | None = None
) -> Target:
    """Return where to publish: the .pypirc of ``PYPIRC_PATH``, else the feed we install from."""
    if path := environ.get("PYPIRC_PATH"):
        return from_pypirc(Path(path), repository)
    return from_index(found.feed)


def _target(section: dict[str, str], path: Path) -> Target:
    url = section["repository"]
    if inline := credential.parse_index(url):
        url = inline.url
        section = {"username": inline.username, "password": inline.password, **section}
    if not _ADDRESS.fullmatch(url):  # not quoted: it may have a password in it
        raise TargetError(f"PYPIRC_PATH ({path}): expected an address https://HOST/…/upload/")
    if not section.get("username") or not section.get("password"):
        raise TargetError(f"PYPIRC_PATH ({path}) has no username and password for {url}")
    base = url.rstrip("/").removesuffix("/upload")
    return Target(url, Index(f"{base}/simple/", section["username"], section["password"]))
