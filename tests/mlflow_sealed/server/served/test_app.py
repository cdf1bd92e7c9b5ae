"""The application under another ASGI server, as docs/serving.md says; a setting is missing."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from mlflow_sealed import process
from mlflow_sealed.flavor import manifest
from mlflow_sealed.server.app import WithLifespan, app
from mlflow_sealed.server.asgi.application import Application
from mlflow_sealed.server.asgi.observers import Observers
from mlflow_sealed.server.asgi.pages import Readiness
from mlflow_sealed.server.settings import Settings
from tests.environ import ROOT
from tests.mlflow_sealed.server.running import Running, environment, python_path
from tests.records import record

PAGE: Final = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
COUNTS: Final = "PROMETHEUS_MULTIPROC_DIR"


def shown(model: Path, port: int) -> str:
    """Return the lines of the page, with a model and a port of these tests."""
    found = re.search(r"## Another ASGI server\n\n```sh\n(.*?)```", PAGE, re.DOTALL)
    assert found
    lines = found[1].replace("mlflow_model_folder", str(model)).replace("5000", str(port))
    assert str(model) in lines
    assert str(port) in lines
    return lines


def test_the_three_lines_of_the_page_serve_a_model(
    model_folder: Path, server: Running, tmp_path: Path
) -> None:
    port, log = process.free_port(), tmp_path / "log"
    command = ["bash", "-euc", shown(model_folder, port)]
    environ = {**environment(), "PYTHONPATH": python_path(tmp_path), "TMPDIR": str(tmp_path)}
    content = {"inputs": [record()] * 3}
    with process.background(command, port=port, timeout_s=60, env=environ, log=log):
        url = f"http://127.0.0.1:{port}"
        answered = requests.post(f"{url}/invocations", json=content, timeout=60)
        assert answered.json()["predictions"] == server.predict(content)
        assert requests.get(f"{url}/ready", timeout=60).status_code == 200
        assert "scoring_rows_total 3.0" in requests.get(f"{url}/metrics", timeout=60).text
    said = log.read_text(encoding="utf-8")
    assert '"route": "/invocations", "status": 200, "rows": 3' in said
    assert "Traceback" not in said
    manifest.check(model_folder)  # no bytecode was left in it


def test_a_server_without_a_setting_ends_with_one_line() -> None:
    command = [sys.executable, "-m", "uvicorn", "--factory", "mlflow_sealed.server.app:app"]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert done.stderr == "error: SCORING_MODEL is not set: expected the folder of a model\n"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "SCORING_MODEL is not set: expected the folder of a model"),
        ({"SCORING_MODEL": "absent"}, "SCORING_MODEL names no folder: expected the folder of a"),
        ({"SCORING_MODEL": "."}, "PROMETHEUS_MULTIPROC_DIR is not set: expected an empty folder"),
        ({"SCORING_MODEL": ".", COUNTS: "absent"}, "PROMETHEUS_MULTIPROC_DIR names no folder: exp"),
        ({"SCORING_MODEL": ".", COUNTS: "."}, "the model has no readable manifest.json"),
        ({"SCORING_MODEL": ".", "SCORING_METRICS": "0"}, "the model has no readable manifest"),
        ({"SCORING_MODEL": ".", "SCORING_MAX_ROWS": "many"}, "SCORING_MAX_ROWS is 'many', expec"),
    ],
)
def test_what_is_missing_or_invalid_is_named(
    environ: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("SCORING_") or name == COUNTS]:
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=f"^error: {said}"):
        app()


def test_the_lifespan_ends_the_application_and_a_websocket_is_rejected() -> None:
    readiness, closed = Readiness(), []
    application = Application(
        None,  # type: ignore[arg-type] # no request comes
        (),
        Settings(),
        readiness=readiness,
        observers=Observers([]),
        close=lambda: closed.append(True),
    )
    assert asked(application, "lifespan", "lifespan.startup", "lifespan.shutdown") == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert readiness.draining
    assert closed == [True]
    assert asked(application, "websocket", "websocket.connect") == ["websocket.close"]


def asked(application: Application, kind: str, *events: str) -> list[str]:
    """Return the types of what is sent back for some events."""
    sent: list[str] = []
    coming = iter(events)

    async def receive() -> dict[str, Any]:
        return {"type": next(coming)}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(WithLifespan(application)({"type": kind}, receive, send))
    return sent
