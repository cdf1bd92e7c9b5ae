"""What one request may cost: bytes, rows, time to arrive. Each bound has an answer that says so."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mlflow_sealed.server.running import (
    JSON,
    Running,
    answer,
    raw,
    save_diabetes_model,
    serving,
)
from tests.records import record

BYTES = 20_000
ROWS = 50
SECONDS = 2

EXAMPLE = json.dumps({"inputs": [record()]}).encode()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_diabetes_model(tmp_path_factory.mktemp("saved") / "model")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Running]:
    with serving(
        model,
        tmp_path_factory.mktemp("limits"),
        traced=True,
        SCORING_MAX_BODY_BYTES=str(BYTES),
        SCORING_MAX_ROWS=str(ROWS),
        MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT=str(SECONDS),
    ) as started:
        yield started


@pytest.fixture(autouse=True)
def goes_on_serving(server: Running) -> Iterator[None]:
    """After whatever a test sends, a good request gets its answer."""
    yield
    assert server.post(EXAMPLE).status_code == 200


def padded(size: int) -> bytes:
    """Return a good request of so many bytes."""
    return EXAMPLE + b" " * (size - len(EXAMPLE))


def chunked(body: bytes, size: int = 4096) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def announced(size: int) -> bytes:
    return raw("POST", "/invocations", {"Content-Type": JSON, "Content-Length": str(size)})


CHUNKED = raw("POST", "/invocations", {"Content-Type": JSON, "Transfer-Encoding": "chunked"})


def test_a_body_of_the_largest_size_is_answered(server: Running) -> None:
    assert server.post(padded(BYTES)).status_code == 200


@pytest.mark.parametrize("form", ["announced", "chunked"])
def test_a_body_with_a_byte_too_many_gets_a_413(server: Running, form: str) -> None:
    body = padded(BYTES + 1)
    sent = announced(len(body)) + body if form == "announced" else CHUNKED + chunked(body)
    with server.connect() as connection:
        connection.sendall(sent)
        status, said = answer(connection)
    assert status == 413
    assert f"more than {BYTES} bytes" in json.loads(said)["message"]


@pytest.mark.parametrize("form", ["announced", "chunked"])
def test_a_client_that_sends_far_too_much_reads_its_answer_after_sending(
    server: Running, form: str
) -> None:
    body = padded(10 * BYTES)
    sent = announced(len(body)) + body if form == "announced" else CHUNKED + chunked(body)
    with server.connect() as connection:
        connection.sendall(sent)
        time.sleep(0.2)
        status, said = answer(connection)
    assert status == 413
    assert json.loads(said)["error_code"] == "RESOURCE_EXHAUSTED"


@pytest.mark.parametrize(
    ("path", "content_type", "expected"),
    [("/invocations", "text/plain", 415), ("/elsewhere", JSON, 404), ("/ping", JSON, 405)],
)
def test_an_answer_that_needs_no_body_reaches_a_client_that_still_sends_it(
    server: Running, path: str, content_type: str, expected: int
) -> None:
    body = padded(10 * BYTES)
    with server.connect() as connection:
        headers = {"Content-Type": content_type, "Content-Length": str(len(body))}
        connection.sendall(raw("POST", path, headers))
        for start in range(0, len(body), BYTES):
            time.sleep(0.01)
            connection.sendall(body[start : start + BYTES])
        status, _ = answer(connection)
    assert status == expected


def test_no_more_is_read_than_a_multiple_of_what_is_allowed(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(announced(10**9))
        sent = sent_until_closed(connection, b" " * BYTES, most=10**8)
    assert 10 * BYTES < sent < 10**8


def sent_until_closed(connection: socket.socket, part: bytes, *, most: int) -> int:
    for sent in range(0, most, len(part)):
        try:
            connection.sendall(part)
        except OSError:
            return sent
    return most


def test_as_many_rows_as_may_be_are_answered(server: Running) -> None:
    found = server.post(json.dumps({"inputs": [record()] * ROWS}))
    assert len(found.json()["predictions"]) == ROWS


@pytest.mark.parametrize("name", ["inputs", "instances", "dataframe_records"])
def test_a_row_too_many_gets_a_413(server: Running, name: str) -> None:
    found = server.post(json.dumps({name: [record()] * (ROWS + 1)}))
    assert found.status_code == 413
    assert f"more than {ROWS} rows" in found.json()["message"]


def test_a_row_too_many_gets_a_413_in_other_formats(server: Running) -> None:
    columns, values = list(record()), list(record().values())
    split = {"dataframe_split": {"columns": columns, "data": [values] * (ROWS + 1)}}
    line = ",".join(map(str, values))
    csv = "\n".join([",".join(columns), *[line] * (ROWS + 1)])
    found = [server.post(json.dumps(split)), server.post(csv, "text/csv")]
    assert [one.status_code for one in found] == [413, 413]
    assert server.post("\n".join([",".join(columns), *[line] * ROWS]), "text/csv").ok


@pytest.mark.parametrize("sent", [announced(len(EXAMPLE)) + EXAMPLE[:-1], CHUNKED])
def test_a_body_that_does_not_come_whole_in_time_gets_a_408(server: Running, sent: bytes) -> None:
    with server.connect() as connection:
        begin = time.monotonic()
        connection.sendall(sent)
        status, said = answer(connection)
        took = time.monotonic() - begin
        assert connection.recv(1) == b"", "the connection stays open"
    assert status == 408
    assert "did not arrive in time" in json.loads(said)["message"]
    assert SECONDS - 0.1 < took < SECONDS + 1.5


def test_a_trickle_of_bytes_does_not_lengthen_the_time(server: Running) -> None:
    begin = time.monotonic()
    with server.connect() as connection:
        connection.sendall(announced(10_000))
        connection.settimeout(0.1)
        while not (head := trickle(connection)):
            assert time.monotonic() - begin < SECONDS + 1.5
    assert head.startswith(b"HTTP/1.1 408")


def trickle(connection: socket.socket) -> bytes:
    connection.sendall(b" ")
    try:
        return connection.recv(65536)
    except TimeoutError:
        return b""


def test_slow_clients_delay_no_other(server: Running) -> None:
    waiting = [server.connect() for _ in range(100)]
    try:
        for connection in waiting:
            connection.sendall(announced(len(EXAMPLE)) + EXAMPLE[:10])
        begin = time.monotonic()
        assert server.post(EXAMPLE).status_code == 200
        assert time.monotonic() - begin < 0.5
    finally:
        for connection in waiting:
            connection.close()


def test_a_client_that_goes_away_is_a_line_in_the_log_and_no_more(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(announced(len(EXAMPLE)) + EXAMPLE[:10])
    assert server.post(EXAMPLE).status_code == 200
    assert "Traceback" not in server.log.read_text(encoding="utf-8")
