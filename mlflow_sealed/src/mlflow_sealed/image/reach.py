"""Ask the feed before a build: pip, which is asked in it, can only say that it found nothing."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mlflow_sealed.feed import credential, publish
from mlflow_sealed.feed.credential import Credential, Index
from mlflow_sealed.feed.publish import PublishError

__all__ = ["PublishError", "check"]

_TOOLKIT: Final = re.compile(r"^mlflow-sealed==([^ ;\\]+)", re.MULTILINE)


def check(found: Credential, lock: Path, environ: Mapping[str, str]) -> None:
    """Ask each index that has a login for this distribution, which every image installs.

    Parameters
    ----------
    found
        The credential that the build gets.
    lock
        The server's lock, which has the version of this distribution.
    environ
        Its PIP_CERT names the CA bundle.

    Raises
    ------
    mlflow_sealed.feed.publish.PublishError
        If an index refuses the login, cannot be reached or is no package index; or if there is no
        other index, and none of them has the wheel.
    """
    indexes = _with_login(found)
    wheel = _wheel(lock.read_text(encoding="utf-8"))
    with _trusting(environ.get("PIP_CERT")):
        shown = [publish.published_sha256(wheel, index) for index in indexes]
    if not any(shown) and len(indexes) == len(found.urls):
        names = " and ".join(index.url for index in indexes)
        raise PublishError(
            f"{names} does not show {wheel}, which every image installs: publish it with "
            "mlflow-sealed feed publish, or check that the address is right and the login may read"
        )


def _with_login(found: Credential) -> list[Index]:
    return [index for url in found.urls if (index := credential.parse_index(url))]


def _wheel(lock: str) -> str:
    version = _TOOLKIT.findall(lock)
    return f"mlflow_sealed-{version[0] if version else '0'}-py3-none-any.whl"


@contextmanager
def _trusting(bundle: str | None) -> Iterator[None]:
    """Let requests, which does not read PIP_CERT, trust the same CA bundle as pip in the build."""
    before = os.environ.get("REQUESTS_CA_BUNDLE")
    if bundle and before is None:
        os.environ["REQUESTS_CA_BUNDLE"] = bundle
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("REQUESTS_CA_BUNDLE", None)
