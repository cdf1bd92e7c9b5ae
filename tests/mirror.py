"""A feed that stands for the public index: our packages and every public one, behind one login.

    python -m tests.mirror 'make demo'
    python -m tests.mirror --redirected 'make demo'

The command runs in a fresh clone with an empty HOME, knows this feed alone (PIP_INDEX_URL), and
finds a dead proxy on every other way out. With ``--redirected`` every variable of pip, uv and twine
is set that would install elsewhere, other bytes or from another index. At the end it prints what
the feed was asked for, and what was installed: both are the same with and without.
"""

import base64
import hashlib
import http.server
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urldefrag, urljoin

import requests
from pypi_simple import PYPI_SIMPLE_ENDPOINT
from requests.adapters import HTTPAdapter

from mlflow_sealed import process
from mlflow_sealed.feed.credential import Index
from mlflow_sealed.feed.local import LocalFeed
from tests.environ import ROOT
from tests.mlflow_sealed.documented_variables import redirecting

DEAD: Final = "http://127.0.0.1:9"
"""A proxy that is not there."""

KEPT: Final = ("LANG", "TERM", "DOCKER_HOST")
"""What the command gets of the surroundings."""

_LINK: Final = re.compile(r'href="([^"]+)"')
_PASSED: Final = (
    "Accept-Ranges",
    "Content-Type",
    "Content-Length",
    "WWW-Authenticate",
    "Content-Range",
)
_CHUNK: Final = 1 << 20


class Mirror(http.server.ThreadingHTTPServer):
    """A feed that runs, and how often each package was asked for.

    Parameters
    ----------
    own
        The feed that has our packages, and takes what is published.
    public
        The index that is asked for what the feed has not.
    """

    def __init__(self, own: Index, public: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.own = own
        self.public = public
        self.asked: Counter[str] = Counter()
        self.session = requests.Session()
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, HTTPAdapter(pool_maxsize=50, max_retries=3))
        url = f"http://127.0.0.1:{self.server_port}/simple/"
        self.index = Index(url, own.username, own.password)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing where a client ends first: uv reads no more of a wheel than it needs."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def page(self, name: str) -> tuple[int, bytes]:
        """Return the status and the page of a package: the feed's, or the public one."""
        self.asked[name] += 1
        login = (self.own.username, self.own.password)
        mine = self.session.get(f"{self.own.url}{name}/", auth=login, timeout=60)
        if mine.ok:
            return mine.status_code, mine.content
        found = self.session.get(
            f"{self.public}{name}/", headers={"Accept": "text/html"}, timeout=60
        )
        text = _LINK.sub(lambda link: f'href="{_local(found.url, link[1])}"', found.text)
        return found.status_code, text.encode()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Mirror
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        own = self.server.own
        login = base64.b64encode(f"{own.username}:{own.password}".encode()).decode()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers["Authorization"] != f"Basic {login}":
            self._answer(401, b"", {"WWW-Authenticate": 'Basic realm="mirror"'})
        elif self.path.startswith("/public/"):
            coded, _, name = self.path.removeprefix("/public/").partition("/")
            self._pass_on(f"{bytes.fromhex(coded).decode()}/{name}", "Range")
        elif found := re.fullmatch(r"/simple/([^/]+)/?", self.path):
            self._answer(*self.server.page(found[1]), {"Content-Type": "text/html"})
        else:
            place = own.url.removesuffix("/simple/") + self.path
            self._pass_on(place, "Authorization", "Content-Type", data=body)

    do_HEAD = do_POST = do_GET  # noqa: N815 # the library's names

    def _pass_on(self, place: str, *names: str, data: bytes = b"") -> None:
        """Answer as another server does to the same request with these of its headers."""
        sent = {name: self.headers[name] for name in names if self.headers[name]}
        sent["Accept-Encoding"] = "identity"  # requests would decode another, the length would not
        method = self.command
        with self.server.session.request(
            method, place, headers=sent, data=data, stream=True, timeout=60
        ) as found:
            self.send_response(found.status_code)
            for name in filter(found.headers.__contains__, _PASSED):
                self.send_header(name, found.headers[name])
            if "Content-Length" not in found.headers:
                self.send_header("Connection", "close")
            self.end_headers()
            for part in found.iter_content(_CHUNK) if method != "HEAD" else ():
                self.wfile.write(part)

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(folder: Path, *, public: str = PYPI_SIMPLE_ENDPOINT) -> Iterator[Mirror]:
    """Serve a local feed, and through it the public index for what the feed has not."""
    with LocalFeed(folder).serving(process.free_port()) as own, Mirror(own, public) as mirror:
        threading.Thread(target=mirror.serve_forever, daemon=True).start()
        try:
            yield mirror
        finally:
            mirror.shutdown()


def _local(page: str, link: str) -> str:
    """Return the mirror's own address of a file that a public page links."""
    url, digest = urldefrag(urljoin(page, link))
    folder, _, name = url.rpartition("/")
    coded = folder.encode().hex()
    return f"/public/{coded}/{name}#{digest}"


def main(command: str, *, redirected: bool) -> int:
    """Run a command as the text at the top says, and return its exit status."""
    with tempfile.TemporaryDirectory() as name, serving(Path(name) / "feed") as mirror:
        clone, home, folder = (Path(name) / part for part in ("clone", "home", "redirecting"))
        home.mkdir()
        folder.mkdir()
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        environ = _environ(home, mirror.index) | (dict(redirecting(folder)) if redirected else {})
        shell = ["bash", "-euo", "pipefail", "-c", command]
        status = subprocess.run(shell, cwd=clone, env=environ, check=False).returncode
        print(f"status {status}\nasked for, of the feed: {_told(mirror.asked)}")
        print(f"installed: {_told(_installed(Path(name)))}")
    return status


def _environ(home: Path, index: Index) -> dict[str, str]:
    path = os.environ["PATH"].replace(f"{ROOT}/.venv/bin:", "")
    return {
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), DEAD),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost"),
        "HOME": str(home),
        "PATH": path,
        "PIP_INDEX_URL": index.authenticated_url,
    }


def _installed(folder: Path) -> Counter[str]:
    """Return each distribution below a folder, and in how many environments it is."""
    found = folder.rglob("site-packages/*.dist-info")
    return Counter(each.name for each in found if "cache" not in each.parts)


def _told(found: Counter[str]) -> str:
    """Return how many there are, and a hash by which two runs can be compared."""
    text = "\n".join(sorted(found.elements()))
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{len(found)} packages, {found.total()} times ({digest})"


if __name__ == "__main__":
    *options, given = sys.argv[1:]
    sys.exit(main(given, redirected=options == ["--redirected"]))
