"""The requests of one connection: whole or in pieces, one by one or many at once."""

import itertools
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests import services
from tests.mlflow_sealed.server.running import (
    JSON,
    OFFER,
    Running,
    answers,
    post,
    raw,
    resident_kib,
)
from tests.records import record


@contextmanager
def connected(server: Running) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        yield connection


def about(glucose: int, *, rows: int = 1) -> bytes:
    """Return the body of a request; with so many rows that the subprocess answers it, or one."""
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


OFFERS: Final = {
    "h2c": OFFER,
    "h2c, as Java and curl offer it": (
        b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQBAAAAAAIAAAAA\r\n"
        b"Upgrade: h2c\r\n"
    ),
    "a WebSocket": (
        b"upgrade: websocket\r\nCONNECTION: keep-alive, UPGRADE\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    ),
    "TLS": b"Upgrade: TLS/1.0, HTTP/1.1\r\nConnection: Upgrade\r\n",
    "something unknown": b"Connection: Upgrade\r\nUpgrade: shoe/9\r\n",
    "two": b"Upgrade: h2c\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
    "nothing": b"Connection: Upgrade\r\nUpgrade:\r\n",
    "not said in Connection": b"Upgrade: h2c\r\n",
    "only said in Connection": b"Connection: Upgrade\r\n",
}


def offering(request: bytes, offer: bytes = OFFER) -> bytes:
    """Return a request with an offer to go on in another protocol."""
    return request.replace(b"Host: test\r\n", b"Host: test\r\n" + offer, 1)


def chunked(body: bytes, *, size: int = 40) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    head = raw("POST", "/invocations", {"Content-Type": JSON, "Transfer-Encoding": "chunked"})
    return head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))


def tell(server: Running, *parts: bytes, pause_s: float = 0.002) -> list[tuple[int, bytes]]:
    """Send the parts of something after which the server closes, and return all answers."""
    with connected(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            connection.sendall(part)
            time.sleep(pause_s if len(parts) > 1 else 0)
        return answers(connection)


@pytest.fixture
def _no_strange_line(server: Running) -> Iterator[None]:
    """The log has the server's own lines, and nothing of uvicorn's."""
    before = len(server.said())
    yield
    lines = server.said()[before:].splitlines()
    assert lines
    assert all(line.startswith("{") for line in lines), lines


own_lines = pytest.mark.usefixtures("_no_strange_line")


@own_lines
@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(post(about(110)), id="at once"),
        pytest.param(post(about(110, rows=200)), id="through ASGI"),
        pytest.param(chunked(about(110)), id="chunked"),
        pytest.param(chunked(about(110, rows=200), size=500), id="chunked, through ASGI"),
    ],
)
def test_an_offer_of_another_protocol_is_read_as_if_it_were_not_there(
    server: Running, request_: bytes, offer: bytes
) -> None:
    found = tell(server, offering(request_, offer) + closing(about(150)))
    assert [status for status, _ in found] == [200, 200]
    assert [probability(body) for _, body in found] == [
        expected(server, 110),
        expected(server, 150),
    ]


@own_lines
@pytest.mark.parametrize("request_", [post(about(110)), chunked(about(110))], ids=["", "chunked"])
def test_an_offer_may_come_in_two_pieces_wherever_they_part(
    server: Running, request_: bytes
) -> None:
    sent = offering(request_) + closing(about(150))
    right = [expected(server, 110), expected(server, 150)]
    for place in range(1, len(offering(request_)) + 1):
        found = tell(server, sent[:place], sent[place:], pause_s=0.001)
        assert [probability(body) for _, body in found] == right, place


@own_lines
def test_an_offer_may_come_byte_by_byte(server: Running) -> None:
    sent = offering(post(about(110))) + offering(raw("GET", "/ping", {})) + closing(about(150))
    found = tell(server, *(sent[place : place + 1] for place in range(len(sent))))
    assert [status for status, _ in found] == [200, 200, 200]
    assert probability(found[2][1]) == expected(server, 150)


SMALL, LARGE, PING = "small", "large", "ping"


