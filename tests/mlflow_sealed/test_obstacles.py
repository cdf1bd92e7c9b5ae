"""A machine that is full, read-only or lacks TMPDIR: one line, whatever the command."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from mlflow.exceptions import MlflowException

from examples import demo
from mlflow_sealed import obstacles, process, serve
from mlflow_sealed.batch import commands as batch
from mlflow_sealed.feed import commands as feed
from mlflow_sealed.image import commands as image
from mlflow_sealed.training import commands as model
from tests.conftest import QUICK
from tests.environ import ROOT, clean_environ, untraced
from tests.services import lack
from training import __main__ as training
from training import tune

Main = Callable[[list[str]], int]

COMMANDS: Final[dict[str, tuple[Main, list[str]]]] = {
    "demo": (demo.main, []),
    "feed drop": (feed.main, ["drop", "--", "true"]),
    "feed lock": (feed.main, ["lock"]),
    "feed publish": (feed.main, ["publish"]),
    "feed run": (feed.main, ["run", "--", "true"]),
    "feed serve": (feed.main, ["serve"]),
    "image build": (image.main, ["build"]),
    "image config": (image.main, ["config"]),
    "image due": (image.main, ["due", "registry.example.org/example"]),
    "image record": (image.main, ["record", "registry.example.org/example"]),
    "image tag": (image.main, ["tag", "registry.example.org/example"]),
    "model promote": (model.main, ["promote", "1"]),
    "model report": (model.main, ["report"]),
    "model rollback": (model.main, ["rollback"]),
    "score": (batch.main, ["--input", "in.csv", "--output", "out"]),
    "serve": (serve.main, []),
    "training": (training.main, QUICK),
    "tuning": (tune.main, QUICK[:2]),
}

UNUSABLE: Final = {
    "file": "Not a directory",
    "nowhere": "No such file or directory",
    "/proc/self/nowhere": "No such file or directory",
}
"""What TMPDIR may name, and why no file can be written there."""

ON_A_SMALL_MACHINE: Final = """
set -eu
mount -t tmpfs -o size={room}k tmpfs temporary
mount --bind -o ro project project
cd project
exec "$@"
"""
"""A folder for temporary files that is full, and a project that is read-only; ours alone."""


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("folder", UNUSABLE)
def test_a_tmpdir_that_cannot_be_used_is_one_line_of_every_command(
    name: str,
    folder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Python takes another folder in silence; uv, docker and MLflow each fail in their own way."""
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path / folder))
    main, arguments = COMMANDS[name]
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        f"error: temporary files cannot be written in TMPDIR: {UNUSABLE[folder]}: set TMPDIR to a "
        "folder with room\n"
    )


def test_without_tmpdir_and_any_usable_folder_the_line_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nowhere() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/a', '/b']")

    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with pytest.raises(obstacles.ObstacleError, match="cannot be written anywhere: No such file"):
        obstacles.check_temporary_folder()


def test_a_tmpdir_with_room_is_left_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    obstacles.check_temporary_folder()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_in_the_middle_of_work_is_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    @process.command()
    def main() -> int:
        Path("/dev/full").write_text("anything", encoding="utf-8")
        raise AssertionError

    assert main() == 1
    assert capsys.readouterr().err == (
        "error: No space left on device: make room in the project's folder, and in TMPDIR for "
        "temporary files\n"
    )


def test_a_folder_that_may_not_be_written_to_is_named_as_seen_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    below = OSError(errno.EROFS, "Read-only file system", str(tmp_path / ".feed"))
    above = PermissionError(errno.EACCES, "Permission denied", "/root/one")
    advice = "use a folder that you may write to"
    assert obstacles.explain(below) == f".feed: Read-only file system: {advice}"
    assert obstacles.explain(above) == f"/root/one: Permission denied: {advice}"


def test_what_mlflow_says_about_a_full_disk_is_one_line() -> None:
    error = MlflowException(
        "The following failures occurred while downloading one or more artifacts from runs:\n"
        "##### File model.ubj #####\n[Errno 28] No space left on device\n"
    )
    assert str(obstacles.explain(error)).startswith("No space left on device: make room in")


def test_sql_and_its_values_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    @process.command(MlflowException)
    def main() -> int:
        raise MlflowException("(sqlite3.OperationalError) locked\n[SQL: …]\n[parameters: ('s3c',)]")

    assert main() == 1
    assert capsys.readouterr().err == "error: (sqlite3.OperationalError) locked\n"


def test_control_a_fault_of_ours_is_raised() -> None:
    @process.command(MlflowException)
    def main() -> int:
        raise ValueError("a fault of ours")

    with pytest.raises(ValueError, match="of ours"):
        main()


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command where the project is read-only, and TMPDIR has so many KiB."""
    (tmp_path / "temporary").mkdir()
    shutil.copytree(ROOT / "locks", tmp_path / "project" / "locks")
    shutil.copy(ROOT / "project.toml", tmp_path / "project")

    def run(*command: str, room: int) -> subprocess.CompletedProcess[str]:
        apart = ("unshare", "--map-root-user", "--mount", "bash", "-c")
        environ = {
            **untraced(clean_environ()),
            "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TMPDIR": str(tmp_path / "temporary"),
        }
        return subprocess.run(
            [*apart, ON_A_SMALL_MACHINE.format(room=room), "bash", *command],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )

    if run("true", room=4).returncode:
        lack("no mount namespace of our own: this kernel, or a container, does not allow it")
    return run


@pytest.mark.parametrize(
    ("command", "room", "said"),
    [
        pytest.param(
            "feed serve",
            64,
            "temporary files cannot be written in TMPDIR: No space left on device: set TMPDIR to a "
            "folder with room",
            id="full",
        ),
        pytest.param(
            "feed serve",
            4096,
            ".feed: Read-only file system: use a folder that you may write to",
            id="read-only feed",
        ),
        pytest.param(
            "feed drop -- mlflow ui",
            4096,
            "mlflow.db: Read-only file system: use a folder that you may write to",
            id="read-only tracking",
        ),
    ],
)
def test_a_real_machine_that_is_full_or_read_only_is_one_line(
    command: str, room: int, said: str, machine: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = machine(sys.executable, "-m", "mlflow_sealed.cli", *command.split(), room=room)
    assert (done.returncode, done.stderr) == (1, f"error: {said}\n")
