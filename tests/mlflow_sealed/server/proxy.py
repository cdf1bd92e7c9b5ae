"""A reverse proxy that serves a server under a prefix, which the server never sees."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final

import requests

PREFIX: Final = "/teams/a"
"""Two parts: a relative address that goes up by one too many leaves it."""


@contextmanager
def stripping_proxy(upstream: str) -> Iterator[str]:
    """Serve the paths of a server under `PREFIX`, and return that address.

    Every other path gets a 404, as if it were another team's.
    """

    class Forward(BaseHTTPRequestHandler):
        def answer(self) -> None:
            path = self.path.removeprefix(PREFIX)
            if path == self.path:
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name: value for name, value in self.headers.items() if name != "Host"}
            answer = requests.request(
                self.command, f"{upstream}{path}", data=body, headers=headers, timeout=60
            )
            self.send_response(answer.status_code)
            for name in ("Content-Type", "Content-Security-Policy"):
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = answer  # noqa: N815 # the names of http.server

        def log_message(self, *_: object) -> None:
            """Write no log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Forward) as proxy:
        thread = Thread(target=proxy.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{proxy.server_port}{PREFIX}"
        finally:
            proxy.shutdown()
            thread.join()
