"""Look for a secret in bytes: plain, URL-encoded, and in base64 at whatever place it begins."""

import base64
import gzip
import io
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from urllib.parse import quote


def forms(secret: str) -> dict[str, bytes]:
    """Return the forms that a secret is looked for in, by their names."""
    raw = secret.encode()
    encoded = {
        f"base64 at {shift}": _inside(base64.b64encode(b"\0" * shift + raw), shift)
        for shift in range(3)
    }
    return {"plain": raw, "URL-encoded": quote(secret, safe="").encode(), **encoded}


def found(data: bytes, *secrets: str) -> list[str]:
    """Return the names of the forms in which one of the secrets is in the data."""
    urlsafe = data.replace(b"-", b"+").replace(b"_", b"/")
    return [
        name
        for secret in secrets
        for name, form in forms(secret).items()
        if form in data or (name.startswith("base64") and form in urlsafe)
    ]


def found_below(folder: Path, *secrets: str) -> dict[str, list[str]]:
    """Return the files below a folder that have one of the secrets, in name or content."""
    return {
        str(path): forms
        for path in folder.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and (forms := found(path.name.encode() + b"\n" + path.read_bytes(), *secrets))
    }


def layers(saved: bytes) -> Iterator[bytes]:
    """Give everything in the archive that ``docker save`` makes: each layer, and the metadata."""
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        for member in archive:
            if file := archive.extractfile(member):
                content = file.read()
                yield gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


class Watch:
    """Everything that the process list shows, and the secret's file, while a block runs."""

    def __init__(self, temporary: Path) -> None:
        self.seen: set[bytes] = set()
        self.modes: set[tuple[int, int]] = set()
        self._temporary = temporary
        self._kernels = {name for name in _processes() if not _command_line(name)}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.is_set():
            self._look()
            time.sleep(0.01)

    def _look(self) -> None:
        self.seen.update(map(_command_line, _processes() - self._kernels))
        for path in self._temporary.glob("mlflow-model-*/pip.conf"):
            try:
                mode = path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777
            except OSError:
                continue
            self.modes.add(mode)


def _processes() -> set[str]:
    return {path.name for path in Path("/proc").iterdir() if path.name.isdigit()}


def _command_line(process: str) -> bytes:
    """Return the command line of a process; nothing for one that has ended, or is the kernel's."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def _inside(encoded: bytes, shift: int) -> bytes:
    """Return the part of a base64 text that does not depend on what stands before and after."""
    first = 0 if shift == 0 else 4
    last = len(encoded) - 4
    return encoded[first:last]
