"""Clients that others' tools make of the OpenAPI document, and what linters say of it.

The clients reach the server through a proxy that strips a prefix, by the address that the document
has: relative, so that a client stays under the prefix.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin

import pytest
import requests

from tests import services
from tests.environ import ROOT, untraced
from tests.mlflow_sealed.server.documents import TYPES, document
from tests.mlflow_sealed.server.proxy import PREFIX, stripping_proxy
from tests.mlflow_sealed.server.running import Running
from tests.records import record

SOURCES: Final = Path(__file__).parent / "clients"
ROWS: Final = [record(), record(glucose=190, insulin=None), record(bmi=None)]
NO_TABLES: Final = {"text/csv", "application/vnd.apache.parquet"}
"""The formats that openapi-python-client does not know: it warns, and leaves them out."""


@dataclass(frozen=True)
class Published:
    """A document that clients are made of, and what they have to get."""

    address: str
    base: str  # where a client finds the server, by the document
    expected: list[dict[str, Any]]
    explained: list[dict[str, Any]]


def run(*command: str | Path, folder: Path) -> str:
    """Run a command that has to succeed, and return what it prints."""
    return finished(*command, folder=folder).stdout


def finished(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command that has to succeed."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=untraced(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def node() -> Path:
    """A folder with the linters and generators in JavaScript, made from the lock once."""
    _, npm = services.need("node", "npm")
    files = [SOURCES / name for name in ("package.json", "package-lock.json")]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    folder = ROOT / ".cache" / "clients" / digest
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file in files:
            shutil.copy(file, folder)
        options = ("--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund")
        run(npm, "ci", *options, folder=folder)
        (folder / "ready").touch()
    return folder / "node_modules"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the generators in Python, made from the lock."""
    folder = tmp_path_factory.mktemp("generators")
    uv = (sys.executable, "-m", "uv")
    run(*uv, "venv", "--quiet", "--python", sys.executable, "environment", folder=folder)
    options = ("--quiet", "--require-hashes", "--python", "environment/bin/python")
    run(*uv, "pip", "sync", *options, SOURCES / "requirements.txt", folder=folder)
    return folder / "environment" / "bin"


@pytest.fixture(scope="module")
def published(server: Running) -> Iterator[Published]:
    """The document of the running server, behind a proxy."""
    expected = server.predict({"inputs": ROWS})
    explained = server.predict({"inputs": ROWS, "params": {"explain": True}})
    with stripping_proxy(server.url) as url:
        address = f"{url}/openapi.json"
        [here] = requests.get(address, timeout=60).json()["servers"]
        base = urljoin(address, here["url"])
        assert base.endswith(f"{PREFIX}/")
        yield Published(address, base, expected, explained)


def python_client(python: Path, source: tuple[str, str], *, folder: Path, name: str) -> None:
    """Let openapi-python-client make a package, with no warning but the one of its own."""
    options = ("--meta", "none", "--output-path", name)
    done = finished(python / "openapi-python-client", "generate", *source, *options, folder=folder)
    said = done.stdout + done.stderr
    assert said.count("WARNING") == len(NO_TABLES), said
    assert all(f"Unsupported content type {kind}" in said for kind in NO_TABLES)


def python_models(python: Path, source: tuple[str, str], *, folder: Path) -> None:
    """Let datamodel-code-generator make the module ``models``."""
    options = ("--output-model-type", "pydantic_v2.BaseModel", "--formatters", "builtin")
    target = ("--input-file-type", "openapi", "--output", "models.py", "--allow-private-network")
    run(python / "datamodel-codegen", *source, *target, *options, folder=folder)


def answers(*command: str | Path, published: Published, folder: Path) -> list[Any]:
    """Let a client ask for predictions, and return what it prints, one JSON a line."""
    said = run(*command, published.base, json.dumps(ROWS), folder=folder)
    return [json.loads(line) for line in said.splitlines()]


OPENAPI_PYTHON_CLIENT: Final = """
import json, sys
from client import Client, models
from client.api.operations import ready
from client.api.predictions import invocations

base, sent = sys.argv[1:]
rows = json.loads(sent)
patients = [models.Patient.from_dict(row) for row in rows]
table = {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}
client = Client(base_url=base)
assert ready.sync_detailed(client=client).status_code == 200
for body in (
    models.InvocationInputs(patients, models.InvocationParams(explain=True)),
    models.InvocationInputs(patients),
    models.InvocationInstances(patients),
    models.InvocationDataframeRecords(patients),
    models.InvocationDataframeSplit(models.InvocationTable.from_dict(table)),
):
    answer = invocations.sync(client=client, body=body)
    print(json.dumps(answer.to_dict()["predictions"]))

patients[0].age = 200
answer = invocations.sync(client=client, body=models.InvocationInputs(patients))
assert isinstance(answer, models.InvocationError)
print(json.dumps(answer.message))
"""


def test_openapi_python_client_makes_a_client_that_gets_predictions(
    python: Path, published: Published, tmp_path: Path
) -> None:
    python_client(python, ("--url", published.address), folder=tmp_path, name="client")
    (tmp_path / "use.py").write_text(OPENAPI_PYTHON_CLIENT, encoding="utf-8")
    found = answers(python / "python", "use.py", published=published, folder=tmp_path)
    forms = [published.explained, *[published.expected] * 4]
    assert found == [*forms, "inputs.0.age: must be at most 120"]


