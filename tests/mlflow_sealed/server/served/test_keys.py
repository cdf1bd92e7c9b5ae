"""API keys: who may ask, what stays open, and that no key is ever shown."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mlflow_sealed.server.running import (
    JSON,
    Running,
    answer,
    raw,
    save_slow_model,
    serving,
    task,
)

FIRST, SECOND, FROM_FILE = (f"{name}-key-{'x' * 20}" for name in ("first", "second", "file"))
BODY = task(0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_slow_model(tmp_path_factory.mktemp("saved") / "model", example_s=0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("keys")
    file = folder / "keys"
    file.write_text(f"\n{FROM_FILE}\n", encoding="utf-8")
    listed = f"{FIRST}, {SECOND}"
    with serving(
        model, folder, traced=True, SCORING_API_KEYS=listed, SCORING_API_KEYS_FILE=str(file)
    ) as started:
        yield started


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Running]:
    with serving(model, tmp_path_factory.mktemp("open")) as started:
        yield started


@pytest.mark.parametrize("key", [FIRST, SECOND, FROM_FILE])
@pytest.mark.parametrize("form", ["X-API-Key: {}", "Authorization: Bearer {}"])
@pytest.mark.parametrize("write", [str, str.lower], ids=["as is", "lower case"])
def test_each_key_is_good_in_each_header(
    server: Running, key: str, form: str, write: type[str]
) -> None:
    name, _, value = form.partition(": ")
    headers = {name: write(value).format(key)}
    assert server.post(BODY, headers=headers).status_code == 200
    assert server.get("/metrics", headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({"X-API-Key": ""}, id="empty"),
        pytest.param({"X-API-Key": FIRST[:-1]}, id="the start of one"),
        pytest.param({"X-API-Key": f"{FIRST}x"}, id="one and more"),
        pytest.param({"X-API-Key": FIRST.upper()}, id="other case"),
        pytest.param({"X-API-Key": f"{FIRST},{SECOND}"}, id="two at once"),
        pytest.param({"X-API-Key": "k\xe9y"}, id="no ASCII"),
        pytest.param({"Authorization": FIRST}, id="no scheme"),
        pytest.param({"Authorization": f"Basic {FIRST}"}, id="other scheme"),
        pytest.param({"Authorization": "Bearer"}, id="Bearer of nothing"),
        pytest.param({"X-API-Key": "x", "Authorization": f"Bearer {FIRST}"}, id="a wrong one too"),
    ],
)
def test_without_a_key_that_is_one_there_is_a_401(server: Running, headers: dict[str, str]) -> None:
    for found in (server.post(BODY, headers=headers), server.get("/metrics", headers)):
        assert found.status_code == 401
        assert found.headers["WWW-Authenticate"] == "Bearer"
        assert "API key is needed" in found.json()["message"]
        assert FIRST not in found.text


def test_a_client_without_a_key_reads_its_401_after_it_has_sent_a_large_body(
    server: Running,
) -> None:
    found = server.post(b"x" * 3_000_000)
    assert found.status_code == 401


def test_a_client_that_asks_first_is_told_before_it_sends(server: Running) -> None:
    headers = {"Content-Type": JSON, "Content-Length": "3000000", "Expect": "100-continue"}
    with server.connect() as connection:
        connection.sendall(raw("POST", "/invocations", headers))
        status, _ = answer(connection)
        assert connection.recv(1) == b""
    assert status == 401


def test_a_client_with_a_key_that_asks_first_is_told_to_send(server: Running) -> None:
    headers = {"Content-Type": JSON, "Content-Length": str(len(BODY)), "Expect": "100-continue"}
    with server.connect() as connection:
        connection.sendall(raw("POST", "/invocations", {**headers, "X-API-Key": FIRST}))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(BODY)
        status, _ = answer(connection)
    assert status == 200


@pytest.mark.parametrize(
    "path", ["/ping", "/health", "/ready", "/version", "/docs", "/openapi.json"]
)
def test_what_tells_nothing_stays_open(server: Running, path: str) -> None:
    assert server.get(path).status_code == 200


def test_the_document_says_that_keys_are_needed_where_they_are(
    server: Running, open_server: Running
) -> None:
    locked, unlocked = (one.get("/openapi.json").json() for one in (server, open_server))
    schemes = locked["components"]["securitySchemes"]
    assert schemes["apiKey"] == {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    assert schemes["bearer"]["scheme"] == "bearer"
    for path, method in (("/invocations", "post"), ("/metrics", "get")):
        operation = locked["paths"][path][method]
        assert operation["security"] == [{name: []} for name in schemes]
        assert "401" in operation["responses"]
        assert "security" not in unlocked["paths"][path][method]
        assert "401" not in unlocked["paths"][path][method]["responses"]
    assert "security" not in locked["paths"]["/ready"]["get"]
    assert "securitySchemes" not in unlocked["components"]


def test_without_keys_everybody_may(open_server: Running) -> None:
    assert open_server.post(BODY, headers={"X-API-Key": "any"}).status_code == 200
    assert open_server.get("/metrics").status_code == 200


def test_no_key_is_in_the_log_or_in_a_commands_arguments(server: Running) -> None:
    wrong = "wrong-key-that-nobody-has"
    server.post(BODY, headers={"X-API-Key": FROM_FILE})
    server.post(BODY, headers={"X-API-Key": wrong})
    server.get(f"/{FIRST}")
    assert server.lines()[-2]["status"] == 401
    shown = server.log.read_bytes()
    shown += b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in server.processes())
    assert b"mlflow_sealed.server.run.loader" in shown
    for key in (FIRST, SECOND, FROM_FILE, wrong):
        assert key.encode() not in shown
