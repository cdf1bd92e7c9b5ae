"""A local authenticated feed: pypiserver on 127.0.0.1, with a password made at first start."""

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from passlib.apache import HtpasswdFile

from mlflow_sealed import process
from mlflow_sealed.feed import credential

HOME: Final = ".feed"
"""The folder of a project's local feed, in the project."""

PORT: Final = 8083
USERNAME: Final = "feed"


class LocalFeed:
    """A feed whose packages, password and log live in one folder.

    Parameters
    ----------
    home
        The folder; made at first start, with mode 0700. It holds ``password`` (mode 0600),
        ``htpasswd``, ``packages/`` and ``feed.log``.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.packages = home / "packages"
        self.log = home / "feed.log"

    def exists(self) -> bool:
        """Return whether this feed was started before."""
        return (self.home / "htpasswd").exists()

    def index(self, port: int = PORT) -> credential.Index:
        """Return the feed's index, as it is while `serving` on `port`."""
        return credential.Index(f"http://127.0.0.1:{port}/simple/", USERNAME, self._password())

    def write_pip_conf(self, template: Path, port: int = PORT) -> Path:
        """Write the credential for pip as a template has it, and return where it is."""
        path = self.home / "pip.conf"
        credential.write_pip_conf(self.index(port), path, template=template)
        return path

    @contextmanager
    def serving(self, port: int = PORT) -> Iterator[credential.Index]:
        """Serve the feed on 127.0.0.1 for the length of a ``with`` block.

        Raises
        ------
        mlflow_sealed.process.ProcessError
            If the port is taken or the server does not start.
        """
        password = self._password()
        self.packages.mkdir(exist_ok=True)
        _write_htpasswd(self.home / "htpasswd", password)
        with process.background(self._command(port), port=port, timeout_s=30, log=self.log):
            yield self.index(port)

    def _command(self, port: int) -> list[str]:
        # Without --disable-fallback pypiserver sends clients to the public index for every other
        # name, and uv takes what it finds there for the feed's.
        return [
            *(sys.executable, "-m", "pypiserver", "run", "--disable-fallback"),
            *("--interface", "127.0.0.1", "--port", str(port), "--server", "auto"),  # waitress
            *("--authenticate", "update,download,list"),
            *("--passwords", str(self.home / "htpasswd"), "--hash-algo", "sha256"),
            str(self.packages),
        ]

    def _password(self) -> str:
        path = self.home / "password"
        if not path.exists():
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            mine = path.with_name(f"password.{secrets.token_hex(4)}")
            credential.write_secret(secrets.token_urlsafe(32), mine)
            with suppress(FileExistsError):  # somebody else was first: theirs is the password
                path.hardlink_to(mine)
            mine.unlink()
        return path.read_text(encoding="utf-8")


def _write_htpasswd(path: Path, password: str) -> None:
    passwords = HtpasswdFile(default_scheme="apr_md5_crypt")
    passwords.set_password(USERNAME, password)
    credential.write_secret(passwords.to_string().decode("ascii"), path)
