"""The feed's credential: from the two variables that may hold it, to what pip and uv need."""

import configparser
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

TEMPLATE: Final = Path(__file__).parent.parent / "pip.conf.template"

_SECTIONS: Final = ("global", "install")

_MISSING: Final = (
    "no feed credential: set PIP_CONFIG_FILE to a pip.conf made from "
    f"{TEMPLATE.name} (at the top of the repository), or PIP_EXTRA_INDEX_URL to the feed's index "
    "with user name and password (PipAuthenticate@1 does)"
)


class CredentialError(Exception):
    """The feed's credential is missing or unusable; the message never shows it."""


@dataclass(frozen=True)
class Index:
    """One authenticated index of a feed.

    Attributes
    ----------
    url
        The address of the simple index, without user name and password: fit to be shown.
    """

    url: str
    username: str = field(repr=False)
    password: str = field(repr=False)

    @property
    def authenticated_url(self) -> str:
        """The address with user name and password in it: a secret."""
        scheme, _, address = self.url.partition("://")
        return (
            f"{scheme}://{quote(self.username, safe='')}:{quote(self.password, safe='')}@{address}"
        )


@dataclass(frozen=True)
class Credential:
    """What a user gave us to install with: the feed, among the extra indexes in their order.

    Attributes
    ----------
    feed
        The first index that has a user name: where the private package is.
    urls
        All extra indexes as they were given, in search order: secrets.
    """

    feed: Index
    urls: tuple[str, ...] = field(repr=False)


def read(environ: Mapping[str, str]) -> Credential:
    """Return the credential that the environment gives.

    Parameters
    ----------
    environ
        Looked at for ``PIP_EXTRA_INDEX_URL`` and, without that, ``PIP_CONFIG_FILE``: the order
        that pip has.

    Raises
    ------
    CredentialError
        If neither is set, the file cannot be read, or no address has a user name in it.

    Examples
    --------
    >>> read({"PIP_EXTRA_INDEX_URL": "https://me:s3cret@feed.example/simple/"})
    Credential(feed=Index(url='https://feed.example/simple/'))
    """
    if urls := environ.get("PIP_EXTRA_INDEX_URL", "").split():
        return _credential(urls, source="PIP_EXTRA_INDEX_URL")
    path = environ.get("PIP_CONFIG_FILE", "")
    if path and path != os.devnull:
        return _credential(_configured(Path(path)), source=f"PIP_CONFIG_FILE ({path})")
    raise CredentialError(_MISSING)


def is_set(environ: Mapping[str, str]) -> bool:
    """Return whether the environment names a credential, good or bad."""
    return bool(environ.get("PIP_EXTRA_INDEX_URL", "").strip()) or (
        environ.get("PIP_CONFIG_FILE", "") not in {"", os.devnull}
    )


def from_index(index: Index) -> Credential:
    """Return the credential that has `index` as its only extra index."""
    return Credential(index, (index.authenticated_url,))


def environment(credential: Credential, environ: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of `environ` in which pip and uv find the private package.

    pip reads ``PIP_EXTRA_INDEX_URL``. uv reads neither that nor pip.conf, only ``UV_INDEX``, which
    it searches before the public index; an index that ``UV_INDEX`` names already stays first.
    """
    return {
        **environ,
        "PIP_EXTRA_INDEX_URL": " ".join(credential.urls),
        "UV_INDEX": " ".join([*environ.get("UV_INDEX", "").split(), *credential.urls]),
    }


def write_pip_conf(index: Index, path: Path) -> None:
    """Render pip.conf.template for `index` to `path`, readable by its owner alone."""
    scheme, _, address = index.url.partition("://")
    text = Template(TEMPLATE.read_text(encoding="utf-8")).safe_substitute(
        FEED_SCHEME=scheme,
        FEED_USERNAME=quote(index.username, safe=""),
        FEED_PASSWORD=quote(index.password, safe=""),
        FEED_INDEX=address,
    )
    write_secret(text, path)


def write_install_conf(credential: Credential, path: Path, *, cert: str | None = None) -> None:
    """Write a pip.conf that installs from all extra indexes, readable by its owner alone.

    Parameters
    ----------
    cert
        The path of a CA bundle, where pip will run.
    """
    lines = ["[global]", "extra-index-url ="]
    lines += [f"    {url}" for url in credential.urls]
    lines += [f"cert = {cert}"] if cert else []
    write_secret("\n".join(lines) + "\n", path)


def write_secret(text: str, path: Path) -> None:
    """Write `text` to `path` in one step, with mode 0600 from the first byte on."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)


def _configured(path: Path) -> list[str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror
    except (configparser.Error, UnicodeDecodeError):
        reason = f"not a pip configuration file; {TEMPLATE.name} shows one"
    else:
        options = [parser.get(name, "extra-index-url", fallback="") for name in _SECTIONS]
        if urls := " ".join(options).split():
            return urls
        reason = f"has no extra-index-url; {TEMPLATE.name} shows one"
    # Not chained: a parser's error quotes the line, and with it the credential.
    raise CredentialError(f"PIP_CONFIG_FILE ({path}): {reason}") from None


def _credential(urls: list[str], *, source: str) -> Credential:
    if any("${" in url for url in urls):
        raise CredentialError(f"{source}: a placeholder of {TEMPLATE.name} is not filled in")
    feeds = [index for url in urls if (index := parse_index(url))]
    if not feeds:
        raise CredentialError(f"{source}: expected https://USER:PASSWORD@HOST/…/simple/")
    return Credential(feeds[0], tuple(urls))


def parse_index(url: str) -> Index | None:
    """Return the authenticated index that `url` stands for, or None if it has no user name."""
    try:
        parts = urlsplit(url)
        address = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not address or not parts.username:
        return None
    return Index(
        urlunsplit((parts.scheme, address, parts.path, "", "")),
        unquote(parts.username),
        unquote(parts.password or ""),
    )
