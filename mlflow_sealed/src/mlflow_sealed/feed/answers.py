"""What a feed's answer means: one line that says which address failed, why, and what to do.

The statuses mean what RFC 9110 and RFC 6585 say, with two habits of feeds: pypiserver answers a
wrong password with 403, and Azure Artifacts answers 403 for a file of an upstream source that a
Reader may not save (https://learn.microsoft.com/azure/devops/artifacts/concepts/upstream-sources).
"""

import json
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
_LONGEST_REASON: Final = 300


class FeedError(Exception):
    """A feed cannot be read or published to; the message says why and what to do."""


class AnswerError(FeedError):
    """A feed answered with a status that is no success, or sent us elsewhere.

    Attributes
    ----------
    status
        The HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def page_line(url: str, package: str, status: int, said: str = "") -> str:
    """Return the line for an index that does not show the page of a package.

    Parameters
    ----------
    said
        The server's own reason, without a secret in it; shown as far as it is short.

    Examples
    --------
    >>> page_line("https://feed.example/simple/", "mine", 404)
    'https://feed.example/simple/ has no mine (status 404): publish it, or check the address'
    """
    got = _got(status, said)
    lines = {
        401: f"refuses the user name or password {got}: check them; a token may have expired",
        403: f"refuses the user name or password {got}, or does not let this user read {package}: "
        "check them, and the user's role on the feed",
        404: f"has no {package} {got}: publish it, or check the address",
    }
    return f"{url} {lines.get(status) or _other(status, got)}"


def file_line(url: str, file: str, status: int, said: str = "") -> str:
    """Return the line for an index that lists a file and does not give it."""
    got = _got(status, said)
    lines = {
        401: f"refuses the user name or password {got} for {file}, which it lists: the login must "
        "hold for the files too",
        403: f"lists {file} but does not let this user download it {got}: the user needs the right "
        "to read files, and to save them where they come from an upstream source",
        404: f"lists {file} but does not have it {got}: publish it again, or ask the feed's "
        "administrator",
    }
    return f"{url} {lines.get(status) or f'does not give {file}: it {_other(status, got)}'}"


def upload_line(url: str, status: int, said: str = "") -> str:
    """Return the line for an address that does not take an upload."""
    got = _got(status, said)
    elsewhere = (
        f"takes no uploads {got}: name the feed's upload address with --upload-url, or in a "
        ".pypirc that PYPIRC_PATH names"
    )
    lines = {
        401: f"refuses the user name or password {got}: check them; a token may have expired",
        403: f"refuses the user name or password {got}, or does not let this user publish: check "
        "them, and the user's role on the feed",
        404: elsewhere,
        405: elsewhere,
        409: f"has a file of this name already {got}: if it was just uploaded, try again in a "
        "minute; else raise the version",
        413: f"takes no file of this size {got}: ask the feed's administrator",
    }
    if status < _TOO_MANY:
        return f"{url} {lines.get(status, f'does not take the wheel {got}: the reason is its own')}"
    return f"{url} {_other(status, got)}"


def elsewhere_line(url: str, package: str, location: str) -> str:
    """Return the line for an index that sends its clients to another host for a package."""
    return (
        f"{url} sends its clients to another host ({urlsplit(location).hostname}) for {package}: "
        "publish it, switch forwarding off on the feed, or check the address"
    )


def unreachable_line(url: str, kind: str, text: str) -> str:
    """Return the line for a feed that gave no answer at all.

    Parameters
    ----------
    kind
        The name of the exception of requests.
    text
        Its message, which is not shown: it may have an address with a password in it.

    Examples
    --------
    >>> unreachable_line("https://feed.example/simple/", "ConnectTimeout", "")
    'https://feed.example/simple/ does not answer in time: is it up, is a proxy or a firewall in \
the way?'
    """
    for signs, line in _NO_ANSWER:
        if any(sign in kind or sign in text for sign in signs):
            return f"{url} {line}"
    return f"{url} cannot be reached ({kind}): is it up, is the address right?"


def reason(status: int, phrase: str, body: str) -> str:
    """Return what a server says about a status: in its status line, in the body, or in both.

    Nothing is left of a phrase that says no more than the status, nor of a page in HTML.

    Examples
    --------
    >>> reason(403, "Forbidden", '{"message": "You need AddPackage"}')
    'You need AddPackage'
    >>> reason(403, "Forbidden", "<html>…</html>")
    ''
    """
    said = " ".join(phrase.split())
    more = " ".join(_message(body).split())
    parts = [part for part in (said, more) if part and part != _phrase(status)]
    return said if more in said and parts else ": ".join(parts)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _message(body: str) -> str:
    try:
        found: Any = json.loads(body)
    except ValueError:
        return "" if "<" in body else body
    if isinstance(found, dict) and isinstance(found.get("errors"), list) and found["errors"]:
        found = found["errors"][0]  # Artifactory's form
    if isinstance(found, dict):
        texts = (found.get(name) for name in ("message", "error", "detail"))
        return next((text for text in texts if isinstance(text, str)), "")
    return found if isinstance(found, str) else ""


def _got(status: int, said: str) -> str:
    short = said if len(said) <= _LONGEST_REASON else f"{said[:_LONGEST_REASON]}…"
    return f"(status {status}, {short})" if short else f"(status {status})"


def _other(status: int, got: str) -> str:
    if status == _TOO_MANY:
        return f"gets too many requests {got}: wait a minute and try again"
    if status >= _SERVER_ERROR:
        return f"fails {got}: try again later"
    return f"answered otherwise than an index does {got}: check the address"


_NO_ANSWER: Final = (
    (
        ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"),
        "does not speak TLS: is it http:// instead, is the port right?",
    ),
    (
        ("Hostname mismatch", "IP address mismatch", "doesn't match"),
        "has a certificate for another host: is the address right?",
    ),
    (
        ("certificate has expired", "certificate is not yet valid"),
        "has a certificate that is not valid today: has it expired, is this machine's clock right?",
    ),
    (
        ("CERTIFICATE_VERIFY_FAILED", "certificate verify failed"),
        (
            "has a certificate that this machine does not trust: name its CA's file as cert in "
            "pip.conf, or in PIP_CERT"
        ),
    ),
    (("ProxyError",), "cannot be reached through the proxy: check HTTPS_PROXY and NO_PROXY"),
    (("TooManyRedirects",), "redirects for ever: check the address, with and without a slash"),
    (
        ("ContentDecodingError", "ChunkedEncodingError", "IncompleteRead"),
        "gives an answer that ends early or is damaged: is a proxy in the way?",
    ),
    (("InvalidURL", "InvalidProxyURL"), "cannot be asked: it, or a proxy's, is no address"),
    (("SSLError",), "ends the TLS handshake: does it want a client's certificate?"),
    (
        ("Timeout", "timed out"),
        "does not answer in time: is it up, is a proxy or a firewall in the way?",
    ),
    (
        ("NameResolutionError", "Failed to resolve"),
        "cannot be reached, as its host name is not known here: is the address right?",
    ),
)
"""What a message of requests has in it, the more special first, and what it means."""
