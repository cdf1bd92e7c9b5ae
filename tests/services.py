"""Which tests need a feed, a server, an engine, a browser or Spark: ``make check`` leaves them out.

They have the marker `services`: by a fixture that they use, by their folder, or by hand. A test
without the marker that connects to a server or runs one of `PROGRAMS` fails, as long as no test
with it was run in the same process: what that one used may connect later, when Python collects it.

Where a program is not installed, the tests that need it are skipped, and in CI they fail.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, Final, NoReturn

import pytest

FIXTURES: Final = frozenset({"feed", "own_feed", "engine", "java_home"})
"""Every other fixture that starts a service uses one of these, or its tests have the marker."""

TRAININGS: Final = frozenset({"one_picture", "champion_database"})
"""Fixtures of tests that train: these get the marker `slow`."""

FOLDERS: Final = ("tests/integration/", "tests/mlflow_sealed/server/served/")
PROGRAMS: Final = frozenset(
    {"chromedriver", "chromium", "docker", "docker-registry", "dockerd", "java", "mmdebstrap"}
    | {"npm", "wrk"}
)

_used: Final[list[str]] = []
"""The services that this process has used since the list was emptied."""

_served: Final[list[str]] = []
"""The tests with the marker that this process has run."""


def service(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Return the service that an audit event is the use of, or None.

    Examples
    --------
    >>> service("subprocess.Popen", ("/usr/bin/docker", ["docker", "ps"], None, None))
    'docker'
    >>> service("subprocess.Popen", ("git", ["git", "commit", "-m", "docker"], None, None))
    """
    if event == "subprocess.Popen":
        program = PurePath(os.fsdecode(arguments[0])).name
        return program if program in PROGRAMS else None
    if event == "socket.connect" and isinstance(arguments[1], tuple):  # not a Unix socket's path
        return "the server at {}:{}".format(*arguments[1])
    return None


def need(*programs: str) -> list[str]:
    """Return where programs are; skip the test where one is not installed."""
    found = {program: shutil.which(program) for program in programs}
    if absent := [program for program, path in found.items() if path is None]:
        lack(f"{', '.join(absent)} not installed: `make setup` installs it")
    return [path for path in found.values() if path]


def lack(told: str) -> NoReturn:
    """Skip the test because of what this machine lacks; in CI it fails."""
    if os.environ.get("CI"):
        pytest.fail(told)
    pytest.skip(told)


def mark(items: list[pytest.Item]) -> None:
    """Give their markers to the tests of services, and to those that train."""
    for item in items:
        fixtures = FIXTURES.intersection(getattr(item, "fixturenames", ()))
        if fixtures or item.nodeid.startswith(FOLDERS):
            item.add_marker(pytest.mark.services)
        if TRAININGS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Watch the fixtures of a test without the marker."""
    return (yield from _watched(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Watch a test without the marker."""
    return (yield from _watched(item))


def _watched(item: pytest.Item) -> Iterator[None]:
    _used.clear()
    result = yield
    if item.get_closest_marker("services"):
        _served.append(item.nodeid)
    elif _used and not _served:
        pytest.fail(f"uses {_used[0]}: give it the marker services")
    return result


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if used := service(event, arguments):
        _used.append(used)


sys.addaudithook(_audit)
