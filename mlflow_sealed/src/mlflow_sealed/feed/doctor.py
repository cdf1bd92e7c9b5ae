"""Say what is found of a credential, what each tool will use, and whether the feed takes it.

No line has a user name or a password: with some feeds a token stands as the user name.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

import requests
from packaging.utils import canonicalize_name
from pypi_simple import NoSuchProjectError, ProjectPage, PyPISimple

from mlflow_sealed.feed import access, credential, logins, sources, upload_address
from mlflow_sealed.feed.address import parts, plain
from mlflow_sealed.feed.session import open_session
from mlflow_sealed.feed.upload_address import Target
from mlflow_sealed.project import Project

_TIMEOUT_S: Final = 30
_REFUSED: Final = (401, 403)
_NO_UPLOADS: Final = (404, 405)
_FAILS: Final = 500
_VARIABLES: Final = ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX")


class DoctorError(Exception):
    """Something that an installation or a publication needs does not work; it was said above."""


def examine(project: Project) -> None:
    """Print what is found, what is used and what the feed answers.

    Raises
    ------
    DoctorError
        If the feed cannot be read with the login, or lacks the private package.
    mlflow_sealed.feed.credential.CredentialError
        If there is no usable credential.
    """
    _say("found", _found(os.environ))
    with access.credential_or_local(project.root) as found:
        target = upload_address.find(os.environ, found)
        _say("used", _used(found, target))
        answers = list(_answers(found, target, canonicalize_name(project.names.package)))
    _say("asked", (f"{what:<20} {answer}" for what, answer, _ in answers))
    if wrong := [what for what, _, works in answers if not works]:
        raise DoctorError(f"{' and '.join(wrong)}: not as needed, the lines above say why")


def _say(title: str, lines: Iterator[str]) -> None:
    print(f"{title}:", *(f"  {line}" for line in lines), sep="\n", flush=True)


def _found(environ: Mapping[str, str]) -> Iterator[str]:
    """Give a line for each place that may have a part of the credential."""
    for name in _VARIABLES:
        shown = [shown_address(url) for url in environ.get(name, "").split()]
        yield f"{name:<20} {', '.join(shown) or '-'}"
    yield f"{'PIP_CONFIG_FILE':<20} {environ.get('PIP_CONFIG_FILE') or '-'}"
    yield f"{'PYPIRC_PATH':<20} {environ.get('PYPIRC_PATH') or '-'}"
    yield f"{'.netrc':<20} {logins.netrc_file(environ) or '-'}"
    provider = sources.given(environ).keyring
    programs = [] if provider == logins.DISABLED else logins.keyrings(environ)
    yield f"{'keyring':<20} {', '.join(programs) or '-'} ({provider or 'nothing said'})"


def shown_address(url: str) -> str:
    """Return an index's address without its login, and whether it has one.

    Examples
    --------
    >>> shown_address("https://me:s3cret@feed.example/simple/")
    'https://feed.example/simple/ (with a password)'
    >>> shown_address("s3cret")
    'no address'
    """
    found = parts(url)
    if found is None:
        return "no address"
    if found.password is not None:
        return f"{plain(found)} (with a password)"
    return f"{plain(found)} (with a user name)" if found.username else plain(found)


def _used(found: credential.Credential, target: Target) -> Iterator[str]:
    """Give a line for each tool, and for how the indexes are reached."""
    login = found.logins.get(found.feed.url)
    yield f"{'feed':<20} {found.feed.url}, login from {login.source if login else 'the local feed'}"
    others = [plain(read) for url in found.urls if (read := parts(url))]
    public = [] if found.default else ["the public index"]
    only = ", ".join(found.only)
    yield f"{'pip, image build':<20} {', '.join([*others, *public])}; the hash decides"
    if found.single:
        yield f"{'uv, MLflow':<20} {found.feed.url} alone"
    else:
        yield f"{'uv, MLflow':<20} the feed for {only}; for others, the feed last"
    yield f"{'twine':<20} {target.upload_url}"
    connection = found.connection
    yield f"{'CA bundle':<20} {connection.cert or 'the usual one'}"
    proxy = parts(connection.proxy or "")
    yield f"{'proxy of pip':<20} {plain(proxy) if proxy else '-'}"
    yield f"{'trusted hosts':<20} {', '.join(connection.trusted) or '-'}"


def _answers(
    found: credential.Credential, target: Target, package: str
) -> Iterator[tuple[str, str, bool]]:
    """Give what was asked of the feed, its answer, and whether an installation can do with it."""
    with open_session(found.feed) as session:
        try:
            page = PyPISimple(found.feed.url, session=session).get_project_page(
                package, timeout=_TIMEOUT_S
            )
        except NoSuchProjectError:
            yield "read", "the feed takes the login", True
            yield (
                f"list {package}",
                "it lists none: publish it with mlflow-sealed feed publish",
                False,
            )
        except (requests.RequestException, ValueError) as error:
            yield "read", _reason(error), False
            return
        else:
            yield "read", "the feed takes the login", True
            yield f"list {package}", _versions(page), bool(page.packages)
            yield from _download(page, session, found.feed)
    yield _publish(target)


def _versions(page: ProjectPage) -> str:
    versions = dict.fromkeys(package.version or package.filename for package in page.packages)
    return ", ".join(versions) or "the page is empty: publish it with mlflow-sealed feed publish"


def _download(
    page: ProjectPage, session: requests.Session, feed: credential.Index
) -> Iterator[tuple[str, str, bool]]:
    """Ask for the first bytes of the newest file: a page may list what a login may not have."""
    for package in page.packages[-1:]:
        if urlsplit(package.url).netloc != urlsplit(feed.url).netloc:
            session.auth = None  # the feed's login is no other host's business
        try:
            with session.get(package.url, timeout=_TIMEOUT_S, stream=True) as response:
                response.raise_for_status()
        except requests.RequestException as error:
            yield "download", f"{package.filename}: {_reason(error)}", False
        else:
            yield "download", f"{package.filename}: it gives the file", True


def _publish(target: Target) -> tuple[str, str, bool]:
    """Send an upload form without a file: a login that may not publish is refused before that."""
    name = "publish"
    try:
        with open_session(target.index) as session:
            form = {"protocol_version": (None, "1")}
            response = session.post(
                target.upload_url, files=form, timeout=_TIMEOUT_S, allow_redirects=False
            )
    except requests.RequestException as error:
        return name, _reason(error), True
    status = response.status_code
    if status in _REFUSED:
        return name, f"this login may not (status {status}): installations need not", True
    if status in _NO_UPLOADS or response.is_redirect:
        return name, f"the address takes no uploads (status {status}): is it right?", True
    if status >= _FAILS:
        return name, f"it fails at an empty form (status {status}), so nothing is known", True
    return name, f"this login may, as an empty form shows (status {status})", True


def _reason(error: Exception) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        status = error.response.status_code
        refused = "the feed refuses the login" if status in _REFUSED else "the feed answers so"
        return f"{refused} (status {status})"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted: name its CA with cert in pip.conf, or PIP_CERT"
    if isinstance(error, requests.RequestException):
        return f"it cannot be reached ({type(error).__name__})"
    return "it is no package index: check the address"
