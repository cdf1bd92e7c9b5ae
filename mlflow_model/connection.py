"""One client's connection: uvicorn's own, with a bound on how slowly a request may come.

An answer is sent in one piece: uvicorn alone makes a system call, and a packet, of its head.
"""

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_TIMEOUT_S: Final = 10
"""How long the head of a request may take to arrive, in seconds."""

HEAD_BYTES: Final = 2**16
"""How many bytes it may have."""


class Connection(HttpToolsProtocol):
    """A connection that is closed when the head of its next request is too slow or too large."""

    _since: float | None = None  # when the head that has not come whole began
    _size = 0

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(Joining(transport))  # type: ignore[arg-type]
        self._since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Take what comes; the parser calls the methods below."""
        if self._since is None and self._idle():
            self._since = self.loop.time()
            self._size = 0
        self._size += len(data)
        super().data_received(data)
        if self._since is not None and self._size > HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large")

    def on_headers_complete(self) -> None:
        """Hand over to the application, which bounds the rest."""
        self._since = None
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Send what is left: an answer to HEAD is a head alone."""
        cast("Joining", self.transport).flush()
        super().on_response_complete()

    def check(self, now: float) -> None:
        """Close the connection if the head of a request takes too long; called once a second."""
        if self._since is not None and now - self._since > HEAD_TIMEOUT_S:
            self._refuse(b"408 Request Timeout")

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _refuse(self, status: bytes) -> None:
        self._since = None
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 %b\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % status
            )
            self.transport.close()


class Joining:
    """A transport that sends the head of an answer together with what follows.

    Parameters
    ----------
    transport
        The real one. All but what is here is its own.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        """Send data; the head of an answer waits for its body."""
        if data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100"):
            self.flush()
            self._head = data
        else:
            head, self._head = self._head, b""
            self._transport.write(head + data)

    def flush(self) -> None:
        """Send a head that has no body."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Send what was written, and close."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        """Return what the real transport has."""
        return getattr(self._transport, name)
