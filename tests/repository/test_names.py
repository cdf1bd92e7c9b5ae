"""Each name stands once, in project.toml, and what cannot read it from there is held to it."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.conftest import PROJECT
from tests.environ import ROOT

NAMES: Final = PROJECT.names
SPELLED: Final = {NAMES.model, NAMES.experiment, NAMES.image, NAMES.package, PROJECT.data.label}
FOLDERS: Final = (
    "mlflow_sealed",
    "training",
    "mlflow_model",
    "examples",
    "benchmarks",
    "mypreprocessing",
)


def literals(path: Path) -> Iterator[str]:
    """Give the string literals of a module, but for docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


def spelled(text: str) -> bool:
    """Whether a literal is one of the names, or an address or a file that has one."""
    default = PROJECT.tracking.default
    return text in SPELLED or default in text or f"models:/{NAMES.model}" in text


def test_no_module_spells_a_name() -> None:
    # The peers of the benchmark stand for other people's projects.
    paths = [
        path
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if "peers" not in path.parts
    ]
    found = {
        str(path.relative_to(ROOT)): text
        for path in paths
        for text in literals(path)
        if spelled(text)
    }
    assert found == {}


def test_control_a_name_that_is_spelled_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(f'"""{NAMES.model}"""\nNAME = "{NAMES.model}"\n', encoding="utf-8")
    assert [text for text in literals(path) if spelled(text)] == [NAMES.model]


def test_the_toolkit_names_nothing_of_the_project() -> None:
    words = f"{NAMES.model}|{NAMES.package}|{PROJECT.words.record}|{PROJECT.data.name}|glucose"
    done = subprocess.run(
        ["git", "grep", "-inE", words, "--", "mlflow_sealed/"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")


def test_mlproject_has_the_projects_names() -> None:
    read = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))
    assert read["name"] == NAMES.model
    entries = read["entry_points"]
    for entry in ("main", "tune"):
        assert entries[entry]["parameters"]["data"]["default"] == str(PROJECT.data.file)
    assert entries["batch_score"]["parameters"]["model"]["default"] == PROJECT.champion
    least = entries["main"]["parameters"]["least_sensitivity"]["default"]
    assert least == PROJECT.bounds.least_sensitivity


def test_the_makefile_has_the_projects_names() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.findall(r"MLFLOW_TRACKING_URI \?= (\S+)", text) == [PROJECT.tracking.default]
    assert set(re.findall(r"--experiment-name (\S+)", text)) == {NAMES.experiment}


def test_the_pipeline_has_the_projects_names() -> None:
    read = yaml.safe_load((ROOT / "azure-pipelines.yml").read_text(encoding="utf-8"))
    defaults = {each["name"]: each["default"] for each in read["parameters"]}
    assert defaults["imageName"] == NAMES.image


def test_the_record_and_the_package_are_there() -> None:
    package = pytest.importorskip(NAMES.package)
    assert hasattr(package, NAMES.record)
    assert set(PROJECT.features.rising) <= set(package.FEATURES)
