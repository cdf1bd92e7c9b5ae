"""A server that answers each path as it is told, with TLS if need be."""

import datetime as dt
import http.server
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme

from mlflow_sealed.feed.credential import Index

PASSWORD = "s3cret/+pass"  # noqa: S105 # a test's


@dataclass(frozen=True)
class Answer:
    status: int = 200
    phrase: str | None = None
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Running:
    """A server with an answer for each path, and the requests that it got."""

    index: Index
    asked: list[tuple[str, str, bool]] = field(default_factory=list)
    """The host that each request was for, its path, and whether it had a login."""


@contextmanager
def answering(
    answers: Mapping[str, Answer], certificate: trustme.LeafCert | None = None
) -> Iterator[Running]:
    """Serve answers on 127.0.0.1, with TLS if there is a certificate."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = self.headers["Host"].partition(":")[0]
            state.asked.append((host, self.path, "Authorization" in self.headers))
            answer = answers.get(self.path, Answer(404))
            body = answer.body.encode()
            self.send_response(answer.status, answer.phrase)
            for name, value in answer.headers.items():
                self.send_header(name, value.replace("PORT", str(server.server_port)))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "https" if certificate else "http"
        url = f"{scheme}://127.0.0.1:{server.server_port}/simple/"
        state = Running(Index(url, "me", PASSWORD))
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield state
        server.shutdown()


def certificate(*names: str, days: int = 1) -> tuple[trustme.CA, trustme.LeafCert]:
    """Return a new CA, and a certificate of its for some hosts."""
    ca = trustme.CA()
    until = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    return ca, ca.issue_cert(*names, not_after=until)


def trusted(ca: trustme.CA, folder: Path) -> str:
    """Write a CA's certificate, and return where."""
    path = folder / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return str(path)
