"""Commands that are ended in the middle: nothing goes on, and the next run works."""

import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from tests.conftest import Trained
from tests.environ import ROOT
from tests.integration.test_demo import left_behind


def interrupt(
    arguments: list[str], *, at: str, environ: dict[str, str], folder: Path, number: int
) -> int:
    """Run a command, end it as soon as it says something, and return its status."""
    mark = uuid.uuid4().hex
    log = folder / "log"
    with (
        log.open("w", encoding="utf-8") as output,
        subprocess.Popen(
            arguments,
            cwd=ROOT,
            env={**environ, "DEMO_MARK": mark},
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as running,
    ):
        deadline = time.monotonic() + 120
        while at not in log.read_text(encoding="utf-8"):
            assert running.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(0.3)
        running.send_signal(number)
        status = running.wait(timeout=60)
    assert not left_behind(mark)
    return status


@pytest.fixture
def train(trained: Trained) -> list[str]:
    del trained
    run = ["mlflow", "run", str(ROOT), "--env-manager", "uv", "--experiment-name", "diabetes"]
    return [sys.executable, "-m", "mlflow_sealed.cli", "feed", "run", "--", *run]


def test_a_training_that_is_ended_registers_nothing_and_its_run_has_failed(
    train: list[str], trained: Trained, tmp_path: Path
) -> None:
    versions = trained.client.search_model_versions("name='diabetes'")
    champion = trained.version.version
    status = interrupt(
        [*train, "-P", "repeats=100"],
        at="Running command",
        environ=trained.environ,
        folder=tmp_path,
        number=signal.SIGTERM,
    )
    assert status == 128 + signal.SIGTERM
    time.sleep(2)
    assert len(trained.client.search_model_versions("name='diabetes'")) == len(versions)
    assert trained.version.version == champion


def test_an_environment_that_was_interrupted_is_not_taken_for_a_finished_one(
    train: list[str], trained: Trained, empty_database: Path, tmp_path: Path
) -> None:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    environ = {
        **trained.environ,
        "MLFLOW_ENV_ROOT": str(tmp_path / "envs"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
    }
    status = interrupt(
        train,
        at="Installing dependencies",
        environ=environ,
        folder=tmp_path,
        number=signal.SIGTERM,
    )
    assert status == 128 + signal.SIGTERM
    assert list((tmp_path / "envs").iterdir()) == []
