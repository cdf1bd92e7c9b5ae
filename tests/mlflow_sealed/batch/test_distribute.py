"""What is sent to the executors: the toolkit's code, as it is installed."""

import json
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from mlflow_sealed.batch import distribute
from tests.mlflow_sealed.batch.conftest import locked

IMPORT = """
import json, sys
before = set(sys.modules)  # of what .pth files import, such as coverage's
sys.path.insert(0, sys.argv[1])
import mlflow_sealed.batch.score
loaded = sys.modules.keys() - before
files = {name: getattr(sys.modules[name], "__file__", None) for name in loaded}
print(json.dumps({name: file for name, file in files.items() if file}))
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("code") / "code.zip"
    distribute.zip_toolkit(path)
    return path


def test_executors_get_every_python_file_of_the_package(archive: Path, toolkit: Path) -> None:
    with zipfile.ZipFile(toolkit) as wheel:
        built = {
            name: wheel.read(name)
            for name in wheel.namelist()
            if name.startswith("mlflow_sealed/") and name.endswith(".py")
        }
    with zipfile.ZipFile(archive) as code:
        sent = {name: code.read(name) for name in code.namelist()}
    assert "mlflow_sealed/batch/score.py" in sent
    assert sent == built


def test_executors_need_the_code_that_is_sent_and_what_the_locks_install(archive: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT, str(archive)], capture_output=True, text=True, check=True
    )
    loaded: dict[str, str] = json.loads(done.stdout)
    ours = {name: file for name, file in loaded.items() if name.startswith("mlflow_sealed")}
    assert {Path(file).is_relative_to(archive) for file in ours.values()} == {True}
    known = metadata.packages_distributions()
    needed = {
        canonicalize_name(distribution)
        for name in loaded.keys() - ours.keys()
        for distribution in known.get(name, [])
    }
    assert "pyarrow" in needed
    assert needed <= {*locked("model"), *locked("executors")}
