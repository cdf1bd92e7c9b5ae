"""The address of an index, and the login in it."""

from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from mlflow_sealed.feed.connection import Connection


class CredentialError(Exception):
    """The feed's credential is missing or unusable; the message never shows it."""


class Address(NamedTuple):
    """An index's address as it was given, a secret, and what gave it, to be named in errors."""

    url: str
    source: str


@dataclass(frozen=True)
class Index:
    """One authenticated index of a feed.

    Attributes
    ----------
    url
        The address of the simple index, without user name and password: fit to be shown.
    connection
        How it is reached.
    """

    url: str
    username: str = field(repr=False)
    password: str = field(repr=False)
    connection: Connection = field(default=Connection(), repr=False, compare=False)

    @property
    def authenticated_url(self) -> str:
        """The address with user name and password in it: a secret."""
        return self._with_login(self.username, self.password)

    @property
    def pip_url(self) -> str:
        """The address with which pip sends the login in UTF-8, as uv does: a secret.

        By itself pip sends Latin-1, and fails on other characters.
        """
        return self._with_login(*map(latin_1_for_utf_8, (self.username, self.password)))

    def _with_login(self, username: str, password: str) -> str:
        scheme, _, address = self.url.partition("://")
        return f"{scheme}://{quote(username, safe='')}:{quote(password, safe='')}@{address}"


def latin_1_for_utf_8(text: str) -> str:
    """Return the text whose bytes in Latin-1 are those of `text` in UTF-8.

    requests, and with it pip and twine, sends a login in Latin-1. Servers and uv use UTF-8
    (RFC 7617).

    Examples
    --------
    >>> latin_1_for_utf_8("plain")
    'plain'
    >>> latin_1_for_utf_8("łódź").encode("latin-1").decode("utf-8")
    'łódź'
    """
    return text.encode("utf-8").decode("latin-1")


def parts(url: str) -> SplitResult | None:
    """Return the parts of an index's address, or None if it is none.

    Examples
    --------
    >>> parts("https://feed.example:port/") is None
    True
    """
    try:
        found = urlsplit(url)
        usable = found.hostname and found.port != 0
    except ValueError:
        return None
    return found if usable and found.scheme in {"http", "https"} else None


def plain(found: SplitResult) -> str:
    """Return an address without user name and password: fit to be shown."""
    return urlunsplit((found.scheme, found.netloc.rpartition("@")[2], found.path, "", ""))


def parse_index(url: str) -> Index | None:
    """Return the authenticated index that `url` stands for, or None if it has no user name."""
    found = parts(url)
    if found is None or not found.username:
        return None
    return Index(plain(found), unquote(found.username), unquote(found.password or ""))
