"""One client's connection: HTTP with a bound on how slowly a request may come."""

from typing import Any, Final

from httptools import HttpParserError, HttpParserUpgrade

from mlflow_sealed.server.asgi.request import INVOCATIONS
from mlflow_sealed.server.uvicorn_compat import UvicornConnection

HEAD_TIMEOUT_S: Final = 10
"""How long the head of a request may take to arrive, in seconds."""

HEAD_BYTES: Final = 2**16
"""How many bytes it may have."""

_URL: Final = INVOCATIONS.encode()


class Connection(UvicornConnection):
    """A connection that is closed if the head of its next request is too slow or too large.

    A request may offer to upgrade to another protocol, such as HTTP/2 or WebSocket. A server may
    ignore that (RFC 9110, 7.8), and this one does: see `_read`.

    A request that is here whole is offered to the application's ``respond_at_once``. If that has to
    wait, the request goes ASGI's way: see `mlflow_sealed.server.asgi.application.Application`.
    """

    _head_since: float | None = None  # when the head began that is not complete yet
    _head_size = 0
    _held: list[bytes] | None = None  # the body so far of a request that may be answered at once
    _idle_since: float | None = None  # when the last one was
    _is_over = False  # nothing more is read

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request, as long as for any other.

        A proxy may open connections before it needs them. It would take a 408 that comes unasked
        for the response to its next request.
        """
        super().connection_made(transport)
        self._idle_since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Take what comes; the parser calls the methods below."""
        if self._is_over:
            return
        self._idle_since = None
        if self._head_since is None and self.is_idle():
            self._head_since = self.loop.time()
            self._head_size = 0
        self._head_size += len(data)
        self.stop_keep_alive_timer()
        self._read(data)
        if self._head_since is not None and self._head_size > HEAD_BYTES:
            self._reject(b"431 Request Header Fields Too Large")
        if self._held is not None and not self.transport.is_closing():
            self._hand_over()

    def on_headers_complete(self) -> None:
        """Hold the request until it is here whole, or hand it over to the application."""
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                self._reject_tunnel()
            return
        self._head_since = None
        if self._may_respond_at_once():
            self._held = []
        else:
            self.start_cycle()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if self._held is None:
            super().on_body(body)
        else:
            self._held.append(body)

    def on_message_complete(self) -> None:
        """Respond, if that can be done at once."""
        if self._held is not None:
            found = self.app.respond_at_once(dict(self.headers), b"".join(self._held))
            if found is not None:
                request, response = found
                self._held = None
                headers = response.all_headers(request.id)
                self.write_response(response.status, headers, response.body)
                self.app.note(request, response)
                self._idle_since = self.loop.time()
                return
            self._hand_over()
        if not self.parser.should_upgrade() or self._is_over:
            super().on_message_complete()

    def check(self, now: float) -> None:
        """Close the connection if it is idle, or the head of a request slow, for too long.

        Called once a second, because a timer for each response costs more.
        """
        if self._head_since is not None and now - self._head_since > HEAD_TIMEOUT_S:
            self._reject(b"408 Request Timeout")
        elif self._idle_since is not None and now - self._idle_since > self.timeout_keep_alive:
            self.transport.close()

    def _read(self, data: bytes) -> None:
        """Let the parser read, and read on after an offer to upgrade as if there had been none.

        The parser takes what follows the head of such a request for the other protocol's. So a new
        parser gets this head without the offer, and then what follows.
        """
        rest: bytes | memoryview = data
        try:
            while (end := self.feed(rest)) is not None and not self._is_over:
                rest = memoryview(rest)[end:]
                self.restart_parser(self._head_without_offer())
        except (HttpParserError, HttpParserUpgrade):
            self.reject_invalid()

    def _head_without_offer(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _reject_tunnel(self) -> None:
        """Let the application say that CONNECT is not allowed; what follows is not HTTP."""
        self._head_since = None
        self._is_over = True
        self.url = _URL  # CONNECT has no path
        self.start_cycle()
        self.close_after_response()

    def _may_respond_at_once(self) -> bool:
        return (
            self.url == _URL
            and self.parser.get_method() == b"POST"
            and self.is_simple()
            and self.is_idle()
            and not self.app.is_draining()  # a response has to close the connection then
        )

    def _hand_over(self) -> None:
        """Give a request that was held to the application, as far as it has arrived."""
        held, self._held = self._held or [], None
        self.start_cycle()
        for part in held:
            super().on_body(part)

    def _reject(self, status: bytes) -> None:
        self._head_since = None
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 %b\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % status
            )
            self.transport.close()
