"""Packed bodies: unpacked within the bounds of a body, and nothing else than gzip."""

import asyncio
import gzip
import time
import tracemalloc

import pytest

from mlflow_sealed.server.asgi.application import run_at_once
from mlflow_sealed.server.asgi.content_coding import is_packed, unpack
from mlflow_sealed.server.asgi.inline_policy import SMALL_BYTES
from mlflow_sealed.server.protocol.errors import RequestError

MOST = 2**20
TEXT = b'{"inputs": [{"glucose": 121}]}'
PACKED = gzip.compress(TEXT)


@pytest.mark.parametrize("header", ["gzip", "GZIP", " gzip ", "x-gzip"])
def test_gzip_is_unpacked(header: str) -> None:
    assert is_packed(header.encode())


@pytest.mark.parametrize("header", ["", "identity", "Identity"])
def test_identity_is_no_packing(header: str) -> None:
    assert not is_packed(header.encode())


@pytest.mark.parametrize("header", ["br", "deflate", "zstd", "gzip, gzip", "gzip;q=1", "\xff"])
def test_another_coding_gets_a_415_that_names_the_header_and_what_is_accepted(header: str) -> None:
    with pytest.raises(RequestError, match="^expected no Content-Encoding but gzip") as caught:
        is_packed(header.encode("latin-1"))
    assert caught.value.status == 415
    assert caught.value.headers == ((b"accept-encoding", b"gzip"),)


@pytest.mark.parametrize("size", [0, 1, 2**14, SMALL_BYTES, SMALL_BYTES + 1, MOST])
@pytest.mark.parametrize("byte", [b" ", None], ids=["spaces", "noise"])
def test_what_was_packed_comes_out(size: int, byte: bytes | None) -> None:
    body = bytes(range(256)) * (size // 256 + 1) if byte is None else byte * size
    assert unpacked(gzip.compress(body[:size])) == body[:size]


def test_several_members_are_one_body() -> None:
    members = [TEXT[:9], b"", TEXT[9:], b" " * 2**15]
    assert unpacked(b"".join(map(gzip.compress, members))) == TEXT + b" " * 2**15


@pytest.mark.parametrize("members", [1, 3])
def test_one_byte_more_than_allowed_gets_a_413(members: int) -> None:
    body = b" " * (MOST + 1)
    size = len(body) // members + 1
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    with pytest.raises(RequestError, match="more than 1048576 bytes") as caught:
        unpacked(b"".join(map(gzip.compress, parts)))
    assert caught.value.status == 413


@pytest.mark.parametrize("end", range(len(PACKED)))
def test_gzip_that_is_broken_off_gets_a_400(end: int) -> None:
    with pytest.raises(RequestError, match="broken off") as caught:
        unpacked(PACKED[:end])
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "body",
    [TEXT, PACKED + b"x", PACKED + b"\0", PACKED[:-5] + b"\0" + PACKED[-4:], b"\x1f\x8b\x09" * 9],
    ids=["plain", "garbage behind", "a zero behind", "another checksum", "another method"],
)
def test_what_is_no_gzip_gets_a_400_without_a_byte_of_it(body: bytes) -> None:
    with pytest.raises(RequestError, match="^the body is (not gzip|gzip that is)") as caught:
        unpacked(body)
    assert caught.value.status == 400


def test_a_bomb_takes_no_more_than_its_bound() -> None:
    bomb = gzip.compress(bytes(2**26))
    tracemalloc.start()
    with pytest.raises(RequestError, match="more than 1048576 bytes"):
        unpacked(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * MOST


def test_endless_empty_members_end_soon() -> None:
    begin = time.process_time()
    with pytest.raises(RequestError, match="more than 4096 members"):
        unpacked(gzip.compress(b"") * 100_000)
    assert time.process_time() - begin < 2


def test_a_small_body_needs_no_task_and_a_large_one_does_not_hold_up_the_loop() -> None:
    small = unpack(PACKED, max_bytes=MOST, deadline=float("inf"))
    assert run_at_once(small) == TEXT
    large = gzip.compress(b" " * (SMALL_BYTES + 1))
    assert run_at_once(unpack(large, max_bytes=MOST, deadline=float("inf"))) is None


def test_unpacking_ends_with_the_requests_time() -> None:
    with pytest.raises(RequestError, match="not unpacked in time"):
        asyncio.run(unpack(gzip.compress(bytes(2**25)), max_bytes=2**26, deadline=0))


def unpacked(body: bytes) -> bytes:
    return asyncio.run(unpack(body, max_bytes=MOST, deadline=float("inf")))
