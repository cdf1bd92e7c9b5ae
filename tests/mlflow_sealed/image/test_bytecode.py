"""Nothing that a request needs has to be compiled first: the image has the bytecode of it all."""

import json
import re
from typing import Final

import pandas as pd
import pytest
import requests

from tests.mlflow_sealed.image.conftest import Built, Container, running
from tests.mlflow_sealed.server.running import CSV, JSON, PARQUET
from tests.records import record

PAGES: Final = ("/ping", "/health", "/version", "/metrics", "/openapi.json", "/docs", "/no-such")
COMPILED: Final = re.compile(r"^# code object from '?(/.*?\.py)'?$", re.MULTILINE)
"""What Python writes with PYTHONVERBOSE where it found no bytecode."""


def ask_for_everything(container: Container) -> None:
    """Send every kind of request, some of them twice: to the event loop, and beside it."""
    rows = pd.DataFrame([record()]).astype(float)
    inputs = rows.to_dict(orient="records")
    texts = {"dataframe_split": rows.to_dict(orient="split", index=False)}
    explained = {"inputs": inputs, "params": {"explain": True}}
    good: list[tuple[str, str | bytes]] = [
        *((JSON, json.dumps(sent)) for sent in ({"inputs": inputs * 1000}, texts, explained)),
        *((CSV, table.to_csv(index=False)) for table in (rows, pd.concat([rows] * 1000))),
        (PARQUET, rows.to_parquet()),
    ]
    bad: list[tuple[str, str | bytes]] = [
        (JSON, "{"),
        (JSON, '{"inputs": [{"age": "old"}]}'),
        (CSV, "age\nold"),
        (PARQUET, b"?"),
    ]
    url = f"{container.url}/invocations"
    for status, requested in ((200, good), (400, bad)):
        for content_type, body in requested:
            headers = {"Content-Type": content_type}
            assert requests.post(url, data=body, headers=headers, timeout=60).status_code == status
    for page in PAGES:
        answer = requests.get(f"{container.url}{page}", timeout=60)
        assert answer.ok == (page != "/no-such"), page


def compiled(*options: str) -> set[str]:
    """Return the modules that a server compiles, from its start to the last request."""
    with running("diabetes", "--env", "PYTHONVERBOSE=1", *options) as container:
        ask_for_everything(container)
        return set(COMPILED.findall(container.log()))


@pytest.mark.usefixtures("built")
def test_a_server_compiles_the_model_and_nothing_else() -> None:
    found = compiled()
    assert "/opt/model/model.py" in found
    assert [path for path in found if not path.startswith("/opt/model/")] == []


def test_control_a_server_without_bytecode_compiles_all_that_it_imports(built: Built) -> None:
    del built
    found = compiled("--env", "PYTHONPYCACHEPREFIX=/nowhere")
    assert len(found) > 1000
    assert any(path.endswith("mlflow_sealed/server/asgi/application.py") for path in found)
