"""An index on which somebody else has published the private package's name."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlflow_sealed import process
from mlflow_sealed.feed import publish
from tests.package import VERSION

LATER = "99.0"
"""A version that is later than any of ours."""

_PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "mypreprocessing"
version = "{version}"
[tool.hatch.build.targets.wheel]
include = ["mypreprocessing"]
"""


@pytest.fixture(scope="session")
def impostor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An index without a password that has our version with other bytes, and version 99.0."""
    folder = tmp_path_factory.mktemp("impostor")
    for version in (VERSION, LATER):
        _publish(folder, version)
    port = process.free_port()
    command = [sys.executable, "-m", "pypiserver", "run", "--disable-fallback", "-i", "127.0.0.1"]
    options = ["-p", str(port), "-a", ".", "-P", ".", "--hash-algo", "sha256"]
    with process.background(
        [*command, *options, str(folder / "packages")],
        port=port,
        timeout_s=30,
        log=folder / "log",
    ):
        yield f"http://127.0.0.1:{port}/simple/"


def _publish(folder: Path, version: str) -> None:
    project = folder / version
    (project / "mypreprocessing").mkdir(parents=True)
    (project / "mypreprocessing" / "__init__.py").write_text(f"IMPOSTOR = '{version}'\n")
    (project / "pyproject.toml").write_text(_PROJECT.format(version=version))
    wheel = publish.build_wheel(project, project / "dist")
    (folder / "packages").mkdir(exist_ok=True)
    shutil.copy(wheel, folder / "packages")
