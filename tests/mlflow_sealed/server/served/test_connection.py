"""The requests of one connection: whole or in pieces, one by one or many at once."""

import itertools
import json
import random
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
@pytest.mark.parametrize("request_", [post(about(110)), chunked(about(110))], ids=["", "chunked"])
def test_an_offer_may_come_byte_by_byte(server: Running, request_: bytes) -> None:
    sent = offering(request_) + offering(raw("GET", "/ping", {})) + closing(about(150))
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


ODD: Final = {
    "no JSON": post(b"{"),
    "another format": post(about(110)).replace(JSON.encode(), b"text/html"),
    "no format": post(about(110)).replace(b"Content-Type", b"X-Type"),
    "a body that looks like a request": post(post(about(110))),
    "no body": post(b""),
    "no length": raw("POST", "/invocations", {"Content-Type": JSON}),
    "two lengths": post(about(110)).replace(b"Host", b"Content-Length: 3\r\nHost", 1),
    "a length and chunks": chunked(about(110)).replace(b"Host", b"Content-Length: 3\r\nHost", 1),
    "a length that is none": post(about(110)).replace(b"Content-Length: ", b"Content-Length: x"),
    "chunks that are none": chunked(about(110)).replace(b"\r\n28\r\n", b"\r\nzz\r\n", 1),
    "chunks with extensions": chunked(about(110)).replace(b"\r\n28\r\n", b"\r\n28;a=b\r\n"),
    "trailers": chunked(about(110))[:-2] + b"Upgrade: h2c\r\n\r\n",
    "a line that is folded": post(about(110)).replace(b"Host", b"X: a\r\n b\r\nHost", 1),
    "a line without a colon": post(about(110)).replace(b"Host", b"X\r\nHost", 1),
    "a header without a value": post(about(110)).replace(b"Host", b"X:\r\nHost", 1),
    "a header of other bytes": post(about(110)).replace(b"Host", b"X: \xe9\t\x80\r\nHost", 1),
    "a header of control bytes": post(about(110)).replace(b"Host", b"X: \x01\r\nHost", 1),
    "a header with a space": post(about(110)).replace(b"Host", b"X : y\r\nHost", 1),
    "line feeds alone": post(about(110)).replace(b"\r\n", b"\n"),
    "a whole address": post(about(110)).replace(b" /", b" http://test/", 1),
    "a query": post(about(110), "/invocations?a=%C3%A9&b=c%0D%0A"),
    "a path of other bytes": raw("GET", "/\xe9", {}),
    "no path": raw("GET", "", {}),
    "HEAD": raw("HEAD", "/ping", {}),
    "OPTIONS": raw("OPTIONS", "*", {}),
    "another method": raw("DELETE", "/ping", {}),
    "no method": raw("NONE", "/ping", {}),
    "another version": post(about(110)).replace(b"HTTP/1.1", b"HTTP/1.2"),
    "HTTP/1.0": post(about(110)).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "HTTP/1.0 that stays": post(about(110))
    .replace(b"HTTP/1.1", b"HTTP/1.0")
    .replace(b"Host", b"Connection: keep-alive\r\nHost", 1),
}


@pytest.mark.parametrize("request_", ODD.values(), ids=ODD)
def test_an_odd_request_gets_the_same_answers_with_an_offer_as_without(
    server: Running, request_: bytes
) -> None:
    """And so does the request that follows, if it gets one."""
    identified = request_.replace(b"Host: ", b"X-Request-Id: %b\r\nHost: " % (b"0" * 32), 1)
    told = [
        tell(server, sent + closing(about(150)))
        for sent in (identified, identified.replace(b"Host: ", OFFER + b"Host: ", 1))
    ]
    assert told[0] == told[1]
    assert [status for status, _ in told[0] if status == 500] == []


@own_lines
def test_offers_come_in_any_pieces(server: Running) -> None:
    """Requests of all kinds, with and without an offer, cut wherever it may be."""
    chance = random.Random(17)  # noqa: S311 # the same each time
    kinds = [
        (post(about(110)), 200),
        (post(about(110, rows=100)), 200),
        (chunked(about(110)), 200),
        (chunked(about(110, rows=100), size=700), 200),
        (post(b"{}"), 400),
        (raw("GET", "/ping", {}), 200),
    ]
    right = expected(server, 110)
    for _ in range(60):
        chosen = chance.choices(kinds, k=6)
        sent = b"".join(offering(one) if chance.random() < 0.6 else one for one, _ in chosen)
        sent += closing(about(110))
        cuts = sorted(chance.sample(range(1, len(sent)), chance.randint(0, 8)))
        parts = [sent[start:end] for start, end in itertools.pairwise([0, *cuts, len(sent)])]
        found = tell(server, *parts, pause_s=0.001)
        assert [status for status, _ in found] == [*(status for _, status in chosen), 200]
        answered = [body for status, body in found if status == 200 and body != b"\n"]
        assert {probability(body) for body in answered} == {right}


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
    """Four ways to send each body, one after the other and at once."""
    source = Path(__file__).parent / "clients" / "Client.java"
    asked = [(90, 1), (130, 1), (170, 200)]
    bodies = [about(glucose, rows=rows).decode() for glucose, rows in asked] + ["{}"]
    done = subprocess.run(
        [java, str(source), f"{server.url}/invocations", *bodies],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    *lines, ping = done.stdout.splitlines()
    assert [line[:4] for line in lines] == [*["200 "] * 12, *["400 "] * 4] * 2
    right = [expected(server, glucose) for glucose, _ in asked for _ in range(4)]
    for half in (lines[:16], lines[16:]):
        assert [probability(line[4:].encode()) for line in half[:12]] == right
    assert ping == "200 "


@own_lines
@pytest.mark.parametrize("rows", [1, 200, 4000], ids=lambda rows: f"{rows} rows")
def test_curl_that_offers_http_2_is_answered(server: Running, rows: int, tmp_path: Path) -> None:
    """It asks before it sends a body of a megabyte."""
    [curl] = services.need("curl")
    (tmp_path / "body").write_bytes(about(140, rows=rows))
    options = ("--silent", "--show-error", "--http2", "--header", f"Content-Type: {JSON}")
    address = f"{server.url}/invocations"
    sent = ("--data-binary", f"@{tmp_path / 'body'}", address, address)
    done = subprocess.run([curl, *options, *sent], capture_output=True, check=True)
    nothing, *found = done.stdout.split(b'{"predictions"')
    assert nothing == b""
    right = expected(server, 140)
    assert [probability(b'{"predictions"' + part) for part in found] == [right] * 2
