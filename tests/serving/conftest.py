"""A saved model, and the scoring server on it as a process here: no image, no MLflow command."""

import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from feed import process
from mlflow_model import save
from mlflow_model.metrics import LAG_S
from tests.conftest import ROOT, clean_environ
from tests.serving.running import python_path
from training.dataset import read
from training.fit import fit
from training.options import DATA, Options

JSON = "application/json"
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    url: str
    log: Path
    pid: int

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def post(
        self,
        body: bytes | str,
        content_type: str | None = JSON,
        *,
        path: str = "/invocations",
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 60,
    ) -> requests.Response:
        """Send a body; with no Content-Type where it is None."""
        data = body.encode() if isinstance(body, str) else body
        sent = {**({"Content-Type": content_type} if content_type else {}), **(headers or {})}
        return requests.post(f"{self.url}{path}", data=data, headers=sent, timeout=timeout_s)

    def predict(self, content: Any) -> list[dict[str, Any]]:
        """Send JSON, and return the predictions of the answer."""
        return predictions(self.post(json.dumps(content)))

    def get(self, path: str) -> requests.Response:
        return requests.get(f"{self.url}{path}", timeout=60)

    def workers(self) -> set[int]:
        """Return the process ids of the supervisor's workers."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return set(map(int, children.read_text(encoding="ascii").split()))

    def said(self) -> str:
        """Return all that the server has written so far: its whole stdout and stderr."""
        time.sleep(5 * LAG_S)
        return self.log.read_text(encoding="utf-8", errors="replace")

    def requests_logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.said().splitlines() if line.startswith("{")]


def predictions(answer: requests.Response) -> list[dict[str, Any]]:
    """Return the predictions of an answer that has to have some."""
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["predictions"]
    return found


@contextmanager
def serving(model: Path, log: Path, **settings: str) -> Iterator[Running]:
    """Serve a model with one worker, with further settings from environment variables.

    Parameters
    ----------
    model
        The model's folder.
    log
        The file that gets all that the server writes.
    settings
        Environment variables.
    """
    port = process.free_port()
    environ = {
        **clean_environ(),
        "PYTHONPATH": python_path(log.parent),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "MLFLOW_MODELS_WORKERS": "1",
        **settings,
    }
    command = (sys.executable, "-m", "mlflow_model.container", str(model))
    # Of whoever has loaded the model where it lies; the server refuses it.
    shutil.rmtree(model / "__pycache__", ignore_errors=True)
    with process.background(command, port=port, timeout_s=60, env=environ, log=log) as server:
        running = Running(f"http://127.0.0.1:{port}", log, server.pid)
        # The supervisor listens before its worker has loaded the model.
        assert running.get("/ready").status_code == 200
        yield running


@contextmanager
def serving_stock(model: Path, log: Path) -> Iterator[Running]:
    """Serve a model with MLflow's own server, without its command line."""
    port = process.free_port()
    environ = {
        **{key: value for key, value in clean_environ().items() if not key.startswith("COVERAGE_")},
        "__pyfunc_model_path__": str(model),
    }
    app = "mlflow.pyfunc.scoring_server.app:app"
    command = (sys.executable, "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", str(port))
    with process.background(command, port=port, timeout_s=60, env=environ, log=log) as server:
        yield Running(f"http://127.0.0.1:{port}", log, server.pid)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's model, from a small booster."""
    data = read(ROOT / DATA)
    booster = fit(data.records, data.labels, Options(trees=20)).get_booster()
    path = tmp_path_factory.mktemp("saved") / "model"
    save.save_model(path, booster=booster, threshold=0.4)
    return path


@pytest.fixture(scope="session")
def server(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The project's model behind the scoring server, with the default settings."""
    with serving(model_folder, tmp_path_factory.mktemp("server") / "log") as running:
        yield running


@pytest.fixture(scope="session")
def stock(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The same model behind MLflow's own server."""
    with serving_stock(model_folder, tmp_path_factory.mktemp("stock") / "log") as running:
        yield running
