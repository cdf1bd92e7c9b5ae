"""Bodies that a client has packed with gzip: unpacked within the bounds of a body."""

import asyncio
import zlib
from typing import Final

from mlflow_sealed.server.asgi.inline_policy import SMALL_BYTES
from mlflow_sealed.server.asgi.request_body import too_large
from mlflow_sealed.server.protocol.errors import RequestError

_GZIP: Final = frozenset({"gzip", "x-gzip"})
_NONE: Final = frozenset({"", "identity"})
_WBITS: Final = 16 + zlib.MAX_WBITS  # gzip, with its header and checksum
_PART_BYTES: Final = 2**14  # zlib copies what it does not use of a part
_MEMBERS: Final = 4096  # each takes time, even if it is empty
_ACCEPTED: Final = ((b"accept-encoding", b"gzip"),)


def is_packed(header: bytes) -> bool:
    """Return whether a Content-Encoding says gzip; False for identity.

    Raises
    ------
    RequestError
        If it says something else (415). The message does not repeat what was sent.
    """
    coding = header.decode("latin-1").strip().lower()
    if coding in _GZIP:
        return True
    if coding in _NONE:
        return False
    raise RequestError(
        415, "expected no Content-Encoding but gzip: send the body unpacked", headers=_ACCEPTED
    )


async def unpack(body: bytes, *, max_bytes: int, deadline: float) -> bytes:
    """Return the unpacked body, without holding up the event loop.

    Parameters
    ----------
    body
        Packed with gzip.
    max_bytes
        The most bytes that it may have when it is unpacked.
    deadline
        When the request's time is up, in the event loop's time.

    Raises
    ------
    RequestError
        If it is not gzip (400), has too many bytes (413), or its time is up (408).
    """
    if len(body) <= SMALL_BYTES:
        try:
            return gunzip(body, max_bytes=min(SMALL_BYTES, max_bytes))
        except RequestError as error:
            if error.status != 413 or max_bytes <= SMALL_BYTES:  # noqa: PLR2004 # too large
                raise
    await asyncio.sleep(0)  # only a task may wait: see application.run_at_once
    try:
        async with asyncio.timeout_at(deadline):
            return await asyncio.to_thread(gunzip, body, max_bytes=max_bytes)
    except TimeoutError:
        raise RequestError(408, "the body was not unpacked in time") from None


def gunzip(body: bytes, *, max_bytes: int) -> bytes:
    """Return what gzip has packed: all members, one after the other.

    Raises
    ------
    RequestError
        If it is not gzip, is broken off, or has something else behind it (400), or has more than
        `max_bytes` (413).
    """
    unpacked, position, size = [], 0, 0
    for _ in range(_MEMBERS):
        member = zlib.decompressobj(_WBITS)
        while not member.eof:
            part = body[position : position + _PART_BYTES]
            if not part:
                raise RequestError(400, "the body is gzip that is broken off")
            try:
                found = member.decompress(part, max_bytes - size + 1)
            except zlib.error:
                raise RequestError(
                    400, "the body is not gzip, as its Content-Encoding says"
                ) from None
            size += len(found)
            if size > max_bytes:
                raise too_large(max_bytes)
            unpacked.append(found)
            position += len(part) - len(member.unused_data) - len(member.unconsumed_tail)
        if position == len(body):
            return b"".join(unpacked)
    raise RequestError(400, f"the body has more than {_MEMBERS} members of gzip: pack it as one")
