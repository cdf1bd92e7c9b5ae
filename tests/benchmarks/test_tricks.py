"""The benchmark of the server's tricks: what it removes is there, and what it prints."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks import tricks, without
from tests.environ import ROOT, clean_environ


def names(module: ModuleType) -> dict[str, Any]:
    """Return what a module and its classes have, by name."""
    found = dict(vars(module))
    for kind in vars(module).values():
        if isinstance(kind, type) and kind.__module__ == module.__name__:
            found |= {f"{kind.__name__}.{key}": value for key, value in vars(kind).items()}
    return found


def copied(name: str) -> ModuleType:
    """Return a module that is executed again, apart from the one that is imported."""
    spec = importlib.util.find_spec(name)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("trick", without.REMOVALS)
def test_a_removal_replaces_what_is_there(trick: str) -> None:
    name, remove = without.REMOVALS[trick]
    module = copied(name)
    before = names(module)
    remove(module)
    after = names(module)
    assert after.keys() == before.keys()
    assert any(after[key] is not before[key] for key in before)


def test_each_trick_is_measured() -> None:
    assert [trick.name for trick in tricks.TRICKS] == list(without.REMOVALS)


def test_a_process_without_a_trick_says_so(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(without.SITECUSTOMIZE, encoding="utf-8")
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", "import mlflow_sealed.server.memory as m; m.trim(); print(m.trim)"],
        env={**clean_environ(), "PYTHONPATH": path, without.VARIABLE: "malloc_trim"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == f"{without.SAID}malloc_trim\n"
    assert "_trim.<locals>.<lambda>" in done.stdout


def test_a_trick_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        tricks.parse(["--only", "magic"])
    assert "got ['magic'], expected some of ['busy polling'" in capsys.readouterr().err