def numbered(kinds: Sequence[str], offers: Sequence[bool]) -> bytes:
    """Return requests of some kinds, each about another glucose; some have an offer."""
    requests = []
    for position, (kind, offers_one) in enumerate(zip(kinds, offers, strict=True)):
        body = about(80 + position, rows=100 if kind == LARGE else 1)
        plain = raw("GET", "/ping", {}) if kind == PING else post(body)
        requests.append(offering(plain) if offers_one else plain)
    return b"".join([*requests, closing(about(200))])


@own_lines
@pytest.mark.parametrize("offers", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 1, 1)], ids=str)
def test_each_request_is_answered_once_in_its_place(
    server: Running, offers: Sequence[bool]
) -> None:
    right = {place: expected(server, 80 + place) for place in range(3)}
    for kinds in itertools.product((SMALL, LARGE, PING), repeat=3):
        found = tell(server, numbered(kinds, offers))
        assert [status for status, _ in found] == [200] * 4, kinds
        for place, kind in enumerate(kinds):
            body = found[place][1]
            assert body == b"\n" if kind == PING else probability(body) == right[place], kinds


@own_lines
def test_thousands_of_offers_in_one_piece_are_answered_once_each(server: Running) -> None:
    with connected(server) as connection:
        connection.sendall(offering(raw("GET", "/ping", {})) * 3000 + closing(about(150)))
        found = answers(connection)
    assert [status for status, _ in found] == [200] * 3001


@own_lines
@pytest.mark.parametrize("path", ["/ping", "/docs", "/ready", "/invocations", "/no-such?a=b%20c"])
def test_a_page_is_sent_in_spite_of_an_offer(server: Running, path: str) -> None:
    request = raw("GET", path, {"Connection": "close", "X-Request-Id": "0" * 32})
    assert tell(server, offering(request)) == tell(server, request)


@own_lines
@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(b"HTTP/1.1", b"HTTP/1.0", id="HTTP/1.0"),
        pytest.param(
            b"Host: test", b"Host: test\r\nExpect: 100-continue\r\nConnection: close", id="expect"
        ),
    ],
)
def test_what_else_a_head_with_an_offer_asks_for_is_done(
    server: Running, old: bytes, new: bytes
) -> None:
    found = tell(server, offering(post(about(110))).replace(old, new))
    assert [status for status, _ in found if status != 100] == [200]
    assert probability(found[-1][1]) == expected(server, 110)


@own_lines
@pytest.mark.parametrize("before", [b"", post(about(110)), post(about(110, rows=200))])
@pytest.mark.parametrize("offer", [b"", OFFER], ids=["no offer", "an offer"])
def test_connect_is_not_allowed_and_the_end_of_a_connection(
    server: Running, before: bytes, offer: bytes
) -> None:
    """What follows is not for this server: it is neither read nor answered."""
    tunnel = b"CONNECT example.org:443 HTTP/1.1\r\nHost: test\r\n" + offer + b"\r\n"
    found = tell(server, before + tunnel + post(about(150)))
    assert [status for status, _ in found] == [200, 405][not before :]
    assert "this method is not allowed here" in json.loads(found[-1][1])["message"]


def test_a_head_with_an_offer_has_its_bounds(server: Running) -> None:
    head = offering(raw("GET", "/ping", {}))[:-2] + b"X: y\r\n" * 20_000
    found = tell(server, head[:60_000], head[60_000:70_000])
    assert [status for status, _ in found] == [431]


@pytest.fixture(scope="session")
def java() -> str:
    """Java with its compiler, which runs a source file."""
    services.need("java", "javac")
    return str(shutil.which("java"))


@own_lines
def test_javas_own_client_is_answered(server: Running, java: str) -> None:
    source = Path(__file__).parent / "clients" / "Client.java"
    bodies = [about(glucose).decode() for glucose in (90, 130)] + [about(170, rows=200).decode()]
    done = subprocess.run(
        [java, str(source), f"{server.url}/invocations", *bodies],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert [line[:4] for line in lines] == ["200 "] * 3
    assert [probability(line[4:].encode()) for line in lines] == [
        expected(server, glucose) for glucose in (90, 130, 170)
    ]
