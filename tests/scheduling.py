"""What each process of ``make test`` runs as a whole, and in which order."""

from pathlib import Path, PurePath
from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

SHARED: Final = {
    "tests/training/spark": "tests/mlflow_sealed/batch",  # Spark's cluster
    "tests/training/test_ui.py": "tests/integration",  # what ``mlflow run`` has trained
}
"""Folders and files whose tests use what those of another folder have made."""

LONGEST_FIRST: Final = (
    "tests/mlflow_sealed/batch",
    "tests/mlflow_sealed/server/served",
    "tests/mlflow_sealed/image",
    "tests/pipeline",
    "tests/integration",
)
"""The folders that take minutes; single files fill up the end."""


class ByFolder(LoadScopeScheduling):  # type: ignore[misc] # has no types
    """One process runs all tests of a folder with a conftest.py of its own, or those of one file.

    What takes long to make, such as an engine, is made once for the tests of its folder, and what
    there is once, such as a port, is theirs. Each process has its own session fixtures: tests
    change what `trained` gives them.
    """

    def _split_scope(self, nodeid: str) -> str:
        return scope(self.config.rootpath, nodeid)


def scope(root: Path, nodeid: str) -> str:
    """Return the folder or the file that one process runs the tests of."""
    file = PurePath(nodeid.partition("::")[0])
    alone = str(file.parent if _is_whole(root, file) else file)
    return SHARED.get(alone, alone)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run what takes longest first: at the end no process is left alone with minutes of work."""
    order = {folder: place for place, folder in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: order.get(scope(config.rootpath, item.nodeid), len(order)))


def _is_whole(root: Path, file: PurePath) -> bool:
    return file.parent != PurePath("tests") and (root / file.parent / "conftest.py").exists()


@pytest.hookimpl(optionalhook=True)  # without xdist too
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFolder:
    # Not --dist=loadgroup, which does not see groups with this version of pytest:
    # https://github.com/pytest-dev/pytest-xdist/issues/1386
    return ByFolder(config, log)
