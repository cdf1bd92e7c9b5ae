"""Small package indexes on 127.0.0.1 that write down what they are asked."""

import base64
import hashlib
import http.server
import io
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

LOGIN = ("me", "s3cr/t")


@dataclass(frozen=True)
class Wheel:
    """A package of one module, whose only line says where it is from."""

    name: str
    version: str
    text: str
    forbidden: bool = False

    @property
    def filename(self) -> str:
        return f"{self.name}-{self.version}-py3-none-any.whl"

    @property
    def content(self) -> bytes:
        buffer, info = io.BytesIO(), f"{self.name}-{self.version}.dist-info"
        told = f"Name: {self.name}\nVersion: {self.version}\n"
        files = {
            f"{self.name}.py": self.text,
            f"{info}/METADATA": f"Metadata-Version: 2.1\n{told}",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        files[f"{info}/RECORD"] = "".join(f"{each},,\n" for each in (*files, f"{info}/RECORD"))
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in files.items():
                archive.writestr(zipfile.ZipInfo(name, (2020, 2, 2, 0, 0, 0)), content)
        return buffer.getvalue()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def line(self) -> str:
        """The wheel's line of a lock."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}\n"


@dataclass
class RecordingIndex:
    """An index that runs, and the paths that it was asked for."""

    url: str
    asked: list[str] = field(default_factory=list)

    @property
    def names(self) -> set[str]:
        """The packages that it was asked for."""
        return {path.split("/")[2] for path in self.asked if path.startswith("/simple/")}


@contextmanager
def serving(*wheels: Wheel, login: tuple[str, str] | None = None) -> Iterator[RecordingIndex]:
    """Serve some wheels, to who has the login, in UTF-8; one that is forbidden is only listed."""
    found = _pages(wheels)
    pair = ":".join(login).encode() if login else b""
    expected = f"Basic {base64.b64encode(pair).decode()}" if login else None

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            running.asked.append(self.path)
            status, body = found.get(self.path, (404, b""))
            if expected and self.headers["Authorization"] != expected:
                status, body = 401, b""
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 # the library's name

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        running = RecordingIndex(f"http://127.0.0.1:{server.server_port}/simple/")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield running
        server.shutdown()


def _pages(wheels: tuple[Wheel, ...]) -> Mapping[str, tuple[int, bytes]]:
    found: dict[str, tuple[int, bytes]] = {"/": (400, b"")}
    for wheel in wheels:
        page = f"/simple/{wheel.name}/"
        link = f'<a href="/files/{wheel.filename}#sha256={wheel.sha256}">{wheel.filename}</a>'
        found[page] = (200, found.get(page, (200, b""))[1] + link.encode())
        body = b"" if wheel.forbidden else wheel.content
        found[f"/files/{wheel.filename}"] = (403 if wheel.forbidden else 200, body)
    return found


def installed(folder: Path) -> dict[str, str]:
    """What was installed into a folder: the line of each module."""
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.py")}
