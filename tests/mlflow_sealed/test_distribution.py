"""The toolkit as somebody has it who installs the wheel, and nothing of this project."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Final

import pytest

from mlflow_sealed.feed import publish
from tests.conftest import PROJECT, TOOLKIT
from tests.environ import ROOT

EXTRAS: Final = {
    "batch": ("mlflow_sealed.batch.commands", "mlflow_sealed.batch.job"),
    "feed": ("mlflow_sealed.feed.commands", "mlflow_sealed.serve"),
    "image": ("mlflow_sealed.image.commands", "mlflow_sealed.image.plugin"),
    "server": ("mlflow_sealed.server.asgi.application", "mlflow_sealed.server.run.__main__"),
    "spark": ("mlflow_sealed.batch.distribute",),
    "training": ("mlflow_sealed.training.commands", "mlflow_sealed.training.log"),
}
"""What each extra is for: these import with it alone."""


def run(python: Path, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a Python in a folder that has nothing of the project."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(python), *arguments]
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


def environment(folder: Path, *requirements: str) -> Path:
    """Make an environment of some requirements; return its Python."""
    venv = folder / "environment"
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, venv], check=True)
    python = venv / "bin" / "python"
    constraints = ("--constraints", str(PROJECT.lock("development")))
    install = [
        "uv",
        "pip",
        "install",
        "--quiet",
        "--python",
        str(python),
        *constraints,
        *requirements,
    ]
    subprocess.run(install, cwd=folder, check=True)
    return python


@pytest.mark.slow
def test_the_wheel_alone_has_a_command_and_names_what_a_group_needs(
    toolkit: Path, tmp_path: Path
) -> None:
    python = environment(tmp_path, str(toolkit))
    shown = run(python.with_name("mlflow-sealed"), "--help", folder=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "publish to a feed" in shown.stdout
    refused = run(python.with_name("mlflow-sealed"), "feed", "lock", folder=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: feed needs the package ")
    assert refused.stderr.endswith("which is not installed: install mlflow-sealed[feed]\n")


@pytest.mark.slow
@pytest.mark.parametrize("extra", EXTRAS)
def test_each_extra_imports_without_the_others_and_without_the_project(
    extra: str, toolkit: Path, tmp_path: Path
) -> None:
    python = environment(tmp_path, f"mlflow-sealed[{extra}] @ {toolkit.as_uri()}")
    absent = "import importlib.util as u; assert not any(map(u.find_spec, {}))".format(
        [PROJECT.names.package, "training", "mlflow_model"]
    )
    imports = "; ".join(f"import {module}" for module in EXTRAS[extra])
    done = run(python, "-c", f"{absent}; {imports}", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_groups_of_the_command_name_extras_that_there_are() -> None:
    project = tomllib.loads((TOOLKIT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(EXTRAS) == set(project["optional-dependencies"])


def test_the_same_sources_give_the_same_wheel(toolkit: Path, tmp_path: Path) -> None:
    assert publish.sha256(publish.build_wheel(TOOLKIT, tmp_path)) == publish.sha256(toolkit)


def test_the_wheel_has_every_module_and_what_they_read(toolkit: Path) -> None:
    sources = TOOLKIT / "src"
    wanted = {
        str(path.relative_to(sources))
        for path in sources.rglob("*")
        if path.is_file() and path.suffix not in {".pyc", ".in"}
    }
    with zipfile.ZipFile(toolkit) as archive:
        has = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert has == wanted


def test_nothing_of_the_toolkit_lies_elsewhere() -> None:
    assert not [name for name in ("feed", "spark", "mlflow_model/image") if (ROOT / name).exists()]
