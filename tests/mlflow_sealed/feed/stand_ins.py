"""Stand-ins of package servers that cannot run here, written from their documentation.

Each has the addresses that its server documents and no other, wants a login for everything, and
keeps a file once it has it. `mlflow_sealed.feed.upload_address` names the pages.
"""

import base64
import email
import email.policy
import hashlib
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mlflow_sealed.feed.credential import Index

USERNAME = "build"
PASSWORD = "s3cret/+pass"  # noqa: S105 # a test's


@dataclass(frozen=True)
class Server:
    """One kind of server: where its index is, where it takes uploads, and what it answers.

    Attributes
    ----------
    taken
        The status and the reason for a file that is there already.
    digest
        The hash in the links of a page.
    forwards
        Where clients are sent for a package that is not there.
    """

    index: str
    upload: str
    taken: tuple[int, str]
    accepted: int = 200
    digest: str = "sha256"
    forwards: str = ""


SERVERS = {
    "Azure Artifacts": Server(
        "/org/a%20project/_packaging/feed/pypi/simple",
        "/org/a%20project/_packaging/feed/pypi/upload/",
        (409, "Conflict - The feed already contains the file"),
        accepted=202,
    ),
    "GitLab": Server(
        "/api/v4/projects/42/packages/pypi/simple",
        "/api/v4/projects/42/packages/pypi",
        (400, "Bad Request"),
        accepted=201,
        forwards="https://public.example/simple/",
    ),
    "Gitea and Forgejo": Server(
        "/api/packages/team/pypi/simple", "/api/packages/team/pypi", (409, "Conflict"), accepted=201
    ),
    "Nexus": Server(
        "/repository/pypi/simple", "/repository/pypi/", (400, "Repository does not allow updating")
    ),
    "Artifactory": Server(
        "/artifactory/api/pypi/pypi/simple",
        "/artifactory/api/pypi/pypi",
        (403, "Forbidden"),
        digest="md5",
    ),
}


@dataclass
class Running:
    """A stand-in that runs: its files, and the requests that it got."""

    server: Server
    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    shows: bool = True
    """Whether the index shows what was uploaded."""
    write_only: bool = False
    """Whether nothing may be read once there is something."""

    @property
    def index(self) -> Index:
        return Index(f"{self.url}{self.server.index}/", USERNAME, PASSWORD)


@contextmanager
def running(server: Server) -> Iterator[Running]:
    """Run a stand-in on 127.0.0.1 for the length of a ``with`` block."""
    state = Running(server)
    handler = type("Handler", (_Handler,), {"state": state})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listener:
        state.url = f"http://127.0.0.1:{listener.server_port}"
        threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True).start()
        yield state
        listener.shutdown()


class _Handler(http.server.BaseHTTPRequestHandler):
    state: Running

    def do_GET(self) -> None:
        self._note()
        folder, _, name = self.path.rstrip("/").rpartition("/")
        if not self._allowed():
            self._answer(401, "Unauthorized")
        elif folder == self.state.server.index and self.path.endswith("/"):
            self._page(name)
        elif folder == "/files" and name in self.state.files:
            self._answer(200, body=self.state.files[name], kind="application/octet-stream")
        else:
            self._answer(400 if "+" in self.path else 404)

    def do_POST(self) -> None:
        self._note()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._allowed():
            self._answer(401, "Unauthorized")
        elif self.path != self.state.server.upload:
            self._answer(404, "Not Found")
        else:
            self._take(*_file(self.headers["Content-Type"], body))

    def _page(self, project: str) -> None:
        found = [
            f'<a href="/files/{name}#{self._digest(content)}">{name}</a>'
            for name, content in self.state.files.items()
            if name.startswith(f"{project}-") and self.state.shows
        ]
        if self.state.write_only and self.state.files:
            self._answer(403, "Forbidden")
        elif found:
            self._answer(200, body="\n".join(found).encode(), kind="text/html")
        elif self.state.server.forwards:
            location = {"Location": f"{self.state.server.forwards}{project}/"}
            self._answer(302, headers=location)
        else:
            self._answer(404, "Not Found")

    def _digest(self, content: bytes) -> str:
        name = self.state.server.digest
        return f"{name}={hashlib.new(name, content).hexdigest()}"

    def _take(self, name: str, content: bytes) -> None:
        if name in self.state.files:
            self._answer(*self.state.server.taken)
        else:
            self.state.files[name] = content
            self._answer(self.state.server.accepted)

    def _note(self) -> None:
        self.state.asked.append((self.command, self.path))

    def _allowed(self) -> bool:
        pair = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
        return self.headers["Authorization"] == f"Basic {pair}"

    def _answer(
        self,
        status: int,
        phrase: str | None = None,
        *,
        body: bytes = b"",
        kind: str = "text/plain",
        headers: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status, phrase)
        length = {"Content-Type": kind, "Content-Length": str(len(body))}
        for name, value in {**length, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _file(content_type: str, body: bytes) -> tuple[str, bytes]:
    """Return the name and the content of the file in an upload form."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    form = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    (part,) = [part for part in form.iter_parts() if part.get_filename()]
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return str(part.get_filename()), content
