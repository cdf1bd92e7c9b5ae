"""What platforms and proxies ask of a server: docs/integrations.md has the sources."""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import requests

from tests.environ import ROOT
from tests.mlflow_sealed.server.running import CSV, JSON, Running, answers, post, raw, serving
from tests.records import record

KEEP_ALIVE_S: Final = 2
"""How long a connection to the server of these tests may be idle."""

PAGE: Final = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")
VERTEX: Final = "/v1/endpoints/12/deployedModels/34"
KSERVE: Final = "/v1/models/diabetes:predict"


class Contract(NamedTuple):
    """What a platform asks over HTTP.

    Attributes
    ----------
    probes
        Each path that it asks for its health, and how long the answer may take, in seconds.
    path
        Where it sends requests.
    rows
        The field of a request's rows.
    headers
        What it adds to a request.
    """

    probes: Mapping[str, float]
    path: str = "/invocations"
    rows: str = "inputs"
    headers: Mapping[str, str] = {}


CONTRACTS: Final = {
    "Kubernetes": Contract({"/ping": 1, "/ready": 1}),
    "KServe": Contract({"/ready": 1}, KSERVE, "instances", {"X-Forwarded-Proto": "http"}),
    "SageMaker": Contract({"/ping": 2}, headers={"X-Amzn-SageMaker-Custom-Attributes": "a=b"}),
    "Vertex AI": Contract({VERTEX: 10}, f"{VERTEX}:predict", "instances"),
    "Azure ML": Contract({"/ping": 2, "/ready": 2}, headers={"Authorization": "Bearer theirs"}),
    "Azure Container Apps": Contract({"/ping": 1, "/ready": 1}, headers={"X-Envoy-Peer": "a"}),
    "Cloud Run": Contract({"/ping": 1}, headers={"X-Cloud-Trace-Context": "1/2;o=1"}),
}


@pytest.fixture(scope="module")
def server(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(
        model_folder,
        tmp_path_factory.mktemp("platforms"),
        SCORING_KEEP_ALIVE_S=str(KEEP_ALIVE_S),
        SCORING_PREDICT_PATH=KSERVE,
        AIP_PREDICT_ROUTE=f"{VERTEX}:predict",
        AIP_HEALTH_ROUTE=VERTEX,
    ) as running:
        yield running


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_the_probes_of_a_platform_are_answered_in_its_time(
    server: Running, contract: Contract
) -> None:
    for path, seconds in contract.probes.items():
        headers = {"User-Agent": "kube-probe/1.34", "Accept": "*/*", "Connection": "close"}
        answered = requests.get(f"{server.url}{path}", headers=headers, timeout=seconds)
        assert answered.status_code == 200


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
def test_a_request_of_a_platform_gets_predictions(server: Running, contract: Contract) -> None:
    answered = server.post(
        json.dumps({contract.rows: [record()]}), path=contract.path, headers=contract.headers
    )
    assert answered.status_code == 200
    assert answered.headers["Content-Type"] == JSON
    assert answered.json()["predictions"] == server.predict({"inputs": [record()]})


def test_a_further_path_is_counted_and_logged_as_what_it_stands_for(server: Running) -> None:
    server.post(json.dumps({"instances": [record()]}), path=KSERVE)
    server.get(VERTEX)
    assert [line["route"] for line in server.lines()[-2:]] == ["/invocations", "/ready"]
    assert not [series for series in server.samples() if "/v1/" in series]


def test_a_further_path_knows_the_methods_of_what_it_stands_for(server: Running) -> None:
    assert server.get(KSERVE).status_code == 405
    assert server.post(b"{}", path=VERTEX).status_code == 405


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param({"instances": [record()], "parameters": {}}, 400, id="Vertex AI's parameters"),
        pytest.param({"input_data": [record()]}, 400, id="Azure ML's no-code envelope"),
    ],
)
def test_what_the_page_says_is_refused_is_refused(
    server: Running, sent: dict[str, Any], status: int
) -> None:
    assert server.post(json.dumps(sent)).status_code == status


@pytest.mark.parametrize("path", ["/v1/models/diabetes", "/v2/health/ready", "/score"])
def test_a_path_that_the_page_says_is_not_there_is_not_there(server: Running, path: str) -> None:
    assert server.get(path).status_code == 404


def test_sagemaker_may_send_csv(server: Running) -> None:
    names = ",".join(record())
    values = ",".join(map(str, record().values()))
    assert server.post(f"{names}\n{values}\n", CSV).status_code == 200


def test_a_probe_that_only_connects_leaves_no_trace(server: Running) -> None:
    """As the TCP probes of Vertex AI, Knative and Azure Container Apps do."""
    before = server.said()
    for _ in range(20):
        server.connect().close()
    assert server.said() == before
    assert server.get("/ping").status_code == 200


@pytest.mark.parametrize("platform", CONTRACTS)
def test_the_page_has_each_platform_its_paths_and_a_source(platform: str) -> None:
    contract = CONTRACTS[platform]
    [section] = [part for part in PAGE.split("\n## ") if part.startswith(f"{platform}\n")]
    shown = {contract.path, *contract.probes} - {VERTEX, f"{VERTEX}:predict", KSERVE}
    assert [path for path in shown if path not in section] == []
    assert "](https://" in section


@pytest.mark.parametrize(
    "request_",
    [post(json.dumps({"inputs": [record()]}).encode()), raw("GET", "/ping", {})],
    ids=["at once", "through ASGI"],
)
def test_a_quiet_connection_is_closed_and_one_in_use_is_not(
    server: Running, request_: bytes
) -> None:
    with server.connect() as quiet, server.connect() as used:
        quiet.sendall(request_)
        time.sleep(KEEP_ALIVE_S - 0.7)
        quiet.sendall(request_)
        begin = time.monotonic()
        while time.monotonic() - begin < KEEP_ALIVE_S + 1.5:
            used.sendall(request_)
            time.sleep(0.5)
        assert [status for status, _ in answers(quiet)] == [200, 200]
        used.sendall(raw("GET", "/ping", {"Connection": "close"}))
        assert {status for status, _ in answers(used)} == {200}