DATAMODEL_CODEGEN: Final = """
import json, sys
import httpx
import models
from pydantic import TypeAdapter, ValidationError

base, sent = sys.argv[1:]
rows = TypeAdapter(list[models.Patient]).validate_json(sent)
body = models.InvocationRequest(models.InvocationInputs(inputs=rows))
for body in (
    models.InvocationInputs(inputs=rows, params=models.InvocationParams(explain=True)),
    models.InvocationInstances(instances=rows),
    models.InvocationDataframeSplit(
        dataframe_split=models.InvocationTable(
            columns=tuple(models.Patient.model_fields),
            data=[tuple(row.model_dump().values()) for row in rows],
        )
    ),
):
    request = models.InvocationRequest(body).model_dump_json(exclude_unset=True)
    headers = {"Content-Type": "application/json"}
    answer = httpx.post(f"{base}invocations", content=request, headers=headers)
    found = models.InvocationResponse.model_validate_json(answer.content)
    print(json.dumps([one.model_dump(exclude_unset=True) for one in found.predictions]))
try:
    models.Patient.model_validate({**rows[0].model_dump(), "age": 200})
except ValidationError as error:
    print(error.error_count())
"""


def test_datamodel_code_generator_makes_types_that_fit_the_server(
    python: Path, published: Published, tmp_path: Path
) -> None:
    python_models(python, ("--url", published.address), folder=tmp_path)
    (tmp_path / "use.py").write_text(DATAMODEL_CODEGEN, encoding="utf-8")
    found = answers(python / "python", "use.py", published=published, folder=tmp_path)
    forms = [published.explained, *[published.expected] * 2]
    assert found == [*forms, 2]  # 200 is neither such a number nor such text


def test_openapi_typescript_makes_types_that_fit_the_server(
    node: Path, published: Published, tmp_path: Path
) -> None:
    """The compiler checks client.ts, and what it expects to be an error has to be one."""
    (tmp_path / "node_modules").symlink_to(node)
    for name in ("client.ts", "package.json"):
        shutil.copy(SOURCES / name, tmp_path)
    generate = (node / ".bin" / "openapi-typescript", published.address, "--output", "schema.ts")
    run(*generate, folder=tmp_path)
    options = ("--strict", "--noUncheckedIndexedAccess", "--skipLibCheck", "--module", "nodenext")
    run(node / ".bin" / "tsc", *options, "--target", "es2022", "client.ts", folder=tmp_path)
    found = answers("node", "client.js", published=published, folder=tmp_path)
    assert found == [published.explained, published.expected, "inputs.0.age: is missing"]


Documents = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def documents(server: Running) -> Documents:
    """The document of the running server, and those of models whose types have everything."""
    return {
        "served": server.get("/openapi.json").json(),
        "locked": document("numbers", authenticated=True),
        **{name.replace(" ", "_"): document(name) for name in TYPES},
    }


@pytest.fixture(scope="module")
def wrong(documents: Documents) -> dict[str, Any]:
    """A document with a keyword that OpenAPI does not know, and an array without items."""
    made: dict[str, Any] = json.loads(json.dumps(documents["served"]).replace("x-unit", "unit"))
    del made["components"]["schemas"]["InvocationTable"]["properties"]["data"]["items"]
    return made


def test_redocly_finds_nothing_but_in_the_control(
    node: Path, documents: Documents, wrong: dict[str, Any], tmp_path: Path
) -> None:
    shutil.copy(SOURCES / "redocly.yaml", tmp_path)
    said = linted(node / ".bin" / "redocly", {**documents, "wrong": wrong}, tmp_path)
    reports = [json.loads(report) for report in re.split(r"(?<=\})(?=\{)", said)]
    found = [{problem["ruleId"] for problem in report["problems"]} for report in reports]
    assert found == [*(set() for _ in documents), {"struct"}]


def test_spectral_finds_nothing_but_in_the_control(
    node: Path, documents: Documents, wrong: dict[str, Any], tmp_path: Path
) -> None:
    shutil.copy(SOURCES / ".spectral.yaml", tmp_path)
    said = linted(node / ".bin" / "spectral", {**documents, "wrong": wrong}, tmp_path)
    [problem] = json.loads(said)
    assert (Path(problem["source"]).name, problem["code"]) == ("wrong.json", "array-items")


def linted(program: Path, documents: Documents, folder: Path) -> str:
    """Return a linter's report; what it finds makes its status, which is not looked at."""
    return subprocess.run(
        [program, "lint", "--format", "json", *written(documents, folder)],
        cwd=folder,
        env={**untraced(os.environ), "REDOCLY_TELEMETRY": "off"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    ).stdout


def written(documents: Documents, folder: Path) -> list[str]:
    """Write documents to a folder, and return the names of the files."""
    for name, content in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return [f"{name}.json" for name in documents]


def test_generators_read_the_document_of_another_model(
    python: Path, node: Path, documents: Documents, tmp_path: Path
) -> None:
    written({"wide": documents["wide"]}, tmp_path)
    python_client(python, ("--path", "wide.json"), folder=tmp_path, name="wide")
    python_models(python, ("--input", "wide.json"), folder=tmp_path)
    run(
        python / "python", "-c", "import models; from wide.models import CatInput, CatOutput",
        folder=tmp_path,
    )  # fmt: skip
    run(node / ".bin" / "openapi-typescript", "wide.json", "-o", "wide.ts", folder=tmp_path)
