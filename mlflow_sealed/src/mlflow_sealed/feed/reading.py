"""Read what a feed has of a package; a page or a file that it does not give is one line."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final, cast
from urllib.parse import urljoin, urlsplit

import requests
from packaging.utils import canonicalize_name, parse_wheel_filename
from pypi_simple import (
    DistributionPackage,
    NoSuchProjectError,
    PyPISimple,
    UnsupportedRepoVersionError,
)

from mlflow_sealed.feed import answers, credential
from mlflow_sealed.feed.answers import AnswerError, FeedError
from mlflow_sealed.feed.credential import Index
from mlflow_sealed.feed.session import open_session

_TIMEOUT_S: Final = 30


class MissingError(AnswerError):
    """A feed does not have a package, or sends its clients to another host for it."""


def published_sha256(filename: str, index: Index) -> str | None:
    """Return the SHA-256 of a wheel on a feed, or None if it is not there.

    A feed that sends its clients to another host for a package that it lacks, as GitLab does to the
    public index, does not have it: what that host has under the name is not ours.

    Raises
    ------
    mlflow_sealed.feed.answers.FeedError
        If the feed cannot be asked.
    """
    project = canonicalize_name(parse_wheel_filename(filename)[0])
    try:
        files = _files(project, index)
    except MissingError:
        return None
    for file in files:
        if file.filename == filename:
            return _sha256(file, index)
    return None


def check_access(index: Index, package: str) -> None:
    """Ask a feed for the page of a package and for its last file, to see whether it gives them.

    Raises
    ------
    mlflow_sealed.feed.answers.FeedError
        If it refuses the credential, lacks the package or does not give the file, cannot be
        reached, or is no package index.
    """
    project = canonicalize_name(package)
    files = _files(project, index)
    if not files:
        raise FeedError(f"{index.url} lists no file of {project}: publish it")
    with _download(files[-1], index):
        pass  # its first bytes are enough


def _files(project: str, index: Index) -> list[DistributionPackage]:
    def line(status: int, said: str) -> str:
        return answers.page_line(index.url, project, status, said)

    with _session(index) as session, _failures(index, line):
        session.hooks["response"] = [_stay]
        try:
            client = PyPISimple(index.url, session=session)
            return client.get_project_page(project, timeout=_TIMEOUT_S).packages
        except NoSuchProjectError:
            missing = HTTPStatus.NOT_FOUND
            raise MissingError(line(missing, ""), missing) from None
        except _RedirectedError as error:
            told = answers.elsewhere_line(index.url, project, error.location)
            raise MissingError(told, HTTPStatus.FOUND) from None


def _sha256(file: DistributionPackage, index: Index) -> str:
    """Return a file's hash in lower case; a feed that gives none is asked for the file."""
    digests = {name.lower(): digest.lower() for name, digest in file.digests.items()}
    if given := digests.get("sha256"):
        return given
    digest = hashlib.sha256()
    with _download(file, index) as response:
        for chunk in response.iter_content(2**20):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _download(file: DistributionPackage, index: Index) -> Iterator[requests.Response]:
    """Begin to download a file, from any host; the credential goes to the index's alone."""

    def line(status: int, said: str) -> str:
        return answers.file_line(index.url, file.filename, status, said)

    with _session(index) as session, _failures(index, line):
        if urlsplit(file.url).netloc != urlsplit(index.url).netloc:
            session.auth = None
        with session.get(file.url, timeout=_TIMEOUT_S, stream=True) as response:
            response.raise_for_status()
            yield response


def _session(index: Index) -> requests.Session:
    session = open_session(index)
    session.headers["Cache-Control"] = "max-age=0"  # not what a proxy kept from before an upload
    return session


class _RedirectedError(requests.RequestException):
    def __init__(self, location: str) -> None:
        super().__init__()
        self.location = location


def _stay(response: requests.Response, **_: object) -> None:
    """Refuse a redirect to another host, before it is followed."""
    location = urljoin(response.url, response.headers.get("Location", ""))
    if response.is_redirect and urlsplit(location).hostname != urlsplit(response.url).hostname:
        response.close()
        raise _RedirectedError(location)


@contextmanager
def _failures(index: Index, line: Callable[[int, str], str]) -> Iterator[None]:
    """Turn what requests and pypi-simple raise into a line of ours."""
    try:
        yield
    except requests.HTTPError as error:
        response = cast("requests.Response", error.response)
        status = response.status_code
        said = answers.reason(status, response.reason or "", response.text)
        raise AnswerError(line(status, credential.scrub(said, index)), status) from None
    except requests.exceptions.InvalidJSONError:
        raise _no_index(index) from None
    except requests.RequestException as error:
        kind = type(error).__name__
        raise FeedError(answers.unreachable_line(index.url, kind, str(error))) from None
    except (ValueError, UnsupportedRepoVersionError):  # what pypi-simple cannot read
        raise _no_index(index) from None


def _no_index(index: Index) -> FeedError:
    return FeedError(f"{index.url} is not a package index: check the address")
