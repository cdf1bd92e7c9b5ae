"""Whatever comes over the wire, only 4xx, and a healthy request in between is answered in time."""

import contextlib
import gzip
import io
import itertools
import json
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.mlflow_sealed.server.running import CSV, JSON, OFFER, PARQUET, Running, serving
from tests.records import record

GOOD: Final = json.dumps({"inputs": [record()]})
TIMEOUT_S: Final = 5  # a broken file may have a second of the CPU, which others use too
AT_ONCE_S: Final = 1.0
"""The longest that a healthy request may take here; alone it is a few milliseconds."""

HEADER: Final = ",".join(record())
LINE: Final = ",".join(map(str, record().values()))
HUGE: Final = "1" + "0" * 5000
DEEP: Final = 100_000


@pytest.fixture(scope="module")
def server(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with short timeouts; it is the same process in the end."""
    folder, timeout = tmp_path_factory.mktemp("fuzzed"), str(TIMEOUT_S)
    with serving(model_folder, folder, MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT=timeout) as running:
        workers = running.workers()
        yield running
        assert running.workers() == workers
        routes = [line["route"] for line in running.lines()]
        assert len(routes) > 100
        assert set(routes) <= {"/invocations", "/ping", "/ready", "other"}


@pytest.fixture(autouse=True)
def goes_on_serving(server: Running) -> Iterator[None]:
    yield
    assert_healthy(server)


def assert_healthy(server: Running) -> None:
    begin = time.monotonic()
    assert len(server.predict({"inputs": [record()]})) == 1
    assert time.monotonic() - begin < AT_ONCE_S


def glucose(text: str) -> str:
    """The good request with something else for a number, as it stands in JSON."""
    return GOOD.replace("121", text)


def row(**cells: str) -> str:
    return f"{HEADER}\n{','.join(str(value) for value in record(**cells).values())}\n"


BAD_JSON: Final[dict[str, str | bytes]] = {
    "no body": "",
    "half a body": GOOD[:-9],
    "something behind": f"{GOOD} x",
    "two bodies": GOOD * 2,
    "a comment": f"/* */{GOOD}",
    "a NUL behind": f"{GOOD}\0",
    "null": "null",
    "a number": "1",
    "UTF-16": GOOD.encode("utf-16"),
    "bad UTF-8 in a key": GOOD.encode().replace(b"glucose", b"gluc\xffse"),
    "bad UTF-8 in a value": glucose('"\xff"').encode("latin-1"),
    "an overlong slash": glucose('"@"').encode().replace(b"@", b"\xc0\xaf"),
    "a lone surrogate": '{"inputs": [{"\\ud800": 1}]}',
    "a NUL in a key": '{"inputs": [{"\\u0000": 1}]}',
    "deep lists": f'{{"inputs": {"[" * DEEP}{"]" * DEEP}}}',
    "deep objects": '{"a":' * DEEP + "1" + "}" * DEEP,
    "deep, never closed": '{"inputs":' + "[" * DEEP,
    "lists as deep as the parser goes": f'{{"inputs": {"[" * 190}{"]" * 190}}}',
    "deep parameters": '{"inputs": [], "params": ' + '{"a":' * 190 + "1" + "}" * 191,
    "a key of the body twice": GOOD[:-1] + ', "inputs": []}',
    "a field twice": GOOD.replace('"age"', '"age": 40, "age"'),
    "a field twice, once escaped": GOOD.replace('"age"', '"\\u0061ge": 40, "age"'),
    "parameters twice": '{"inputs": [], "params": {"a": 1, "a": 2}}',
    "NaN years": GOOD.replace("33", "NaN"),
    "Infinity": glucose("Infinity"),
    "-Infinity": glucose("-Infinity"),
    "1e400": glucose("1e400"),
    "1e999999999": glucose("1e999999999"),
    "10**400": glucose("1" + "0" * 400),
    "10**5000": glucose(HUGE),
    "-10**5000": glucose(f"-{HUGE}"),
    "10**5000 years": GOOD.replace("33", HUGE),
    "10**5000 parameters": f'{{"inputs": [], "params": {{"a": {HUGE}}}}}',
    "10**400 as text": glucose(f'"1{"0" * 400}"'),
    "10**5000 as text": glucose(f'"{HUGE}"'),
    **{
        f"the text {text!r}": glucose(json.dumps(text))
        for text in ("nan", "inf", " 121", "121\n", "1_2_1", "0x10", ".1e3", "+121", "١٢١")
    },
    **{
        f"{text!r} years": GOOD.replace("33", json.dumps(text))
        for text in ("", "NA", "NaN", "null", ".")
    },
    "a hexadecimal number": glucose("0x10"),
    "a leading zero": glucose("0121"),
    "true": glucose("true"),
    "a list": glucose("[121]"),
    "columns of null": '{"dataframe_split": {"columns": [null], "data": [[1]]}}',
    "columns of nothing": '{"dataframe_split": {"columns": [], "data": [[]]}}',
    "a split of nothing": '{"dataframe_split": null}',
    "a split of other lengths": '{"dataframe_split": {"columns": ["age"], "data": [[1, 2]]}}',
}

BAD_CSV: Final[dict[str, str | bytes]] = {
    "no body": "",
    "empty lines": "\n" * 100_000,
    "100,000 columns": "," * 100_000,
    "a NUL": row(glucose="1\0"),
    "a quote that is not closed": f'{HEADER}\n"{LINE}',
    "text behind a quote": f'{HEADER}\n"1"2{LINE}',
    "a cell of 1 MB": row(glucose="9" * 2**20),
    "a name of 1 MB": f"{'x' * 2**20},{HEADER}\n{LINE}",
    "a cell of 1000 lines": row(glucose='"' + "\n" * 1000 + '"'),
    "bad UTF-8": f"{HEADER}\n".encode() + b"\xff\xfe",
    "UTF-16": f"{HEADER}\n{LINE}".encode("utf-16"),
    "NaN": row(glucose="nan"),
    "Infinity": row(glucose="inf"),
    "10**5000": row(glucose=HUGE),
    "10**5000 years": row(age=HUGE),
    "true": row(glucose="true"),
    "10,001 lines": f"{HEADER}\n{(LINE + chr(10)) * 10_001}",
}

BAD_GZIP: Final[dict[str, bytes]] = {
    "no body": b"",
    "JSON": GOOD.encode(),
    "half a body": gzip.compress(GOOD.encode())[:-9],
    "something behind": gzip.compress(GOOD.encode()) + b"x",
    "gzip in gzip": gzip.compress(gzip.compress(GOOD.encode())),
    "100,000 empty members": gzip.compress(b"") * 100_000,
    "64 MiB of spaces": gzip.compress(b" " * 2**26),
    "4 MiB of lists": gzip.compress(b'{"inputs": ' + b"[" * 2**22),
    "a NUL behind": gzip.compress(GOOD.encode() + b"\0"),
}

BAD_TYPES: Final[tuple[str | None, ...]] = (
    None,
    "",
    "text/plain",
    f"{JSON};",
    f"{JSON}; charset",
    f"{JSON}; charset=",
    f"{JSON}; charset=utf-16",
    f"{JSON}; charset=utf-8; charset=latin-1",
    f"{JSON}, {CSV}",
    "x" * 30_000,
)


@pytest.mark.parametrize("body", BAD_JSON.values(), ids=BAD_JSON)
def test_json_that_is_none_or_means_nothing_gets_a_400(server: Running, body: str | bytes) -> None:
    assert server.post(body).status_code == 400


@pytest.mark.parametrize("body", BAD_CSV.values(), ids=BAD_CSV)
def test_csv_that_is_none_or_means_nothing_gets_a_4xx(server: Running, body: str | bytes) -> None:
    assert server.post(body, CSV).status_code in {400, 413}


@pytest.mark.parametrize("body", BAD_GZIP.values(), ids=BAD_GZIP)
def test_gzip_that_is_none_or_means_nothing_gets_a_4xx(server: Running, body: bytes) -> None:
    answer = server.post(body, headers={"Content-Encoding": "gzip"})
    assert answer.status_code in {400, 413}


@pytest.mark.parametrize("content_type", BAD_TYPES, ids=[str(kind)[:40] for kind in BAD_TYPES])
def test_another_content_type_gets_a_415(server: Running, content_type: str | None) -> None:
    assert server.post(GOOD, content_type).status_code == 415


def test_a_charset_that_is_no_ascii_gets_a_415(server: Running) -> None:
    sent = head(len(GOOD), content_type=f"{JSON}; charset=\xfc".encode("latin-1"))
    assert statuses(talk(server, sent + GOOD.encode())) == [415]


def head(
    length: int | None = None, *more: bytes, content_type: bytes = JSON.encode(), close: bool = True
) -> bytes:
    """The head of a request, as it goes over the wire."""
    lines = [
        b"POST /invocations HTTP/1.1",
        b"Host: localhost",
        b"Content-Type: " + content_type,
        *([b"Content-Length: %d" % length] if length is not None else []),
        *([b"Connection: close"] if close else []),
        *more,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def talk(server: Running, *parts: bytes, end: bool = False) -> bytes:
    """Send bytes, and return all that comes until the server closes the connection."""
    got = io.BytesIO()
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as client,
        contextlib.suppress(ConnectionError),  # a server may close before all is sent
    ):
        for part in parts:
            client.sendall(part)
            time.sleep(0.01)
        if end:
            client.shutdown(socket.SHUT_WR)
        while part := client.recv(2**16):
            got.write(part)
    return got.getvalue()


def statuses(answers: bytes) -> list[int]:
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]


def chunked(body: bytes, size: int) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])


CHUNKED: Final = b"Transfer-Encoding: chunked"
WIRE: Final[dict[str, tuple[bytes, list[int]]]] = {
    "a length and its body": (head(len(GOOD)) + GOOD.encode(), [200]),
    "chunks": (head(None, CHUNKED) + chunked(GOOD.encode(), 50), [200]),
    "a chunk a byte": (head(None, CHUNKED) + chunked(GOOD.encode(), 1), [200]),
    "three at once": (
        (head(len(GOOD), close=False) + GOOD.encode() + head(3, close=False) + b"abc")
        + (head(len(GOOD)) + GOOD.encode()),
        [200, 400, 200],
    ),
    "a length that is too small": (head(len(GOOD) - 3) + GOOD.encode(), [400]),
    "a length that is too large": (head(len(GOOD) + 3) + GOOD.encode(), [408]),
    "no length": (head() + GOOD.encode(), [400]),
    "a negative length": (head(-5) + GOOD.encode(), [400]),
    "a length that is no number": (head(None, b"Content-Length: x") + GOOD.encode(), [400]),
    "a length beyond 64 bits": (head(10**30) + GOOD.encode(), [400]),
    "a length of 5 GB": (head(5 * 10**9) + GOOD.encode(), [408]),
    "two lengths": (head(5, b"Content-Length: 7") + GOOD.encode(), [400]),
    "a length and chunks": (head(5, CHUNKED) + chunked(GOOD.encode(), 50), [400]),
    "a chunk of no length": (head(None, CHUNKED) + b"zz\r\n" + GOOD.encode(), [400]),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", [400]),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    "an unknown method": (b"SCORE / HTTP/1.1\r\nHost: localhost\r\n\r\n", [400]),
    "a path that is no ASCII": (b"GET /\xff%ff%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", [400]),
    "a path that is no UTF-8": (
        b"GET /%ff%zz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        [404],
    ),
    "a NUL in a header": (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n", [400]),
    "a head of 400 KB": (
        b"GET /ping HTTP/1.1\r\nHost: localhost\r\n" + b"X: %b\r\n" % (b"y" * 1000) * 400,
        [431],
    ),
}


@pytest.mark.parametrize(("sent", "expected"), WIRE.values(), ids=WIRE)
def test_requests_that_are_framed_wrongly_get_a_4xx(
    server: Running, sent: bytes, expected: list[int]
) -> None:
    # A request that is rejected before it is read whole may lose its response to the reset.
    assert statuses(talk(server, sent)) in ([expected] if expected != [431] else [[431], []])


@pytest.mark.parametrize(("sent", "expected"), WIRE.values(), ids=WIRE)
def test_an_offer_of_another_protocol_changes_nothing_of_it(
    server: Running, sent: bytes, expected: list[int]
) -> None:
    offered = sent.replace(b" HTTP/1.1\r\n", b" HTTP/1.1\r\n" + OFFER)
    assert statuses(talk(server, offered)) in ([expected] if expected != [431] else [[431], []])


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(head(100) + b"{", id="a length"),
        pytest.param(head(None, CHUNKED) + b"a\r\n{", id="chunks"),
        pytest.param(b"POST /invoc", id="no head"),
    ],
)
def test_a_body_that_breaks_off_harms_no_other_request(server: Running, sent: bytes) -> None:
    assert statuses(talk(server, sent, end=True)) in ([], [400])


def opened(server: Running, count: int, sent: bytes) -> list[socket.socket]:
    clients = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        client.sendall(sent)
        clients.append(client)
    return clients


def test_200_slow_connections_delay_no_other_and_are_closed(server: Running) -> None:
    """Half of them send half a head, the others half a body."""
    begin = time.monotonic()
    heads = opened(server, 100, b"POST /invocations HTTP/1.1\r\nHost: loc")
    bodies = opened(server, 100, head(len(GOOD), close=False) + GOOD[:50].encode())
    try:
        for _ in range(10):
            assert_healthy(server)
        for client in bodies:
            assert statuses(client.recv(2**16)) == [408]
        assert time.monotonic() - begin > TIMEOUT_S
        assert_healthy(server)
        for client in heads:
            assert statuses(client.recv(2**16)) == [408]
            assert client.recv(1) == b""
    finally:
        for client in (*heads, *bodies):
            client.close()
    assert time.monotonic() - begin < 25


def test_a_head_that_drips_is_closed_too(server: Running) -> None:
    """A byte now and then keeps no connection open."""
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=0.5) as client:
        got = b""
        for byte in itertools.chain(b"GET /ping HTTP/1.1\r\nX: ", itertools.repeat(97)):
            with contextlib.suppress(TimeoutError):
                client.sendall(bytes([byte]))
                got = client.recv(2**16)
                break
            assert time.monotonic() - begin < 25
    assert statuses(got) == [408]


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **options)
    return file.getvalue()


def columns(rows: int, **changed: Any) -> dict[str, Any]:
    return {name: pa.array([value] * rows) for name, value in record().items()} | changed


def mutations(good: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Yield copies with some bytes changed, or cut off."""
    chance = random.Random(seed)  # noqa: S311 # the same ones in every run
    for _ in range(count):
        changed = bytearray(good)
        for _ in range(chance.choice((1, 1, 2, 5, 20))):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        if chance.random() < 0.2:
            del changed[chance.randrange(len(changed)) :]
        yield bytes(changed)


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_parquet_that_is_broken_gets_a_400_or_its_answer(server: Running, compression: str) -> None:
    good = parquet(columns(10), compression=compression)
    found = Counter(server.post(body, PARQUET).status_code for body in mutations(good, 100, seed=4))
    assert set(found) <= {200, 400, 413}
    assert found[400] > 30
    assert "panicked" not in server.said()


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        pytest.param(
            lambda: parquet(dict.fromkeys(record(), np.zeros(2_000_000)), compression="zstd"),
            413,
            id="2,000,000 rows in 80 KB",
        ),
        pytest.param(
            lambda: parquet(
                columns(10_000, bmi=["9" * 20_000] * 10_000),
                compression="zstd",
                use_dictionary=False,
            ),
            400,
            id="200 MB of text in 50 KB",
        ),
        pytest.param(
            lambda: parquet(columns(10_000, bmi=[[1.0] * 10] * 10_000)), 400, id="a column of lists"
        ),
        pytest.param(lambda: parquet(columns(10, bmi=[{"a": 1}] * 10)), 400, id="a nested column"),
        pytest.param(lambda: parquet(columns(10, bmi=[True] * 10)), 400, id="booleans"),
        pytest.param(lambda: parquet(columns(10, bmi=[float("inf")] * 10)), 400, id="infinities"),
        pytest.param(lambda: parquet(columns(10, bmi=[b"1"] * 10)), 400, id="bytes"),
        pytest.param(lambda: b"PAR1" + b"\xff" * 100 + b"PAR1", 400, id="no footer"),
        pytest.param(lambda: b"PAR1\xff\xff\xff\x7fPAR1", 400, id="a footer of 2 GB"),
        pytest.param(lambda: b"", 400, id="no body"),
    ],
)
def test_parquet_that_means_nothing_or_too_much_gets_a_4xx(
    server: Running, write: Callable[[], bytes], expected: int
) -> None:
    assert server.post(write(), PARQUET).status_code == expected
    assert server.post(parquet(columns(1)), PARQUET).status_code == 200
