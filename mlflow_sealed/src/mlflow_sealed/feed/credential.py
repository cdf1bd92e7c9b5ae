"""The feed's credential: from the two variables that may hold it, to what pip and uv need."""

import base64
import configparser
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from mlflow_sealed import surroundings

TEMPLATE: Final = "pip.conf.template"
"""The file at the top of a project that a pip.conf is made from."""

VARIABLES: Final = (
    *("PIP_CONFIG_FILE", "PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "PYPIRC_PATH"),
    *("UV_DEFAULT_INDEX", "UV_INDEX"),
)
"""The variables that may hold a credential, or name a file that does."""

_SECTIONS: Final = ("global", "install")
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")

_MISSING: Final = (
    "no feed credential: set PIP_CONFIG_FILE to a pip.conf made from "
    f"{TEMPLATE} (at the top of the repository), or PIP_EXTRA_INDEX_URL to the feed's index "
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
    """What a user gave us to install with: the feed, among the indexes in their order.

    Attributes
    ----------
    feed
        The first index that has a user name: where the private package is.
    extra
        The extra indexes as they were given, in search order: secrets.
    default
        What stands for the public index, as it was given, or None: a secret.
    """

    feed: Index
    extra: tuple[str, ...] = field(repr=False)
    default: str | None = field(default=None, repr=False)

    @property
    def urls(self) -> tuple[str, ...]:
        """All indexes as they were given: secrets."""
        return (*self.extra, self.default) if self.default else self.extra


def read(environ: Mapping[str, str]) -> Credential:
    """Return the credential that the environment gives.

    Parameters
    ----------
    environ
        Looked at for ``PIP_EXTRA_INDEX_URL`` and ``PIP_CONFIG_FILE``, in this order; of the file,
        ``extra-index-url`` and ``index-url`` count.

    Raises
    ------
    CredentialError
        If neither is set, the file cannot be read, or no address has a user name in it.

    Examples
    --------
    >>> read({"PIP_EXTRA_INDEX_URL": "https://me:s3cret@feed.example/simple/"})
    Credential(feed=Index(url='https://feed.example/simple/'))
    """
    if not is_set(environ):
        raise CredentialError(_MISSING)
    extra = environ.get("PIP_EXTRA_INDEX_URL", "").split()
    default = None
    sources = ["PIP_EXTRA_INDEX_URL"] if extra else []
    if _names_file(environ):
        path = environ["PIP_CONFIG_FILE"]
        options = _configured(Path(path))
        extra += options["extra-index-url"]
        default = next(iter(options["index-url"]), None)
        sources.append(f"PIP_CONFIG_FILE ({path})")
    return _credential(extra, default, source=" and ".join(sources))


def is_set(environ: Mapping[str, str]) -> bool:
    """Return whether the environment names a credential, good or bad."""
    return bool(environ.get("PIP_EXTRA_INDEX_URL", "").strip()) or _names_file(environ)


def from_index(index: Index) -> Credential:
    """Return the credential that has `index` as its only extra index."""
    return Credential(index, (index.authenticated_url,))


def environment(credential: Credential, environ: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of `environ` in which pip and uv find the private package.

    pip reads ``PIP_EXTRA_INDEX_URL`` and its configuration. uv reads neither, only ``UV_INDEX``,
    which it searches first, and ``UV_DEFAULT_INDEX``; an index that ``UV_INDEX`` names already
    stays first. A feed on this machine is reached without the proxy.
    """
    found = {
        **without_proxy(credential.feed.url, environ),
        "PIP_EXTRA_INDEX_URL": " ".join(credential.extra),
        "UV_INDEX": " ".join([*environ.get("UV_INDEX", "").split(), *credential.extra]),
    }
    found.pop("UV_FIND_LINKS", None)
    if credential.default:
        found["UV_DEFAULT_INDEX"] = credential.default
    return found


def removed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of `environ` without what may hold a credential."""
    return surroundings.without_feed(environ)


def without_proxy(url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of `environ` in which `url` is reached directly if it is on this machine."""
    host = urlsplit(url).hostname
    if host not in _LOOPBACK:
        return dict(environ)
    hosts = environ.get("NO_PROXY") or environ.get("no_proxy")
    direct = f"{hosts},{host}" if hosts else host
    return {**environ, "NO_PROXY": direct, "no_proxy": direct}


def scrub(text: str, index: Index) -> str:
    """Return `text` without the password of `index`, in any form that a server may repeat."""
    pair = base64.b64encode(f"{index.username}:{index.password}".encode()).decode()
    for form in (pair, index.password, quote(index.password, safe="")):
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
    """Write a pip.conf that installs from all indexes given, readable by its owner alone.

    Parameters
    ----------
    cert
        The path of a CA bundle, where pip will run.
    """
    lines = ["[global]", "extra-index-url ="]
    lines += [f"    {url}" for url in credential.extra]
    lines += [f"index-url = {credential.default}"] if credential.default else []
    lines += [f"cert = {cert}"] if cert else []
    write_secret("\n".join(lines) + "\n", path)


def write_secret(text: str, path: Path) -> None:
    """Write `text` to `path` in one step, with mode 0600 from the first byte on."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)


def _credential(extra: list[str], default: str | None, *, source: str) -> Credential:
    urls = [*extra, default] if default else extra
    if any("${" in url for url in urls):
        raise CredentialError(f"{source}: a placeholder of {TEMPLATE} is not filled in")
    feeds = [index for url in urls if (index := parse_index(url))]
    if not feeds:
        raise CredentialError(f"{source}: expected https://USER:PASSWORD@HOST/…/simple/")
    return Credential(feeds[0], tuple(extra), default)


class _Parser(configparser.RawConfigParser):
    def optionxform(self, optionstr: str) -> str:
        """Take ``extra_index_url`` for ``extra-index-url``, as pip does."""
        return optionstr.lower().replace("_", "-")


def _names_file(environ: Mapping[str, str]) -> bool:
    return environ.get("PIP_CONFIG_FILE", "") not in {"", os.devnull}


def _configured(path: Path) -> dict[str, list[str]]:
    parser = _Parser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror
    except (configparser.Error, UnicodeDecodeError):
        reason = f"not a pip configuration file; {TEMPLATE} shows one"
    else:
        found = {
            name: " ".join(parser.get(part, name, fallback="") for part in _SECTIONS).split()
            for name in ("extra-index-url", "index-url")
        }
        if any(found.values()):
            return found
        reason = f"has no extra-index-url; {TEMPLATE} shows one"
    # Not chained: a parser's error quotes the line, and with it the credential.
    raise CredentialError(f"PIP_CONFIG_FILE ({path}): {reason}") from None


def parse_index(url: str) -> Index | None:
    """Return the authenticated index that `url` stands for, or None if it has no user name."""
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname and parts.username and parts.port != 0)
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not usable:
        return None
    address = parts.netloc.rpartition("@")[2]
    return Index(
        urlunsplit((parts.scheme, address, parts.path, "", "")),
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )
