"""Find the login of an address that has none, or no password: in ~/.netrc, then in a keyring.

pip and uv look there too, each under conditions of its own. What is found here is written into the
address, so that every tool uses the same login, in an image's build as well.
"""

import importlib.util
import json
import netrc
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from mlflow_sealed import process
from mlflow_sealed.feed.address import CredentialError, plain

DISABLED: Final = "disabled"
"""pip's and uv's name for no keyring."""

_AZURE: Final = ("pkgs.dev.azure.com", ".pkgs.visualstudio.com")
_AZURE_USER: Final = "VssSessionToken"
"""The user name that artifacts-keyring answers to."""


class Login(NamedTuple):
    """A user name, its password, and where they were found; only the last is fit to be shown."""

    username: str
    password: str
    source: str


def find(url: str, environ: Mapping[str, str], *, provider: str = "") -> Login | None:
    """Return the login of an index whose address has no password.

    Parameters
    ----------
    url
        With or without a user name.
    environ
        Looked at for ``NETRC``, ``HOME`` and ``PATH``.
    provider
        What pip or uv was told of keyrings. ``disabled`` asks none. If nothing was said, a keyring
        is asked for an address with a user name and for one of Azure Artifacts, as it may have to
        be unlocked by hand.

    Raises
    ------
    CredentialError
        If the .netrc file cannot be read.
    """
    found = urlsplit(url)
    user, host = unquote(found.username or ""), found.hostname or ""
    if login := _in_netrc(host, user, environ):
        return login
    wanted = provider or user or host.endswith(_AZURE)
    if provider == DISABLED or not wanted:
        return None
    address = plain(found)
    services = dict.fromkeys((address, address.rstrip("/") + "/", found.netloc.rpartition("@")[2]))
    for program in keyrings(environ):
        for service in services:
            if login := _in_keyring(program, service, user, host, environ):
                return login
    return None


def netrc_file(environ: Mapping[str, str]) -> Path | None:
    """Return the .netrc file of the user, or None if there is none."""
    home = environ.get("HOME")
    named = environ.get("NETRC") or (home and f"{home}/.netrc")
    return Path(named) if named and Path(named).is_file() else None


def keyrings(environ: Mapping[str, str]) -> list[str]:
    """Return the programs ``keyring`` on the PATH.

    That of our own environment is the last: the user's knows the backends that the user installed.
    """
    folders = environ.get("PATH", "").split(os.pathsep)
    found = [path for each in folders if each and (path := shutil.which("keyring", path=each))]
    return sorted(dict.fromkeys(found), key=_is_ours)


def _is_ours(program: str) -> bool:
    return Path(program).parent == Path(sys.prefix) / "bin"


def _in_netrc(host: str, user: str, environ: Mapping[str, str]) -> Login | None:
    """Return what .netrc has for a machine by its name: its ``default`` is not meant for a feed."""
    path = netrc_file(environ)
    if path is None:
        return None
    try:
        entry = netrc.netrc(path).hosts.get(host)
    except (OSError, UnicodeDecodeError, netrc.NetrcParseError):
        # Not chained: the parser's error quotes a word, which may be a password.
        raise CredentialError(f"{path} is not a readable .netrc: repair it") from None
    if entry is None or not entry[2] or (user and entry[0] != user):
        return None
    return Login(entry[0], entry[2], str(path))


def _in_keyring(
    program: str, service: str, user: str, host: str, environ: Mapping[str, str]
) -> Login | None:
    asks = host.endswith(_AZURE) and _knows_azure(program)
    for arguments in _questions(service, user, host):
        done = process.captured([program, *arguments], env=environ, errors=asks)
        if done.returncode == 0 and (login := _answer(done.stdout.rstrip("\n"), arguments)):
            return login._replace(source=f"the keyring {program}")
    return None


def _knows_azure(program: str) -> bool:
    """Return whether a keyring may tell the user how to log in, on standard error."""
    return not _is_ours(program) or importlib.util.find_spec("artifacts_keyring") is not None


def _answer(text: str, arguments: list[str]) -> Login | None:
    if "--mode" not in arguments:
        return Login(arguments[-1], text, "") if text else None
    try:
        found = json.loads(text)
        return Login(found["username"], found["password"], "")
    except (ValueError, TypeError, KeyError):
        return None


def _questions(service: str, user: str, host: str) -> Iterator[list[str]]:
    """Give what to ask a keyring: as pip and uv do with a user name, and without one for both."""
    if user:
        yield ["get", service, user]
        return
    yield ["--mode", "creds", "--output", "json", "get", service]
    if host.endswith(_AZURE):  # a keyring before release 25 knows no modes
        yield ["get", service, _AZURE_USER]
