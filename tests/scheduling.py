"""What each process of ``make test`` runs as a whole."""

from pathlib import PurePath
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling


class ByFolder(LoadScopeScheduling):  # type: ignore[misc] # has no types
    """One process runs all tests of a folder below tests/, or of a file that is in tests/ itself.

    What takes long to make, such as an engine, is made once for the tests of its folder, and what
    there is once, such as a port, is theirs. Each process has its own session fixtures: tests
    change what `trained` gives them. With ``--no-loadscope-reorder`` the folders come first, and
    the files fill up what is left.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = PurePath(nodeid.partition("::")[0])
        return str(file if file.parent == PurePath("tests") else file.parent)


@pytest.hookimpl(optionalhook=True)  # without xdist too
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFolder:
    # Not --dist=loadgroup, which does not see groups with this version of pytest:
    # https://github.com/pytest-dev/pytest-xdist/issues/1386
    return ByFolder(config, log)
