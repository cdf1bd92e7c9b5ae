"""The feed's credential: from what may hold it, to what pip, uv and twine need."""

import base64
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Template
from typing import Final
from urllib.parse import quote

from mlflow_sealed import surroundings
from mlflow_sealed.feed import logins, sources
from mlflow_sealed.feed.address import (
    Address,
    CredentialError,
    Index,
    latin_1_for_utf_8,
    parse_index,
    parts,
    plain,
)
from mlflow_sealed.feed.connection import Connection, without_proxy
from mlflow_sealed.feed.pip_config import TEMPLATE

__all__ = ["TEMPLATE", "CredentialError", "Index", "parse_index", "without_proxy"]  # from its parts

VARIABLES: Final = (
    *("PIP_CONFIG_FILE", "PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "PYPIRC_PATH"),
    *("UV_DEFAULT_INDEX", "UV_FIND_LINKS", "UV_INDEX"),
)
"""The variables that may hold a credential, or name a file that does."""

_MISSING: Final = (
    "no feed credential: set PIP_CONFIG_FILE to a pip.conf made from "
    f"{TEMPLATE} (at the top of the repository), or PIP_EXTRA_INDEX_URL to the feed's index "
    "with user name and password (PipAuthenticate@1 does), or PIP_INDEX_URL if nothing else is to "
    "be asked; mlflow-sealed feed doctor shows what is found"
)
_EXPECTED: Final = (
    "expected https://USER:PASSWORD@HOST/…/simple/, or a login for the host in ~/.netrc or a "
    "keyring: docs/feed.md says when each is asked"
)


@dataclass(frozen=True)
class Credential:
    """What a user gave us to install with: the feed, among the indexes in their order.

    Attributes
    ----------
    feed
        The first index that has a user name: where the private package is.
    extra
        The extra indexes in search order, each with its login: secrets.
    default
        What stands for the public index, with its login, or None: a secret.
    connection
        How they are reached.
    only
        The names of packages that no index but the feed has.
    logins
        Each address with its login, and where that was found, by the address without one.
    """

    feed: Index
    extra: tuple[str, ...] = field(repr=False)
    default: str | None = field(default=None, repr=False)
    connection: Connection = field(default=Connection(), repr=False)
    only: tuple[str, ...] = field(default=(), repr=False)
    logins: Mapping[str, Address] = field(default_factory=dict, repr=False, compare=False)

    @property
    def urls(self) -> tuple[str, ...]:
        """All indexes with their logins: secrets."""
        return (*self.extra, self.default) if self.default else self.extra

    @property
    def single(self) -> bool:
        """Whether the feed stands for the public index, so that nothing else is asked."""
        return not self.extra and self.default is not None


def read(environ: Mapping[str, str]) -> Credential:
    """Return the credential that the environment gives.

    Parameters
    ----------
    environ
        Looked at for ``PIP_EXTRA_INDEX_URL``, ``PIP_INDEX_URL`` and ``PIP_CONFIG_FILE``, in this
        order; of the file, ``extra-index-url`` and ``index-url`` count. An address without a
        password is completed from ~/.netrc or a keyring (`mlflow_sealed.feed.logins`).

    Raises
    ------
    CredentialError
        If none is set, the file cannot be read, or no address has a login.

    Examples
    --------
    >>> read({"PIP_EXTRA_INDEX_URL": "https://me:s3cret@feed.example/simple/"})
    Credential(feed=Index(url='https://feed.example/simple/'))
    """
    if found := find(environ):
        return found
    given = sources.given(environ)
    if given.default:
        raise CredentialError(f"{given.default.source}: {_EXPECTED}")
    if given.file:
        raise CredentialError(
            f"PIP_CONFIG_FILE ({given.file}): has no extra-index-url; {TEMPLATE} shows one"
        ) from None
    raise CredentialError(_MISSING)


def find(environ: Mapping[str, str]) -> Credential | None:
    """Return the credential as `read` does, or None if the environment gives no feed.

    A mirror of the public index that asks for no login is no feed.

    Raises
    ------
    CredentialError
        If what it gives is unusable.
    """
    given = sources.given(environ)
    found: dict[str, Address] = {}
    extra = [_complete(each, given, environ, found) for each in given.extra]
    default = _complete(given.default, given, environ, found) if given.default else None
    urls = [*extra, default] if default else extra
    feeds = [index for url in urls if (index := parse_index(url))]
    if not feeds:
        if given.extra:
            named = " and ".join(dict.fromkeys(each.source for each in given.addresses))
            raise CredentialError(f"{named}: {_EXPECTED}")
        return None
    feed = replace(feeds[0], connection=given.connection)
    known = tuple(dict.fromkeys(url for url in extra if url != default))
    return Credential(feed, known, default, given.connection, logins=found)


def is_set(environ: Mapping[str, str]) -> bool:
    """Return whether the environment names a credential, good or bad."""
    try:
        return find(environ) is not None
    except CredentialError:
        return True


def from_index(index: Index, environ: Mapping[str, str] | None = None) -> Credential:
    """Return the credential that has `index` as its only extra index.

    Parameters
    ----------
    environ
        Says what stands for the public index, and how that is reached; nothing if not given.
    """
    if environ is None:
        return Credential(index, (index.authenticated_url,))
    given = sources.given(environ)
    default = _complete(given.default, given, environ, {}) if given.default else None
    return Credential(index, (index.authenticated_url,), default, given.connection)


def environment(
    credential: Credential, environ: Mapping[str, str], *, locked: bool = True
) -> dict[str, str]:
    """Return a copy of `environ` in which pip and uv find the private package.

    pip reads ``PIP_EXTRA_INDEX_URL``, ``PIP_INDEX_URL`` and its configuration. uv reads neither,
    only ``UV_INDEX``, which it searches first, and ``UV_DEFAULT_INDEX``; an index that ``UV_INDEX``
    names already stays first. A feed on this machine is reached without the proxy.

    Parameters
    ----------
    locked
        Whether what is installed is locked with its hashes. Then uv asks the feed for the packages
        that only it has, and last for any other, and the hash decides. Without hashes the feed
        comes first: nothing that the public index has may take the place of a private package.
    """
    found = credential.connection.environment(without_proxy(credential.feed.url, environ))
    found.pop("UV_FIND_LINKS", None)
    indexes = list(credential.extra)
    if locked and credential.extra:
        found |= _find_links(credential, environ)
    if locked and credential.only and credential.extra:
        indexes = [*_public(credential), *indexes]
    own = environ.get("UV_INDEX", "").split()
    found["PIP_EXTRA_INDEX_URL"] = " ".join(credential.extra)
    # Those of an environment that this function has made are here already, in another order maybe.
    found["UV_INDEX"] = " ".join([*(url for url in own if url not in indexes), *indexes])
    if credential.default:
        found |= dict.fromkeys(("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), credential.default)
    return found


def public(environ: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of `environ` for what is public: without the credential of an extra index.

    Where an index stands for the public one, such as a single feed, that is the only one asked.

    Raises
    ------
    CredentialError
        If what the environment gives is unusable.
    """
    given = sources.given(environ)
    found = given.connection.environment(removed(environ))
    if given.default:
        url = _complete(given.default, given, environ, {})
        found = without_proxy(url, found)
        found |= dict.fromkeys(("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), url)
    return found


def removed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of `environ` without what may hold a credential."""
    return surroundings.without_feed(environ)


def scrub(text: str, index: Index) -> str:
    """Return `text` without the password of `index`, in any form that a server may repeat."""
    pair = base64.b64encode(f"{index.username}:{index.password}".encode()).decode()
    sent = latin_1_for_utf_8(index.password)
    for form in (pair, index.password, quote(index.password, safe=""), sent, quote(sent, safe="")):
        text = text.replace(form, "…") if form else text
    return text


def write_pip_conf(index: Index, path: Path, *, template: Path) -> None:
    """Render a template for `index` to `path`, readable by its owner alone."""
    scheme, _, address = index.url.partition("://")
    text = Template(template.read_text(encoding="utf-8")).safe_substitute(
        FEED_SCHEME=scheme,
        FEED_USERNAME=quote(index.username, safe=""),
        FEED_PASSWORD=quote(index.password, safe=""),
        FEED_INDEX=address,
    )
    write_secret(text, path)


def write_install_conf(credential: Credential, path: Path, *, cert: str | None = None) -> None:
    """Write a pip.conf that installs locked files from all indexes, readable by its owner alone.

    Of files with the same hash pip takes that of the last index, so the public one comes last: the
    feed may list a package of its upstream that this login may not download.

    Parameters
    ----------
    cert
        The path of a CA bundle, where pip will run.
    """
    first, *others = [
        index.pip_url if (index := parse_index(url)) else url
        for url in (*credential.extra, *_public(credential))
    ]
    lines = ["[global]", f"index-url = {first}", "extra-index-url ="]
    lines += [f"    {url}" for url in others]
    lines += [f"cert = {cert}"] if cert else []
    lines += [f"proxy = {credential.connection.proxy}"] if credential.connection.proxy else []
    trusted = " ".join(credential.connection.trusted)
    lines += [f"trusted-host = {trusted}"] if trusted else []
    write_secret("\n".join(lines) + "\n", path)


def write_secret(text: str, path: Path) -> None:
    """Write `text` to `path` in one step, with mode 0600 from the first byte on."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)


def _complete(
    address: Address, given: sources.Sources, environ: Mapping[str, str], found: dict[str, Address]
) -> str:
    """Return an address with its login, which is noted in `found`; where there is none, as it is.

    Raises
    ------
    CredentialError
        If it has a user name whose password is found nowhere.
    """
    url = address.url
    read = parts(url)
    if read is None:
        return url
    if read.password is not None:
        found.setdefault(plain(read), address)
        return url
    if plain(read) in found:  # an environment that we have made has it twice
        return found[plain(read)].url
    if (login := logins.find(url, environ, provider=given.keyring)) is None:
        if read.username:
            raise CredentialError(_without_password(address, given))
        return url
    complete = Index(plain(read), login.username, login.password).authenticated_url
    found[plain(read)] = Address(complete, login.source)
    return complete


def _without_password(address: Address, given: sources.Sources) -> str:
    read = parts(address.url)
    host = read.hostname if read else ""
    keyring = "is disabled" if given.keyring == logins.DISABLED else "has none"
    return (
        f"{address.source}: the address of {host} has a user name and no password, .netrc has none "
        f"for it and the keyring {keyring}: put one there, or write USER:PASSWORD@{host} (USER:@ "
        "if it is empty)"
    )


def _public(credential: Credential) -> tuple[str, ...]:
    """Return the index of public packages, to be named: nothing else can come before a feed."""
    if credential.single:
        return (str(credential.default),)
    if credential.default:
        return (credential.default,)
    with suppress(ImportError):  # on an executor, which installs nothing
        from pypi_simple import PYPI_SIMPLE_ENDPOINT  # noqa: PLC0415 # not where it is missing

        return (PYPI_SIMPLE_ENDPOINT,)
    return ()


def _find_links(credential: Credential, environ: Mapping[str, str]) -> dict[str, str]:
    """Let uv take these packages from the feed's pages, whatever another index has of the name.

    Of pages that the environment has, those of the feed stay, which this function has put there:
    the user's own would be one more source.
    """
    base = credential.feed.authenticated_url.rstrip("/")
    pages = [f"{base}/{name}/" for name in credential.only]
    given = environ.get("UV_FIND_LINKS", "").split(",")
    ours = [each for each in given if each.startswith(f"{base}/") and each not in pages]
    return {"UV_FIND_LINKS": ",".join([*ours, *pages])} if ours or pages else {}
