"""One client's connection: uvicorn's own, with a bound on how slowly a request may come.

An answer is sent in one piece: uvicorn alone makes a system call, and a packet, of its head.
"""

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

if TYPE_CHECKING:
    from mlflow_sealed.server.asgi.replies import Sent

HEAD_TIMEOUT_S: Final = 10
"""How long the head of a request may take to arrive, in seconds."""

HEAD_BYTES: Final = 2**16
"""How many bytes it may have."""

_INVALID: Final = "Invalid HTTP request received."  # uvicorn's words


class Connection(HttpToolsProtocol):
    """A connection that is closed when the head of its next request is too slow or too large.

    A request may offer to go on in another protocol, as HTTP/2 or a WebSocket. A server may ignore
    that (RFC 9110, 7.8), and this one does: see `_read`.

    A request that is here whole is offered to the application's ``at_once``, and goes the way of
    ASGI only where that has no answer: see `mlflow_sealed.server.asgi.application.Application.at_once`.
    """

    _since: float | None = None  # when the head that has not come whole began
    _size = 0
    _held: list[bytes] | None = None  # the body so far of a request that may be answered at once
    _quiet_since: float | None = None  # when one was
    _is_over = False  # what comes is not read any more

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(Joining(transport))  # type: ignore[arg-type]
        self.flow = Flow(self.transport, waiting=self.pipeline)
        self._since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Take what comes; the parser calls the methods below."""
        if self._is_over:
            return
        self._quiet_since = None
        if self._since is None and self._idle():
            self._since = self.loop.time()
            self._size = 0
        self._size += len(data)
        self._unset_keepalive_if_required()
        self._read(data)
        if self._since is not None and self._size > HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large")
        if self._held is not None and not self.transport.is_closing():
            self._hand_over()

    def on_headers_complete(self) -> None:
        """Hold the request until it is here, or hand it over to the application."""
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                self._refuse_tunnel()
            return
        self._since = None
        if self._may_be_answered_at_once():
            self._held = []
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if self._held is None:
            super().on_body(body)
        else:
            self._held.append(body)

    def on_message_complete(self) -> None:
        """Answer, if that can be done at once."""
        if self._held is not None:
            body = b"".join(self._held)
            sent = self.app.at_once(dict(self.headers), body)
            if sent is not None:
                self._held = None
                self._send(sent)
                return
            self._hand_over()
        if not self.parser.should_upgrade() or self._is_over:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Send what is left: an answer to HEAD is a head alone."""
        cast("Joining", self.transport).flush()
        super().on_response_complete()

    def check(self, now: float) -> None:
        """Close the connection if it is quiet, or the head of a request slow, for too long.

        Called once a second. uvicorn sets a timer for each answer instead.
        """
        if self._since is not None and now - self._since > HEAD_TIMEOUT_S:
            self._refuse(b"408 Request Timeout")
        elif self._quiet_since is not None and now - self._quiet_since > self.timeout_keep_alive:
            self.transport.close()

    def _read(self, data: bytes) -> None:
        """Let the parser read, and read on after an offer as if there had been none.

        The parser takes what follows the head of such a request for the other protocol's. So
        another parser gets this head without the offer, and then what follows.
        """
        rest: bytes | memoryview = data
        try:
            while (end := self._feed(rest)) is not None and not self._is_over:
                rest = memoryview(rest)[end:]
                head = self._head_without_offer()
                self.parser = HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
                self.parser.feed_data(head)
        except (HttpParserError, HttpParserUpgrade):
            self.logger.warning(_INVALID)
            self.send_400_response(_INVALID)

    def _feed(self, data: bytes | memoryview) -> int | None:
        """Return where a head with an offer ended, at which the parser stops, or None."""
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as offer:
            return int(offer.args[0])
        return None

    def _head_without_offer(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _refuse_tunnel(self) -> None:
        """Let the application say that CONNECT is not allowed; what follows is not HTTP."""
        self._since = None
        self._is_over = True
        self.url = b"/invocations"  # CONNECT has no path
        super().on_headers_complete()
        self.cycle.keep_alive = False

    def _may_be_answered_at_once(self) -> bool:
        return (
            self.url == b"/invocations"
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.expect_100_continue
            and self._idle()
            and not self.flow.write_paused  # a client that does not read is waited for
        )

    def _hand_over(self) -> None:
        """Give a request that was held to the application, as far as it has come."""
        held, self._held = self._held or [], None
        super().on_headers_complete()
        for part in held:
            super().on_body(part)

    def _send(self, sent: "Sent") -> None:
        headers = b"".join(
            [b"%b: %b\r\n" % line for line in (*self.server_state.default_headers, *sent.headers)]
        )
        head = b"%b%b\r\n" % (STATUS_LINE[sent.status], headers)
        cast("Joining", self.transport).write_whole(head + sent.body)
        self.server_state.total_requests += 1
        self._quiet_since = self.loop.time()

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _refuse(self, status: bytes) -> None:
        self._since = None
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 %b\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % status
            )
            self.transport.close()


class Flow(FlowControl):
    """Reads no more from a client as long as a request of its waits for its turn.

    uvicorn alone reads on with each answer: a client that sends requests by the thousand, or reads
    no answer, would fill the memory.

    Parameters
    ----------
    transport
        The connection's.
    waiting
        The requests that have come and were not begun.
    """

    def __init__(self, transport: asyncio.Transport, *, waiting: Collection[object]) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """Read on, if nothing waits."""
        if not self._waiting:
            super().resume_reading()


class Joining:
    """A transport that sends the head of an answer together with what follows.

    What is written once the client has gone is dropped: uvicorn alone asks the last request of a
    connection whether it has, and logs an error with a stack trace for those before it.

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
            self.write_whole(head + data)

    def write_whole(self, answer: bytes) -> None:
        """Send an answer, its head and its body."""
        if not self._transport.is_closing():
            self._transport.write(answer)

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
