"""The server against its own OpenAPI document: it keeps to it, and to nothing else."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from mypreprocessing import FEATURES, Patient
from tests.environ import ROOT, untraced
from tests.mlflow_sealed.server.running import CSV, JSON, PARQUET, Running
from tests.records import record

# 413 is what too many rows get; schemathesis does not count it as a rejection by itself.
CONFIG: Final = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 404, 405, 406, 413, 415]
"""


def schemathesis(url: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG, encoding="utf-8")
    command = shutil.which("schemathesis")
    assert command
    # The examples have a test of their own: with hooks for a format, schemathesis skips them.
    phases = ("--phases", "coverage,fuzzing")
    bounds = ("--generation-deterministic", "--max-examples", "40", *phases)
    environ = untraced(os.environ)
    return subprocess.run(
        [command, "--config-file", str(config), "run", url, "--checks", "all", *bounds, *options],
        cwd=folder,
        env={
            **environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.mlflow_sealed.server.served.schemathesis_hooks",
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_schemathesis_finds_nothing(server: Running, tmp_path: Path) -> None:
    done = schemathesis(f"{server.url}/openapi.json", tmp_path, "--mode", "all")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 selected / 6 total" in done.stdout
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated
    assert int(generated[1]) > 300
    assert not [line for line in server.lines() if line["status"] >= 500]


def test_schemathesis_would_find_a_document_that_is_wrong(server: Running, tmp_path: Path) -> None:
    """The control: the same server, and a document that allows an older patient."""
    document = json.dumps(document_of(server)).replace('"maximum": 120', '"maximum": 130')
    (tmp_path / "openapi.json").write_text(document, encoding="utf-8")
    options = ("--url", server.url, "--mode", "positive")
    done = schemathesis(str(tmp_path / "openapi.json"), tmp_path, *options)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Schema-valid request rejected" in done.stdout


def document_of(server: Running) -> dict[str, Any]:
    found: dict[str, Any] = server.get("/openapi.json").json()
    return found


def test_the_document_has_each_fields_unit_range_and_example(server: Running) -> None:
    described = document_of(server)["components"]["schemas"]["Patient"]
    assert described["required"] == list(FEATURES)
    assert described["additionalProperties"] is False
    for name, field in Patient.model_fields.items():
        found = described["properties"][name]
        bounds = [way for way in found["anyOf"] if way.get("type") in {"integer", "number"}]
        extra = field.json_schema_extra
        assert isinstance(extra, Mapping)
        assert found["unit"] == extra["unit"]
        assert found["examples"] == field.examples
        assert found["description"] == field.description
        assert len(bounds) == 1
        assert bounds[0]["minimum"] == next(
            rule.ge for rule in field.metadata if hasattr(rule, "ge")
        )
        assert bounds[0]["maximum"] == next(
            rule.le for rule in field.metadata if hasattr(rule, "le")
        )


@pytest.mark.parametrize("kind", [JSON, CSV])
def test_the_documents_example_gets_a_prediction(server: Running, kind: str) -> None:
    content = document_of(server)["paths"]["/invocations"]["post"]["requestBody"]["content"]
    assert set(content) == {JSON, CSV, PARQUET}
    example = content[kind]["example"]
    answer = server.post(json.dumps(example) if kind == JSON else example, kind)
    assert answer.status_code == 200
    assert answer.json() == {"predictions": server.predict({"inputs": [record()]})}


def test_the_document_has_the_answer_and_every_error(server: Running) -> None:
    document = document_of(server)
    assert document["openapi"] == "3.1.0"
    responses = document["paths"]["/invocations"]["post"]["responses"]
    assert set(responses) == {"200", "400", "408", "413", "415", "500", "503", "504"}
    schemas = document["components"]["schemas"]
    prediction = schemas["Prediction"]["properties"]
    assert prediction["probability"]["maximum"] == 1
    assert {"model", "pred", "probability"} <= set(prediction)
    assert set(schemas["InvocationError"]["properties"]) == {"error_code", "message", "request_id"}


def test_every_path_of_the_document_answers(server: Running) -> None:
    for path, operations in document_of(server)["paths"].items():
        if "get" in operations:
            answer = requests.get(f"{server.url}{path}", timeout=60)
            assert answer.status_code == 200
            [kind] = operations["get"]["responses"]["200"]["content"]
            assert answer.headers["content-type"].startswith(kind)
