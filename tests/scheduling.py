"""What each process of ``make test`` runs as a whole."""

from pathlib import PurePath
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling


class ByFolder(LoadScopeScheduling):  # type: ignore[misc] # has no types
    """One process runs all tests of a folder with a conftest.py of its own, or those of one file.

    What takes long to make, such as an engine, is made once for the tests of its folder, and what
    there is once, such as a port, is theirs. Each process has its own session fixtures: tests
    change what `trained` gives them.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = PurePath(nodeid.partition("::")[0])
        shares = file.parent != PurePath("tests") and self._has_conftest(file.parent)
        return str(file.parent if shares else file)

    def _has_conftest(self, folder: PurePath) -> bool:
        return bool((self.config.rootpath / folder / "conftest.py").exists())


@pytest.hookimpl(optionalhook=True)  # without xdist too
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFolder:
    # Not --dist=loadgroup, which does not see groups with this version of pytest:
    # https://github.com/pytest-dev/pytest-xdist/issues/1386
    return ByFolder(config, log)
