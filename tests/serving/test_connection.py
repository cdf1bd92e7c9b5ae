"""The requests of one connection: whole or in pieces, one by one or many at once."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.records import record
from tests.serving.running import JSON, Running, answers, post, raw, resident_kib

KEEP_ALIVE_S = 5
"""uvicorn's default."""


@contextmanager
def connected(server: Running) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        yield connection


def about(glucose: int, *, rows: int = 1) -> bytes:
    """Return the body of a request; so many rows that it has to be answered beside, or one."""
    return json.dumps({"inputs": [record(glucose=glucose)] * rows}).encode()


def closing(body: bytes) -> bytes:
    """Return a request after which the server closes the connection."""
    headers = {"Content-Type": JSON, "Content-Length": str(len(body)), "Connection": "close"}
    return raw("POST", "/invocations", headers, body)


def probability(body: bytes) -> float:
    found: float = json.loads(body)["predictions"][0]["probability"]
    return found


def expected(server: Running, glucose: int) -> float:
    return probability(server.post(about(glucose)).content)


def test_requests_that_are_sent_at_once_are_answered_in_their_order(server: Running) -> None:
    """Small ones, which need no task, before and after one that has to wait."""
    sent = [
        *(post(about(glucose)) for glucose in (80, 120)),
        post(about(160, rows=100)),
        raw("GET", "/ping", {}),
        post(about(200)),
        post(b"{}"),
        closing(about(90)),
    ]
    with connected(server) as connection:
        connection.sendall(b"".join(sent))
        found = answers(connection)
    assert [status for status, _ in found] == [200, 200, 200, 200, 200, 400, 200]
    for (_, body), glucose in zip(found, (80, 120, 160, None, 200, None, 90), strict=True):
        if glucose:
            assert probability(body) == expected(server, glucose)


@pytest.mark.parametrize("size", [1, 60, 150], ids=lambda size: f"{size} bytes")
def test_a_request_that_comes_in_pieces_gets_the_same_answer(server: Running, size: int) -> None:
    request = closing(about(130))
    with connected(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(request), size):
            connection.sendall(request[start : start + size])
            time.sleep(0.002)
        [(status, body)] = answers(connection)
    assert status == 200
    assert probability(body) == expected(server, 130)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"Connection: close\r\n", id="close"),
        pytest.param(b"Expect: 100-continue\r\nConnection: close\r\n", id="expect"),
    ],
)
def test_what_a_head_asks_for_is_done(server: Running, line: bytes) -> None:
    request = post(about(110)).replace(b"Host: test\r\n", b"Host: test\r\n" + line)
    with connected(server) as connection:
        connection.sendall(request)
        found = [one for one in answers(connection) if one[0] != 100]
    assert [status for status, _ in found] == [200]
    assert probability(found[0][1]) == expected(server, 110)


def test_http_1_0_is_answered_and_closed(server: Running) -> None:
    with connected(server) as connection:
        connection.sendall(post(about(110)).replace(b"HTTP/1.1", b"HTTP/1.0"))
        [(status, body)] = answers(connection)
    assert status == 200
    assert probability(body) == expected(server, 110)


@pytest.mark.parametrize(
    "request_", [post(about(100)), raw("GET", "/ping", {})], ids=["at once", "through ASGI"]
)
def test_a_quiet_connection_is_closed_and_one_in_use_is_not(
    server: Running, request_: bytes
) -> None:
    with connected(server) as quiet, connected(server) as used:
        quiet.sendall(request_)
        begin = time.monotonic()
        while time.monotonic() - begin < KEEP_ALIVE_S + 2:
            used.sendall(request_)
            time.sleep(0.5)
        assert [status for status, _ in answers(quiet)] == [200]
        used.sendall(closing(about(100)))
        assert {status for status, _ in answers(used)} == {200}


def test_a_client_that_reads_no_answer_is_waited_for(server: Running) -> None:
    """Its requests and their answers would fill the server's memory otherwise."""
    (worker,) = server.workers()
    before_kib = resident_kib(worker)
    with connected(server) as connection:
        connection.settimeout(3)
        with pytest.raises(TimeoutError):  # nobody takes what it sends any more
            connection.sendall(post(about(100)) * 200_000)
        assert server.post(about(100)).status_code == 200
        assert resident_kib(worker) - before_kib < 100 * 1024


def test_a_client_that_goes_away_while_its_answers_wait_is_no_error(server: Running) -> None:
    request = post(about(100, rows=200))
    with connected(server) as connection:
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            connection.sendall(request * 5000)
    assert server.post(about(100)).status_code == 200
    assert "Traceback" not in server.said()
