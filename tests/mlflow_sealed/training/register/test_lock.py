"""The lock: one process of this machine at a time decides on a model's champion."""

import subprocess
from pathlib import Path

import mlflow

from mlflow_sealed.training.register.lock import locked


def test_the_lock_keeps_others_waiting_and_goes_with_its_process(
    client: mlflow.MlflowClient, tmp_path: Path
) -> None:
    del client
    lock = tmp_path / "mlflow.db.lock"
    wait = ["flock", "--nonblock", str(lock), "true"]
    with locked("example"):
        assert subprocess.run(wait, check=False).returncode == 1
    assert subprocess.run(wait, check=False).returncode == 0


def test_a_server_has_a_lock_for_this_machine(tmp_path: Path) -> None:
    mlflow.set_tracking_uri("http://mlflow.invalid:5000")
    with locked("example"):
        pass
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
