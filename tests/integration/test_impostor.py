"""Somebody publishes the package's name on an index that is searched first."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import pytest
import requests

from mlflow_sealed import process, serve
from mlflow_sealed.batch import engine
from mlflow_sealed.batch import environment as executors
from mlflow_sealed.feed import lock, publish
from mlflow_sealed.project import Lock, Packages, Project
from tests.conftest import CHAMPION, PROJECT, Feed, Trained
from tests.environ import ROOT, clean_environ
from tests.impostor import LATER
from tests.mlflow_sealed.documented_variables import redirecting
from tests.package import VERSION

HASH = re.compile(rf"^(mypreprocessing=={VERSION}) \\\n +--hash=\S+", re.MULTILINE)


@pytest.fixture
def environ(
    trained: Trained, impostor: str, empty_database: Path, tmp_path: Path
) -> dict[str, str]:
    """The surroundings of the training, with the impostor's index before the feed's."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return {
        **trained.environ,
        "UV_INDEX": f"{impostor} {trained.environ['UV_INDEX']}",
        "PIP_EXTRA_INDEX_URL": f"{impostor} {trained.environ['PIP_EXTRA_INDEX_URL']}",
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "MLFLOW_ENV_ROOT": str(tmp_path / "envs"),
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The MLflow project with its real environment, and an entry point that does nothing."""
    folder = tmp_path / "project"
    (folder / "training").mkdir(parents=True)
    for name in ("conda.yaml", "project.toml", "training/requirements.txt"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "MLproject").write_text(
        "name: p\nconda_env: conda.yaml\nentry_points: {main: {command: 'true'}}\n"
    )
    return folder


@pytest.fixture
def model(trained: Trained, tmp_path: Path) -> Path:
    return trained.download(CHAMPION, tmp_path / "model")


def make_training_environment(project: Path, environ: dict[str, str]) -> tuple[int, str]:
    return run(["mlflow", "run", str(project), "--env-manager", "uv"], project, environ)


def make_serving_environment(model: Path, environ: dict[str, str]) -> tuple[int, str]:
    command = ["mlflow", "models", "prepare-env", "-m", str(model), "--env-manager", "uv"]
    return run(command, model, environ)


def run(command: list[str], folder: Path, environ: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def installed(environ: dict[str, str]) -> list[str]:
    """What every environment that was made has as the package: 'ours', or an impostor's version."""
    modules = Path(environ["MLFLOW_ENV_ROOT"]).rglob("site-packages/mypreprocessing/__init__.py")
    texts = [module.read_text(encoding="utf-8") for module in modules]
    return [text.split("'")[1] if text.startswith("IMPOSTOR") else "ours" for text in texts]


def take_hash_out(requirements: Path, replacement: str = r"\1") -> None:
    text, count = HASH.subn(replacement, requirements.read_text(encoding="utf-8"))
    assert count == 1
    requirements.write_text(text, encoding="utf-8")


def test_the_training_environment_never_gets_an_impostor(
    project: Path, environ: dict[str, str]
) -> None:
    status, output = make_training_environment(project, environ)
    assert status != 0
    assert f"Hash mismatch for `mypreprocessing=={VERSION}`" in output
    assert installed(environ) == []


def test_the_serving_environment_never_gets_an_impostor(
    model: Path, environ: dict[str, str]
) -> None:
    status, output = make_serving_environment(model, environ)
    assert status != 0
    assert f"Hash mismatch for `mypreprocessing=={VERSION}`" in output
    assert installed(environ) == []


def test_pip_takes_the_feeds_package_whatever_comes_first(
    environ: dict[str, str], ours: str, tmp_path: Path
) -> None:
    assert pip_installs(ours, environ, tmp_path) == ["ours"]


def test_pip_would_find_an_impostor(environ: dict[str, str], theirs: str, tmp_path: Path) -> None:
    """The control: with the impostor's hash in the lock, the same command installs it."""
    assert pip_installs(theirs, environ, tmp_path) == [VERSION]


