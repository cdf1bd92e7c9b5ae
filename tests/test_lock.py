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
from mlflow_sealed.feed.lock import DEVELOPMENT, ROOT, SERVING, TRAINING, LockError

from tests.package import VERSION
from tests.test_publish import changed

SPARK = (lock.SPARK, lock.SPARK_BUILD, lock.SPARK_EXECUTORS, lock.SPARK_FITTING)
LOCKS = (lock.BOOTSTRAP, SERVING, TRAINING, DEVELOPMENT, *SPARK)
PEERS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("benchmarks/peers/*/*.txt"))


def pins(path: str) -> set[tuple[str, str]]:
    """The names and versions of a lock."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9.-]+)(?:\[[a-z,]+\])?==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("path", [*LOCKS, *PEERS])
def test_every_requirement_has_a_version_and_a_hash(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    blocks = re.split(r"\n(?=\S)", "\n".join(lines))
    assert len(blocks) == len(pins(path))
    for block in blocks:
        assert re.fullmatch(r"\S+==\S+( ;.*)? \\(\n    --hash=sha256:[0-9a-f]{64}( \\)?)+", block)


@pytest.mark.parametrize(("inner", "outer"), [(SERVING, TRAINING), (TRAINING, DEVELOPMENT)])
def test_what_is_tested_is_what_is_trained_is_what_is_served(inner: str, outer: str) -> None:
    assert len(pins(inner)) > 40
    # .venv has the private package from its sources.
    expected = {"mypreprocessing"} if outer == DEVELOPMENT else set()
    assert {name for name, _ in pins(inner) - pins(outer)} == expected


@pytest.mark.parametrize("path", [*LOCKS, *PEERS])
def test_no_lock_names_an_index(path: str) -> None:
    assert "://" not in (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [SERVING, TRAINING, *PEERS])
def test_the_wheel_of_these_sources_is_the_one_in_the_lock(path: str, wheel: Path) -> None:
    lock.check(wheel, ROOT / path)
    assert lock.locked_sha256(wheel.name, ROOT / path) == publish.sha256(wheel)


def test_a_changed_source_under_a_locked_version_is_an_error(tmp_path: Path) -> None:
    other = publish.build_wheel(changed(tmp_path), tmp_path / "out")
    with pytest.raises(
        LockError, match="these sources give .*: raise the version in mypreprocessing"
    ):
        lock.check(other)


def test_a_version_that_is_not_locked_is_an_error(tmp_path: Path, wheel: Path) -> None:
    other = tmp_path / wheel.name.replace(VERSION, "1.2.0")
    shutil.copy(wheel, other)
    with pytest.raises(LockError, match="does not have mypreprocessing-1.2.0.*: run make lock"):
        lock.check(other)


def test_the_peers_have_the_version_of_xgboost_that_is_served() -> None:
    assert len(PEERS) >= 5
    served = dict(pins(SERVING))["xgboost-cpu"]
    assert {dict(pins(path))["xgboost-cpu"] for path in PEERS} == {served}


@pytest.mark.parametrize("path", [lock.SPARK_EXECUTORS, lock.SPARK_FITTING])
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


@pytest.mark.services
def test_locking_again_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole of it, on a copy: build, serve, resolve."""
    for path in (
        *LOCKS,
        "pyproject.toml",
        "mlflow_model/requirements.in",
        "training/requirements.in",
        *(str(Path(each).with_suffix(".in")) for each in SPARK),
    ):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    shutil.copytree(ROOT / "mypreprocessing", tmp_path / "mypreprocessing")
    monkeypatch.setattr(lock, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    before = {path: pins(str(tmp_path / path)) for path in LOCKS}
    lock.lock()
    assert {path: pins(str(tmp_path / path)) for path in LOCKS} == before


def test_locking_a_changed_source_under_a_locked_version_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = changed(tmp_path)
    assert project == tmp_path / "mypreprocessing"
    monkeypatch.setattr(lock, "ROOT", tmp_path)
    with pytest.raises(LockError, match="raise the version"):
        lock.lock()
