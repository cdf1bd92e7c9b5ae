"""The scripts that find a Python and install system packages, on machines of every kind.

`.ci/fresh_machine` runs them on real ones; here the commands that they call are stand-ins.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environ import ROOT
from tests.mlflow_sealed.documented_variables import redirecting

EXISTING = ("chromium", "chromedriver", "curl", "docker-registry", "javac", "mmdebstrap")
ALL = (*EXISTING, "node", "npm", "wrk", "docker", "dockerd")
TOOLS = ("bash", "basename", "env", "paste", "sed", "sort")
"""What the scripts need of any machine."""


class Machine:
    """A folder of commands that is the whole PATH."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        for tool in TOOLS:
            (folder / tool).symlink_to(str(shutil.which(tool)))

    def has(self, name: str, script: str = "exit 1") -> None:
        """Give the machine a command."""
        path = self.path / name
        path.write_text(f"#!{shutil.which('bash')}\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def has_python(self, name: str) -> None:
        """Give the machine this Python under another name."""
        self.has(name, f'exec "{sys.executable}" "$@"')

    def run(self, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(ROOT / "setup" / command[0]), *command[1:]],
            env={"PATH": str(self.path), **settings},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def debian(machine: Machine) -> Machine:
    """A Debian with root at the keyboard, whose apt-get writes down what it is told."""
    machine.has("id", "echo 0")
    machine.has("apt-cache", 'case "${@: -1}" in *17*|docker-*) ;; *) echo Package: it;; esac')
    machine.has("apt-get", f'echo "$*" >> {machine.path}/asked')
    return machine


def asked(machine: Machine) -> str:
    path = machine.path / "asked"
    return path.read_text(encoding="utf-8") if path.exists() else ""


@pytest.mark.parametrize(
    ("present", "chosen"),
    [
        (["python3.11", "python3.13", "python3"], "python3.11"),
        (["python3.12", "python3.13"], "python3.13"),
        (["python3.14", "python3.12"], "python3.12"),
        (["python3.14"], "python3.14"),
        (["python3"], "python3"),
    ],
)
def test_the_python_that_the_tests_run_on_goes_first(
    machine: Machine, present: list[str], chosen: str
) -> None:
    for name in present:
        machine.has_python(name)
    assert machine.run("python.sh").stdout == f"{chosen}\n"


def test_a_python_that_is_named_wins(machine: Machine) -> None:
    machine.has_python("python3.11")
    machine.has_python("mine")
    assert machine.run("python.sh", BASE_PYTHON="mine").stdout == "mine\n"


def test_a_shim_without_its_python_is_passed_over(machine: Machine) -> None:
    machine.has("python3.11", "echo 'pyenv: python3.11: command not found' >&2; exit 127")
    machine.has_python("python3")
    assert machine.run("python.sh").stdout == "python3\n"


@pytest.mark.parametrize(
    ("present", "settings", "got"),
    [
        ({}, {}, "no python3 on PATH"),
        ({"python3": "3.9.2"}, {}, "python3 is 3.9.2"),
        ({"python3": "3.15.0"}, {}, "python3 is 3.15.0"),
        ({"python3": "3.9.2", "mine": "3.10.1"}, {"BASE_PYTHON": "mine"}, "mine is 3.10.1"),
        ({"python3": "3.9.2"}, {"BASE_PYTHON": "gone"}, "no gone on PATH"),
    ],
)
def test_a_machine_without_one_that_fits_gets_one_line(
    machine: Machine, present: dict[str, str], settings: dict[str, str], got: str
) -> None:
    for name, version in present.items():
        machine.has(name, f'[ "$1" = --version ] && echo Python {version}')
    done = machine.run("python.sh", **settings)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {got}, expected Python 3.11, 3.12, 3.13 or 3.14: ")
    assert done.stderr.count("\n") == 1
    for word in ("Debian", "Ubuntu", "Fedora", "uv python install", "BASE_PYTHON"):
        assert word in done.stderr


def test_what_is_missing_is_said_and_installed(debian: Machine) -> None:
    for name in EXISTING:
        debian.has(name)
    done = debian.run("packages.sh")
    assert (done.returncode, done.stderr) == (0, "installing: nodejs npm wrk docker.io\n")
    assert asked(debian).splitlines() == [
        "update -qq",
        "install -qq -y --no-install-recommends nodejs npm wrk docker.io",
    ]


def test_a_machine_that_has_all_is_left_alone(debian: Machine) -> None:
    for name in ALL:
        debian.has(name)
    done = debian.run("packages.sh")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not asked(debian)


@pytest.mark.parametrize(("settings", "installs"), [({}, False), ({"ENGINE": "yes"}, True)])
def test_no_engine_is_installed_where_a_docker_is_unless_it_is_asked_for(
    debian: Machine, settings: dict[str, str], *, installs: bool
) -> None:
    debian.has("docker")
    assert debian.run("packages.sh", **settings).returncode == 0
    assert ("docker.io" in asked(debian)) == installs


def test_the_package_that_the_release_has_is_taken_and_what_it_lacks_is_said(
    debian: Machine,
) -> None:
    debian.has("apt-cache", 'case "${@: -1}" in *17*|wrk) ;; *) echo Package: it;; esac')
    done = debian.run("packages.sh")
    assert "no package wrk: the tests that need it are skipped" in done.stderr
    assert "openjdk-21-jdk-headless" in asked(debian)
    assert "wrk" not in asked(debian)


@pytest.mark.parametrize(
    ("settings", "user", "said"),
    [
        ({"SETUP": "no"}, "0", "SETUP=no, so not installed: "),
        ({}, "1000", "not installed: "),
    ],
)
def test_nothing_is_installed_where_it_may_not_be(
    debian: Machine, settings: dict[str, str], user: str, said: str
) -> None:
    debian.has("id", f"echo {user}")
    done = debian.run("packages.sh", **settings)
    assert done.stderr.startswith(said)
    assert "wrk" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not asked(debian)


def test_a_python_without_venv_gets_it_where_that_can_be_installed(debian: Machine) -> None:
    done = debian.run("packages.sh", "venv", "/usr/bin/python3.13")
    assert done.stderr == "installing: python3.13-venv\n"
    assert "install -qq -y --no-install-recommends python3.13-venv" in asked(debian)


@pytest.mark.parametrize("settings", [{"SETUP": "no"}, {}])
def test_else_the_line_says_what_to_install(debian: Machine, settings: dict[str, str]) -> None:
    debian.has("id", "echo 1000")
    done = debian.run("packages.sh", "venv", "python3", **settings)
    assert done.returncode == 1
    assert "not installed: python3-venv" in done.stderr


BUILD = ("editables", "hatchling", "packaging", "pathspec", "pluggy", "trove-classifiers")
"""What the private packages are installed from their sources with."""


def clone_with_little(folder: Path) -> Path:
    """A clone whose .venv gets the private packages, and of all others what that needs."""
    for name in ("setup", "mypreprocessing", "mlflow_sealed"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "requirements-uv.txt", folder)
    text = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\w)", text)
    wanted = "\n".join(block for block in blocks if block.partition("==")[0] in BUILD)
    (folder / "requirements-dev.txt").write_text(wanted, encoding="utf-8")
    return folder


