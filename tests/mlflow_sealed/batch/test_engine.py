"""Where pyspark is from, and what is said where there is none."""

import importlib
import re
import sys
from pathlib import Path

import pytest

from mlflow_sealed.batch import engine
from mlflow_sealed.batch.engine import EngineError
from tests.mlflow_sealed.batch.conftest import Registry


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Python's path, which is as it was after the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    return sys.path


def home(folder: Path, version: str) -> Path:
    """A Spark that is unpacked from its archive, as far as Python sees it."""
    module = folder / "python" / "pyspark"
    module.mkdir(parents=True)
    (module / "__init__.py").touch()
    (module / "version.py").write_text(f"__version__: str = '{version}'\n", encoding="utf-8")
    (folder / "python" / "lib").mkdir()
    (folder / "python" / "lib" / "py4j-0.10.9.9-src.zip").touch()
    return folder


def test_the_version_is_the_locked_one() -> None:
    assert engine.version() in engine.LOCK.with_suffix(".in").read_text(encoding="utf-8")


def test_it_is_installed_once_beside_the_environments_of_mlflow(
    pyspark: Path, registry: Registry, path: list[str]
) -> None:
    made = pyspark.parent.stat().st_mtime_ns
    environ = {name: registry.environ[name] for name in ("PATH", "MLFLOW_ENV_ROOT")}
    engine.ready(environ)
    assert path[-1] == str(pyspark.parent)
    assert pyspark.parent.parent == Path(environ["MLFLOW_ENV_ROOT"])
    assert pyspark.parent.stat().st_mtime_ns == made
    assert importlib.import_module("pyspark").__version__ == engine.version()


def test_a_spark_of_the_users_own_goes_first(tmp_path: Path, path: list[str]) -> None:
    folder = home(tmp_path, "4.1.1")
    engine.ready({"SPARK_HOME": str(folder)})
    assert path[:2] == [
        str(folder / "python"),
        str(folder / "python" / "lib" / "py4j-0.10.9.9-src.zip"),
    ]


def test_a_spark_of_another_major_version_is_one_line(tmp_path: Path, path: list[str]) -> None:
    del path
    with pytest.raises(
        EngineError, match=rf"SPARK_HOME \(.*\) is 3.5.8: expected {engine.version()}"
    ):
        engine.ready({"SPARK_HOME": str(home(tmp_path, "3.5.8"))})


def test_a_spark_home_without_python_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="has no pyspark: expected the folder of a Spark 4"):
        engine.ready({"SPARK_HOME": str(tmp_path)})


def test_no_pyspark_and_no_uv_is_one_line_that_says_what_to_install(tmp_path: Path) -> None:
    environ = {"MLFLOW_ENV_ROOT": str(tmp_path), "PATH": str(tmp_path)}
    with pytest.raises(
        EngineError, match=r"^no uv on PATH.*: get uv, or install pyspark==4"
    ) as caught:
        engine.installed(environ)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_other_bytes_than_the_locked_ones_are_not_installed(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of py4j alone: where pyspark's hash is another, uv fetches and keeps half a gigabyte anew.
    locked = engine.LOCK.read_text(encoding="utf-8").partition("pyspark==")[0]
    assert "py4j==" in locked
    changed = re.sub("sha256:[0-9a-f]{4}", "sha256:0000", locked)
    (tmp_path / "requirements.txt").write_text(changed, encoding="utf-8")
    monkeypatch.setattr(engine, "LOCK", tmp_path / "requirements.txt")
    with pytest.raises(EngineError, match=r"uv pip sync failed \(.*[Hh]ash") as caught:
        engine.installed({**registry.environ, "MLFLOW_ENV_ROOT": str(tmp_path / "root")})
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "root").iterdir())


def test_whoever_comes_second_leaves_what_is_there(tmp_path: Path) -> None:
    place = tmp_path / "place"
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
        engine.take_place(tmp_path / name, place)
    assert [path.name for path in place.iterdir()] == ["first"]


def test_what_is_made_from_something_else_has_another_name() -> None:
    assert engine.digest("ab", "c") != engine.digest("a", "bc")
    assert engine.digest("ab", "c") == engine.digest(b"ab", "c")
