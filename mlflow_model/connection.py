"""One client's connection: uvicorn's own, with a bound on how slowly a request may come."""

from typing import Any, Final

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
        super().connection_made(transport)
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