def pip_installs(sha256: str, environ: dict[str, str], folder: Path) -> list[str]:
    """What pip installs from a lock of the package alone, as an image's build does."""
    requirements = only(folder / "requirements.txt", sha256)
    target = Path(environ["MLFLOW_ENV_ROOT"]) / "site-packages"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-cache-dir", "--target"]
    status, output = run([*pip, str(target), "-r", str(requirements)], folder, environ)
    assert status == 0, output
    return installed(environ)


@pytest.mark.parametrize(("requirement", "gets_in"), [(r"\1", VERSION), ("mypreprocessing", LATER)])
def test_without_the_hash_an_impostor_gets_into_the_training_environment(
    project: Path, environ: dict[str, str], requirement: str, gets_in: str
) -> None:
    """The control: without the lock's hash, and without its pin, the attack works."""
    take_hash_out(project / "training" / "requirements.txt", requirement)
    status, output = make_training_environment(project, environ)
    assert status == 0, output
    assert installed(environ) == [gets_in]


@pytest.mark.parametrize(("requirement", "gets_in"), [(r"\1", VERSION), ("mypreprocessing", LATER)])
def test_without_the_hash_an_impostor_gets_into_the_serving_environment(
    model: Path, environ: dict[str, str], requirement: str, gets_in: str
) -> None:
    """The control: without the lock's hash, and without its pin, the attack works."""
    take_hash_out(model / "requirements.txt", requirement)
    status, output = make_serving_environment(model, environ)
    assert status == 0, output
    assert installed(environ) == [gets_in]


OFF = {"UV_NO_VERIFY_HASHES": "1"}


@pytest.fixture
def hostile(environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Each variable and each configuration file that could switch a check off, all at once."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    return {**environ, **redirecting(folder)}


def run_by_us(command: list[str], folder: Path, environ: dict[str, str]) -> tuple[int, str]:
    """Run a command the way make train and make demo do."""
    return run(
        [sys.executable, "-m", "mlflow_sealed.cli", "feed", "run", "--", *command], folder, environ
    )


def test_no_variable_switches_the_hashes_of_the_training_environment_off(
    project: Path, hostile: dict[str, str]
) -> None:
    command = ["mlflow", "run", str(project), "--env-manager", "uv"]
    status, output = run_by_us(command, project, hostile)
    assert status == 0, output  # the impostor's index comes first, and the hash decides
    assert installed(hostile) == ["ours"]


def test_without_us_the_variable_lets_an_impostor_into_the_training_environment(
    project: Path, environ: dict[str, str]
) -> None:
    """The control: MLflow's own command asks for no hashes."""
    status, output = make_training_environment(project, {**environ, **OFF})
    assert status == 0, output
    assert installed(environ) == [VERSION]


@pytest.fixture
def other_python(tmp_path: Path) -> Path:
    """A Python of the machine's, as far as uv can see, whose packages are its own."""
    folder = tmp_path / "machine"
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, folder], check=True)
    return folder


def packages(python: Path) -> list[str]:
    return sorted(path.name for path in python.glob("lib/*/site-packages/*.dist-info"))


def test_no_variable_sends_the_training_environment_into_another_python(
    project: Path, environ: dict[str, str], other_python: Path
) -> None:
    del environ["UV_INDEX"]  # the impostor's is not wanted here
    environ["PIP_EXTRA_INDEX_URL"] = environ["PIP_EXTRA_INDEX_URL"].split()[1]
    set_by_user = {"UV_PYTHON": str(other_python)}
    command = ["mlflow", "run", str(project), "--env-manager", "uv"]
    status, output = run_by_us(command, project, {**environ, **set_by_user})
    assert status == 0, output
    assert installed(environ) == ["ours"]
    assert packages(other_python) == []


def test_without_us_the_variable_does(
    project: Path, environ: dict[str, str], trained: Trained, other_python: Path
) -> None:
    """The control."""
    environ["UV_INDEX"] = trained.environ["UV_INDEX"]
    make_training_environment(project, {**environ, "UV_PYTHON": str(other_python)})
    assert installed(environ) == []
    assert len(packages(other_python)) > 50


