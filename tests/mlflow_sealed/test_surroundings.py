"""No variable of the user's chooses where, or what, a program that we start installs."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlflow_sealed import process, surroundings
from tests.environ import ROOT
from tests.mlflow_sealed.documented_variables import documented

TOOLKIT = "mlflow_sealed/src/mlflow_sealed"
SHOW = "import json, os, sys; json.dump(dict(os.environ), open(sys.argv[1], 'w'))"
HOSTILE = dict.fromkeys(documented(Path("/nothing"), kept=False), "0")
WRONG = "six==1.16.0 --hash=sha256:" + "0" * 64 + "\n"
RIGHT = "six==1.16.0 --hash=sha256:8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254"
EVERY_WAY = {
    "run": lambda command: process.run(command, hint=""),
    "status": process.status,
    "captured": process.captured,
    "run with an environment": lambda command: process.run(command, env=os.environ, hint=""),
}


def redirected(seen: str) -> list[str]:
    """What a child has seen of those that it must not get."""
    environ = json.loads(seen)
    assert surroundings.SET.items() <= environ.items()
    return [name for name in HOSTILE if name in environ and name not in surroundings.SET]


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in HOSTILE.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("hostile")
@pytest.mark.parametrize("start", EVERY_WAY.values(), ids=EVERY_WAY)
def test_no_program_that_is_run_gets_such_a_variable(
    start: Callable[[list[str]], object], tmp_path: Path
) -> None:
    start([sys.executable, "-c", SHOW, str(tmp_path / "seen")])
    seen = (tmp_path / "seen").read_text()
    assert redirected(seen) == []


@pytest.mark.services
@pytest.mark.usefixtures("hostile")
def test_no_server_that_is_kept_in_the_background_gets_one(tmp_path: Path) -> None:
    port = process.free_port()
    serve = f"{SHOW}; import http.server as h; h.test(h.SimpleHTTPRequestHandler, port={port})"
    command = [sys.executable, "-c", serve, str(tmp_path / "seen")]
    with process.background(command, port=port, timeout_s=30, log=tmp_path / "log"):
        seen = (tmp_path / "seen").read_text()
    assert redirected(seen) == []


def test_all_programs_are_started_by_way_of_one_module() -> None:
    """But for those that install nothing: the container's, Docker's client, and Java."""
    calls = re.compile(
        r"\bsubprocess\.(run|Popen|call|check_\w+)\(|os\.(system|exec|(posix_)?spawn|popen)"
    )
    folders = ("mlflow_sealed", "training", "mlflow_model", "examples")
    found = {
        str(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if calls.search(path.read_text(encoding="utf-8"))
    }
    assert found == {
        f"{TOOLKIT}/process.py",
        f"{TOOLKIT}/server/run/loading.py",
        f"{TOOLKIT}/image/docker.py",
        f"{TOOLKIT}/image/plugin.py",
        f"{TOOLKIT}/batch/java.py",
    }


def test_make_lets_none_of_them_through_either() -> None:
    hostile = {**os.environ, **HOSTILE, "UV_INDEX_MINE_PASSWORD": "secret", "UV_FIND_LINKS": "mine"}
    command = ["make", "--silent", "--file", "-", "show"]
    rule = "include Makefile\nshow:\n\t@env\n"
    done = subprocess.run(
        command, cwd=ROOT, env=hostile, input=rule, capture_output=True, text=True, check=True
    )
    seen = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert seen.intersection({*HOSTILE, "UV_FIND_LINKS"}) == {"UV_EXCLUDE_NEWER"}  # for the locks
    assert "UV_INDEX_MINE_PASSWORD" in seen


def test_make_lets_what_a_child_gets_through() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", "")
    kept = set(re.findall(r"^KEPT := (.*)$", text, re.MULTILINE)[0].split())
    assert kept == {
        *surroundings.SOURCES.keys() - {"UV_FIND_LINKS"},
        *surroundings.HARMLESS,
        *("UV_EXCLUDE_NEWER", "UV_INDEX_%_USERNAME", "UV_INDEX_%_PASSWORD"),
    }


def test_the_script_that_makes_the_environment_unsets_them() -> None:
    """It runs before the toolkit is installed."""
    script = ROOT / TOOLKIT / "surroundings.py"
    done = subprocess.run(
        [sys.executable, "-I", script], env=HOSTILE, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == HOSTILE.keys()


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An active environment, and another one that variables name."""
    for name in ("active", "other"):
        uv(["venv", "--quiet", str(tmp_path / name), "--python", sys.executable], dict(os.environ))
    return tmp_path / "active"


def uv(arguments: list[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["uv", *arguments], env=environ, capture_output=True, text=True, check=False
    )


def install(
    requirement: str, environment: Path, settings: dict[str, str], *, guarded: bool
) -> list[str]:
    """Install with uv into the active environment, as MLflow does; return where six is then."""
    requirements = environment.parent / "requirements.txt"
    requirements.write_text(requirement, encoding="utf-8")
    given = {**os.environ, "VIRTUAL_ENV": str(environment), **settings}
    environ = surroundings.environment(given) if guarded else given
    uv(["pip", "install", "-r", str(requirements)], environ)
    folder = environment.parent
    return sorted(path.relative_to(folder).parts[0] for path in folder.glob("*/**/six.py"))


def test_other_bytes_than_the_locks_are_never_installed(environment: Path) -> None:
    off = {"UV_NO_VERIFY_HASHES": "1"}
    assert install(WRONG, environment, off, guarded=True) == []
    assert install(WRONG, environment, off, guarded=False) == ["active"]


def test_a_setting_file_of_uv_does_not_let_them_in_either(
    environment: Path, tmp_path: Path
) -> None:
    settings = tmp_path / "uv.toml"
    settings.write_text("[pip]\nverify-hashes = false\n", encoding="utf-8")
    off = {"UV_CONFIG_FILE": str(settings)}
    assert install(WRONG, environment, off, guarded=True) == []
    assert install(WRONG, environment, off, guarded=False) == ["active"]


def test_nothing_is_installed_into_another_python_than_the_active_one(environment: Path) -> None:
    elsewhere = {"UV_PYTHON": str(environment.parent / "other")}
    assert install(RIGHT, environment, elsewhere, guarded=True) == ["active"]
    assert install(RIGHT, environment, elsewhere, guarded=False) == ["active", "other"]