@pytest.mark.slow
def test_the_venv_is_made_in_its_place_whatever_pip_and_uv_were_told(tmp_path: Path) -> None:
    outside, clone = tmp_path / "outside", clone_with_little(tmp_path / "clone")
    outside.mkdir()
    hostile = redirecting(outside)
    pip_conf = outside / "home" / "pip" / "pip.conf"
    pip_conf.parent.mkdir()
    pip_conf.write_text(f"[install]\nuser = true\ntarget = {outside}/t\n", encoding="utf-8")
    before = sorted(outside.rglob("*"))
    command, environ = [clone / "setup/environment.sh"], {**os.environ, **hostile}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(outside.rglob("*")) == before
    installed = {path.name.partition("-")[0] for path in clone.glob(".venv/lib/*/*/*.dist-info")}
    assert {"mlflow_sealed", "mypreprocessing", "hatchling"} <= installed


def made_anew(folder: Path) -> bool:
    """Whether make would make the .venv of a repository's folder anew."""
    command = ["make", "--dry-run", "--silent", "lock"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return "setup/environment.sh" in done.stdout


def test_a_repository_that_was_moved_makes_its_venv_anew(tmp_path: Path) -> None:
    """The scripts of a .venv have its path, and an old one may still be there."""
    here = tmp_path / "here"
    (here / ".venv/bin").mkdir(parents=True)
    for name in ("requirements-uv.txt", "requirements-dev.txt", "Makefile"):
        shutil.copy(ROOT / name, here / name)
    for name in ("mypreprocessing", "mlflow_sealed"):
        (here / name).mkdir()
        shutil.copy(ROOT / name / "pyproject.toml", here / name)
    script = here / ".venv/bin/mlflow-sealed"
    script.write_text(f"#!{here}/.venv/bin/python\n", encoding="utf-8")
    (here / ".venv/ready").touch()
    assert not made_anew(here)
    assert made_anew(here.rename(tmp_path / "there"))


@pytest.mark.parametrize("script", ["python.sh", "environment.sh", "packages.sh"])
def test_a_script_can_be_run(script: str) -> None:
    assert os.access(ROOT / "setup" / script, os.X_OK)
