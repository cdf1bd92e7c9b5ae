"""The locks: everything has a hash, nothing drifts, the private wheel is the one we build."""

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from mlflow.utils.environment import _PythonEnv

from mlflow_sealed.feed import lock, publish
from mlflow_sealed.feed.credential import Index
from mlflow_sealed.feed.lock import LockError
from mlflow_sealed.project import Lock, Project, read
from tests.conftest import PROJECT
from tests.environ import ROOT
from tests.mlflow_sealed.feed.indexes import LOGIN, Wheel, serving
from tests.mlflow_sealed.feed.test_publish import change, changed
from tests.package import VERSION

LOCKS = {name: str(each.file) for name, each in PROJECT.locks.items()}
MODEL, SERVER, TRAINING, DEVELOPMENT = (
    LOCKS[name] for name in ("model", "server", "training", "development")
)
PEERS = [file for name, file in LOCKS.items() if name.startswith("peer_")]
EXECUTORS = [LOCKS[name] for name in ("executors", "fitting")]


def pins(path: str) -> set[tuple[str, str]]:
    """The names and versions of a lock."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9.-]+)(?:\[[a-z,]+\])?==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("path", list(LOCKS.values()))
def test_every_requirement_has_a_version_and_a_hash(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    blocks = re.split(r"\n(?=\S)", "\n".join(lines))
    assert len(blocks) == len(pins(path))
    for block in blocks:
        assert re.fullmatch(r"\S+==\S+( ;.*)? \\(\n    --hash=sha256:[0-9a-f]{64}( \\)?)+", block)


@pytest.mark.parametrize(
    ("inner", "outer"), [(MODEL, TRAINING), (MODEL, SERVER), (TRAINING, DEVELOPMENT)]
)
def test_what_is_tested_is_what_is_trained_is_what_is_served(inner: str, outer: str) -> None:
    assert len(pins(inner)) > 40
    expected = {
        DEVELOPMENT: {"mlflow-sealed", "mypreprocessing"},  # .venv has them from their sources
        SERVER: {"mypreprocessing", "scipy", "xgboost-cpu"},  # the model's own
    }.get(outer, set())
    assert {name for name, _ in pins(inner) - pins(outer)} == expected


@pytest.mark.parametrize("path", list(LOCKS.values()))
def test_no_lock_names_an_index(path: str) -> None:
    assert "://" not in (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [MODEL, TRAINING, *PEERS])
def test_the_wheel_of_these_sources_is_the_one_in_the_lock(path: str, wheel: Path) -> None:
    lock.check(wheel, PROJECT)
    assert lock.locked_sha256(wheel.name, ROOT / path) == publish.sha256(wheel)


@pytest.mark.parametrize("path", [SERVER, TRAINING])
def test_the_toolkit_of_these_sources_is_the_one_in_the_lock(path: str, toolkit: Path) -> None:
    lock.check(toolkit, PROJECT)
    assert lock.locked_sha256(toolkit.name, ROOT / path) == publish.sha256(toolkit)


@pytest.mark.parametrize("path", [MODEL, LOCKS["executors"], LOCKS["fitting"]])
def test_no_model_and_no_executor_has_the_server(path: str) -> None:
    assert "mlflow-sealed" not in dict(pins(path))


def test_a_changed_source_under_a_locked_version_is_an_error(tmp_path: Path) -> None:
    other = publish.build_wheel(changed(tmp_path), tmp_path / "out")
    with pytest.raises(
        LockError, match="these sources give .*: raise the version in mypreprocessing"
    ):
        lock.check(other, PROJECT)


def test_a_version_that_is_not_locked_is_an_error(tmp_path: Path, wheel: Path) -> None:
    other = tmp_path / wheel.name.replace(VERSION, "1.2.0")
    shutil.copy(wheel, other)
    with pytest.raises(LockError, match="does not have mypreprocessing-1.2.0.*: run make lock"):
        lock.check(other, PROJECT)


def test_the_peers_have_the_version_of_xgboost_that_is_served() -> None:
    assert len(PEERS) >= 5
    served = dict(pins(MODEL))["xgboost-cpu"]
    assert {dict(pins(path))["xgboost-cpu"] for path in PEERS} == {served}


@pytest.mark.parametrize("path", EXECUTORS)
def test_executors_have_the_versions_that_are_tested(path: str) -> None:
    assert pins(path)
    assert pins(path) <= pins(DEVELOPMENT)


def test_the_version_of_the_build_backend_is_the_one_in_the_lock() -> None:
    text = (ROOT / "mypreprocessing" / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"hatchling=={dict(pins(DEVELOPMENT))["hatchling"]}"' in text


def has_wheels(python: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Ask uv whether every requirement has a wheel for a version of Python, with a locked hash."""
    return subprocess.run(
        [
            *("uv", "pip", "install", "--dry-run", "--target", str(folder)),
            *("--python-version", python, "--only-binary", ":all:", "--require-hashes"),
            *("-r", DEVELOPMENT),  # has what is trained with and served
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_one_lock_has_wheels_for_every_python_that_we_name(python: str, tmp_path: Path) -> None:
    done = has_wheels(python, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Would install" in done.stderr


def test_a_python_that_the_lock_has_no_wheels_for_would_be_seen(tmp_path: Path) -> None:
    done = has_wheels("3.15", tmp_path)
    assert done.returncode != 0
    assert "Wheels are required" in done.stderr


def test_conda_gets_a_python_that_we_name_and_mlflow_takes_the_one_at_hand() -> None:
    """MLflow's reader takes a range for no Python at all, and conda takes it for what it is."""
    dependencies = yaml.safe_load((ROOT / "conda.yaml").read_text(encoding="utf-8"))["dependencies"]
    assert dependencies[0] == "python>=3.11,<3.15"
    read = _PythonEnv.from_conda_yaml(str(ROOT / "conda.yaml"))
    assert read.python == platform.python_version()
    assert read.dependencies == ["-r training/requirements.txt"]
    assert not read.build_dependencies


def copied(folder: Path) -> Project:
    """The project's packages, and all that its locks are made from, in a folder of their own."""
    left_out = shutil.ignore_patterns("__pycache__", ".*")
    for each in PROJECT.packages.folders:
        shutil.copytree(ROOT / each, folder / each, ignore=left_out)
    for path in ("project.toml", "pyproject.toml", "mlflow_model/requirements.in"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / path)
    for name in LOCKS.values():
        for file in (Path(name), Path(name).with_suffix(".in")):
            if (ROOT / file).exists():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / file, folder / file)
    return read(folder)


@pytest.mark.services
def test_locking_again_changes_nothing(tmp_path: Path) -> None:
    """The whole of it, on a copy: build, serve, resolve."""
    lock.lock(copied(tmp_path))
    again = {path: (tmp_path / path).read_bytes() for path in LOCKS.values()}
    assert again == {path: (ROOT / path).read_bytes() for path in LOCKS.values()}


@pytest.mark.parametrize("package", ["mypreprocessing", "mlflow_sealed"])
def test_locking_a_changed_source_under_a_locked_version_is_an_error(
    tmp_path: Path, package: str
) -> None:
    project = copied(tmp_path)
    change(tmp_path / package)
    # Without what lies in a package, which is resolved before a wheel is built.
    locks = {name: each for name, each in project.locks.items() if "pyspark" not in str(each.file)}
    with pytest.raises(LockError, match=f"raise the version in {package}/pyproject.toml"):
        lock.lock(project.model_copy(update={"locks": locks}))


@pytest.mark.services
def test_a_version_that_was_never_published_can_be_locked_again(tmp_path: Path) -> None:
    project = copied(tmp_path)
    change(tmp_path / "mlflow_sealed")
    locks = {name: project.locks[name] for name in ("model", "server")}
    lock.lock(project.model_copy(update={"locks": locks}), same_version=True)
    assert pins(str(tmp_path / SERVER)) == pins(SERVER)
    assert (tmp_path / SERVER).read_bytes() != (ROOT / SERVER).read_bytes()


@pytest.mark.services
@pytest.mark.parametrize("login", [None, LOGIN], ids=["a mirror", "a single feed"])
def test_a_single_index_is_asked_alone_and_no_impostor_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, login: tuple[str, str] | None
) -> None:
    """Behind a firewall: everything else is out of reach. One lock is part of a package."""
    project = copied(tmp_path)
    part, other = Path("mypreprocessing/part.txt"), Path("other.txt")
    for file, wanted in ((part, "other"), (other, f"other\nmypreprocessing=={VERSION}")):
        (tmp_path / file).with_suffix(".in").write_text(f"{wanted}\n", encoding="utf-8")
    locks = {
        name: Lock(file=file, sources=(str(file.with_suffix(".in")),))
        for name, file in (("part", part), ("other", other))
    }
    packages = project.packages.model_copy(update={"toolkit": None})
    project = project.model_copy(update={"locks": locks, "packages": packages})
    public, impostor = Wheel("other", "2.0", ""), Wheel("mypreprocessing", VERSION, "impostor")
    for name in ("HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    needed = [Wheel(name, "3.0", "") for name in ("numpy", "pandas", "pydantic")]
    with serving(public, impostor, *needed, login=login) as index:
        url = Index(index.url, *login).authenticated_url if login else index.url
        monkeypatch.setenv("PIP_INDEX_URL", url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        lock.lock(project)
    assert index.names == {"other", "numpy", "pandas", "pydantic"}
    assert public.sha256 in (tmp_path / part).read_text(encoding="utf-8")
    text = (tmp_path / other).read_text(encoding="utf-8")
    assert public.sha256 in text
    assert impostor.sha256 not in text
    assert "127.0.0.1" not in text
