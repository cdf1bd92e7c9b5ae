"""Where a package is uploaded to, and where it shows: the two addresses that a server has.

| server | index | upload | source |
|---|---|---|---|
| Azure Artifacts | ``…/_packaging/FEED/pypi/simple/`` | ``…/pypi/upload/`` | [azure]_ |
| GitLab | ``…/api/v4/projects/ID/packages/pypi/simple`` | ``…/packages/pypi`` | [gitlab]_ |
| Gitea, Forgejo | ``…/api/packages/OWNER/pypi/simple`` | ``…/OWNER/pypi`` | [gitea]_, [forgejo]_ |
| Artifactory | ``…/api/pypi/REPOSITORY/simple`` | ``…/pypi/REPOSITORY`` | [artifactory]_ |
| Nexus | ``…/repository/NAME/simple`` | ``…/repository/NAME/`` | [nexus]_ |
| devpi | ``…/USER/INDEX/+simple/`` | ``…/USER/INDEX/`` | [devpi]_ |
| pypiserver, others | ``…/simple/`` | ``…/`` | [pypiserver]_ |

A group of GitLab has an index for all of its projects, which takes no uploads.

.. [azure] https://learn.microsoft.com/azure/devops/artifacts/quickstarts/python-cli
.. [gitlab] https://docs.gitlab.com/user/packages/pypi_repository
.. [gitea] https://docs.gitea.com/usage/packages/pypi
.. [forgejo] https://forgejo.org/docs/latest/user/packages/pypi
.. [artifactory] https://jfrog.com/help/r/jfrog-artifactory-documentation/pypi-repositories
.. [nexus] https://help.sonatype.com/en/pypi-repositories.html
.. [devpi] https://devpi.net/docs/devpi/devpi/stable/+doc/userman/devpi_packages.html
.. [pypiserver] https://pypi.org/project/pypiserver
"""

import configparser
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from mlflow_sealed.feed import credential
from mlflow_sealed.feed.connection import Connection
from mlflow_sealed.feed.credential import Index

_ADDRESS: Final = re.compile(
    r"https?://[\w.-]+(:\d+)?(/[^\s@]*)?|https?://\[[\da-f:]+\](:\d+)?(/[^\s@]*)?"
)

_SEGMENT: Final = r"[^/]+"
_WITHOUT_SLASH: Final = re.compile(
    rf"/api/v4/projects/{_SEGMENT}/packages/pypi"
    rf"|/api/packages/{_SEGMENT}/pypi"
    rf"|/api/pypi/{_SEGMENT}"
)
"""The end of an upload address that takes no slash after it: GitLab, Gitea, Artifactory."""

_NEXUS: Final = re.compile(rf"/repository/{_SEGMENT}")
_AZURE: Final = re.compile(rf"/_packaging/{_SEGMENT}/pypi")
_GITLAB_GROUP: Final = re.compile(rf"/api/v4/groups/{_SEGMENT}/-/packages/pypi")
_TWO_SEGMENTS: Final = re.compile(rf"https?://{_SEGMENT}(/{_SEGMENT}){{2}}")


class TargetError(Exception):
    """No upload address can be told; the message says why and what to do."""


@dataclass(frozen=True)
class Target:
    """Where to publish: the upload address, and the index where the result shows.

    Attributes
    ----------
    other
        Where it shows if not there: another server has the same form of an upload address.
    """

    upload_url: str
    index: Index
    other: Index | None = None

    @property
    def indexes(self) -> tuple[Index, ...]:
        """Where to look, the likelier first."""
        return (self.index, self.other) if self.other else (self.index,)


def from_index(feed: Index, upload_url: str | None = None) -> Target:
    """Return where the index of a feed takes uploads.

    Parameters
    ----------
    upload_url
        The address that the user gives, for an index that does not tell its own.

    Raises
    ------
    TargetError
        If it is a GitLab group's index, or the user's address is on another host than the feed,
        which must not get the feed's password.

    Examples
    --------
    >>> from_index(Index("https://feed.example/root/dev/+simple/", "me", "s3cret")).upload_url
    'https://feed.example/root/dev/'
    """
    if upload_url:
        return Target(_own(upload_url, feed), feed)
    base = re.sub(r"/\+?simple$", "", feed.url.rstrip("/"))
    if _ends(_GITLAB_GROUP, base):
        raise TargetError(
            f"{feed.url} is the index of a GitLab group, which takes no uploads: name the "
            "project's address, …/api/v4/projects/ID/packages/pypi, with --upload-url"
        )
    if _ends(_AZURE, base):
        return Target(f"{base}/upload/", feed)
    return Target(base if _ends(_WITHOUT_SLASH, base) else f"{base}/", feed)


def from_pypirc(
    path: Path, repository: str | None = None, *, connection: Connection | None = None
) -> Target:
    """Return the repository that a .pypirc names, as TwineAuthenticate@1 writes it.

    Parameters
    ----------
    repository
        The section to take; may be left out when there is only one.
    connection
        How the server is reached; as usual if not given.

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
    return _target(dict(parser[chosen[0]]), path, connection or Connection())


def find(
    environ: Mapping[str, str], found: credential.Credential, repository: str | None = None
) -> Target:
    """Return where to publish: the .pypirc of ``PYPIRC_PATH``, else the feed we install from."""
    if path := environ.get("PYPIRC_PATH"):
        return from_pypirc(Path(path), repository, connection=found.connection)
    return from_index(found.feed)


def _target(section: dict[str, str], path: Path, connection: Connection) -> Target:
    url = section["repository"]
    if inline := credential.parse_index(url):
        url = inline.url
        section = {"username": inline.username, "password": inline.password, **section}
    if not _ADDRESS.fullmatch(url):  # not quoted: it may have a password in it
        raise TargetError(f"PYPIRC_PATH ({path}): expected an address https://HOST/…/upload/")
    if not section.get("username") or not section.get("password"):
        raise TargetError(f"PYPIRC_PATH ({path}) has no username and password for {url}")
    return _shown(Index(url, section["username"], section["password"], connection))


def _shown(upload: Index) -> Target:
    """Return the target of an upload address: the index is of the server that has this form."""
    base = re.sub(r"(?<=/pypi)/upload$", "", upload.url.rstrip("/"))
    index = replace(upload, url=f"{base}/simple/")
    known = any(_ends(each, base) for each in (_AZURE, _WITHOUT_SLASH, _NEXUS))
    if known or not _TWO_SEGMENTS.fullmatch(base):
        return Target(upload.url, index)
    devpi = replace(upload, url=f"{base}/+simple/")
    return Target(upload.url, devpi, index)


def _own(upload_url: str, feed: Index) -> str:
    if not _ADDRESS.fullmatch(upload_url):
        raise TargetError("--upload-url: expected https://HOST/…, without user name and password")
    if urlsplit(upload_url)[:2] != urlsplit(feed.url)[:2]:
        raise TargetError(
            f"--upload-url is not on the feed's host, {urlsplit(feed.url).netloc}: a login of its "
            "own must be in a .pypirc that PYPIRC_PATH names"
        )
    return upload_url


def _ends(pattern: re.Pattern[str], url: str) -> bool:
    return bool(re.search(f"(?:{pattern.pattern})$", url))
