"""The environment of every program that we start: nothing in it redirects an installation."""

from collections.abc import Mapping
from typing import Final

DROPPED: Final = {
    "UV_NO_VERIFY_HASHES": "uv would install other bytes than the lock has, without a word",
    "UV_SYSTEM_PYTHON": "uv would install into the machine's Python, over its own packages",
    "UV_PYTHON": "uv would install into that Python, whatever environment is active",
    "UV_BREAK_SYSTEM_PACKAGES": "uv would overwrite what the operating system manages",
    "PIP_TARGET": "pip would install into that folder",
    "PIP_PREFIX": "likewise",
    "PIP_ROOT": "likewise",
    "PIP_USER": "pip would install into the user's home",
    "PIP_PYTHON": "pip would install into that Python",
    "PIP_BREAK_SYSTEM_PACKAGES": "pip would overwrite what the operating system manages",
}
"""Variables that no child gets, and what each would do."""

SET: Final = {
    # MLflow's own `uv pip install` does not ask for hashes, and a uv.toml may have
    # `verify-hashes = false`: this one wins over both.
    "UV_REQUIRE_HASHES": "1",
}
"""Variables that every child gets."""


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return a copy of `environ` for a program that may install.

    Examples
    --------
    >>> environment({"HOME": "/home/me", "UV_SYSTEM_PYTHON": "1"})
    {'HOME': '/home/me', 'UV_REQUIRE_HASHES': '1'}
    """
    return {name: value for name, value in environ.items() if name not in DROPPED} | SET