@pytest.fixture
def attacked(feed: Feed, impostor: str, tmp_path: Path) -> dict[str, str]:
    """The surroundings of a user of the feed, as hostile, with the impostor's index first."""
    folder = tmp_path / "attacked"
    folder.mkdir()
    indexes = f"{impostor} {feed.index.authenticated_url}"
    sources = {"PIP_EXTRA_INDEX_URL": indexes, "UV_INDEX": indexes}
    return {**clean_environ(), **redirecting(folder), **sources}


def only(requirements: Path, sha256: str) -> Path:
    """Write a lock that has the package and nothing else."""
    requirements.parent.mkdir(parents=True, exist_ok=True)
    pin = f"mypreprocessing=={VERSION} --hash=sha256:{sha256}\n"
    requirements.write_text(pin, encoding="utf-8")
    return requirements


@pytest.fixture
def ours(wheel: Path) -> str:
    return publish.sha256(wheel)


@pytest.fixture
def theirs(impostor: str) -> str:
    page = requests.get(f"{impostor}mypreprocessing/", timeout=30).text
    found = re.search(rf"mypreprocessing-{re.escape(VERSION)}-[\w.-]+#sha256=(\w+)", page)
    assert found, page
    return found[1]


def make_ours(folder: Path, sha256: str) -> None:
    """Make the environment of `mlflow-sealed serve` from a lock with a hash."""
    model = only(folder / "model" / "requirements.txt", sha256).parent
    version = f"python: '{sys.version_info.major}.{sys.version_info.minor}'\n"
    (model / "python_env.yaml").write_text(version, encoding="utf-8")
    shutil.copy(ROOT / "project.toml", folder)
    project = PROJECT.model_copy(update={"root": folder})
    only(project.lock("server"), sha256)
    serve.environment(model, project)


def make_executors(folder: Path, sha256: str) -> None:
    """Make the environment of Spark's executors from a lock with a hash."""
    lock = only(folder / "executors.txt", sha256)
    executors.install(folder / "executors", [lock], os.environ)


@pytest.mark.parametrize("make", [make_ours, make_executors])
def test_neither_serving_nor_scoring_ever_gets_an_impostor(
    make: Callable[[Path, str], None],
    ours: str,
    theirs: str,
    attacked: dict[str, str],
    tmp_path: Path,
) -> None:
    made = {"MLFLOW_ENV_ROOT": str(tmp_path / "made")}
    with patch.dict(os.environ, attacked, clear=True):
        with suppress(process.ProcessError, engine.EngineError):  # or the hash finds ours
            make(tmp_path / "made" / "ours", ours)
        assert set(installed(made)) <= {"ours"}
        make(tmp_path / "made" / "theirs", theirs)  # the control
        assert VERSION in installed(made)


def locking(folder: Path) -> Project:
    """A project of the package alone, whose lock has the package."""
    shutil.copytree(ROOT / "mypreprocessing", folder / "mypreprocessing")
    (folder / "wanted.in").write_text("mypreprocessing\n", encoding="utf-8")
    only_lock = {"all": Lock(file=Path("all.txt"), sources=("wanted.in", "--no-deps"))}
    packages = Packages(private=Path("mypreprocessing"))
    return PROJECT.model_copy(update={"root": folder, "locks": only_lock, "packages": packages})


@pytest.mark.parametrize(
    "name", ["UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_FIND_LINKS", "all"]
)
def test_no_lock_gets_an_impostor_s_hash(
    name: str, impostor: str, ours: str, attacked: dict[str, str], tmp_path: Path
) -> None:
    given = {name: f"{impostor}mypreprocessing/" if name == "UV_FIND_LINKS" else impostor}
    project = locking(tmp_path / "locking")
    with patch.dict(os.environ, attacked if name == "all" else given):
        lock.lock(project, same_version=True)
    text = (project.root / "all.txt").read_text(encoding="utf-8")
    assert f"mypreprocessing=={VERSION} \\\n    --hash=sha256:{ours}\n" in text
