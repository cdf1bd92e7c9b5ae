"""What the server uses of uvicorn that is not part of its public interface.

tests/mlflow_sealed/server/test_uvicorn_compat.py fails when uvicorn changes it.
"""

import asyncio
import socket
from collections.abc import Collection, Iterable
from typing import Any, Final, cast

from httptools import HttpParserUpgrade, HttpRequestParser
from uvicorn import Server
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

INVALID: Final = "Invalid HTTP request received."  # uvicorn's words


class UvicornConnection(HttpToolsProtocol):
    """uvicorn's connection, with what a subclass needs of its insides.

    The parser calls the methods ``on_…``. A response's head and body are written together, and the
    timer that uvicorn sets after each response is not used: see `asgi.connection.Connection.check`.
    """

    def connection_made(self, transport: Any) -> None:
        """Take a new client's transport."""
        super().connection_made(JoiningTransport(transport))  # type: ignore[arg-type]
        self.flow = BackPressure(self.transport, waiting=self.pipeline)

    def on_response_complete(self) -> None:
        """Send what is left: the response to HEAD is a head alone."""
        cast("JoiningTransport", self.transport).flush()
        super().on_response_complete()

    def start_cycle(self) -> None:
        """Start ASGI's way for the request whose head is here, in a task of its own."""
        super().on_headers_complete()

    def is_idle(self) -> bool:
        """Return whether no request is under way in a task."""
        return self.cycle is None or self.cycle.response_complete

    def is_simple(self) -> bool:
        """Return whether a request needs nothing but its response: no 100, no close after it."""
        return (
            self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.expect_100_continue
            and not self.flow.write_paused  # a client that does not read is waited for
        )

    def write_response(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes
    ) -> None:
        """Write a response that no task has made, and count it."""
        lines = [b"%b: %b\r\n" % line for line in (*self.server_state.default_headers, *headers)]
        head = b"%b%b\r\n" % (STATUS_LINE[status], b"".join(lines))
        cast("JoiningTransport", self.transport).write_whole(head, body)
        self.server_state.total_requests += 1

    def stop_keep_alive_timer(self) -> None:
        """Stop the timer that uvicorn has set after the last response."""
        self._unset_keepalive_if_required()

    def close_after_response(self) -> None:
        """Close the connection once the request that is under way has its response."""
        self.cycle.keep_alive = False

    def feed(self, data: bytes | memoryview) -> int | None:
        """Let the parser read. Return where a head with an offer to upgrade ended, or None."""
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as offer:
            return int(offer.args[0])
        return None

    def restart_parser(self, head: bytes) -> None:
        """Replace the parser by a new one, which has read another head."""
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        self.parser.feed_data(head)

    def reject_invalid(self) -> None:
        """Respond with uvicorn's 400, and close."""
        self.logger.warning(INVALID)
        self.send_400_response(INVALID)


class BackPressure(FlowControl):
    """Reads no more from a client while one of its requests waits for its turn.

    uvicorn reads on after each response: a client that sends requests by the thousand, or reads no
    response, would fill the memory.

    Parameters
    ----------
    transport
        The connection's.
    waiting
        The requests that have arrived and have not been started.
    """

    def __init__(self, transport: asyncio.Transport, *, waiting: Collection[object]) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """Read on, if nothing waits."""
        if not self._waiting:
            super().resume_reading()


class JoiningTransport:
    """A transport that writes the head of a response together with its body.

    uvicorn writes them apart: two system calls, and two packets. It is a trick, see
    benchmarks/tricks.py. What is written after the client has gone is dropped: uvicorn checks that
    for the last request of a connection only, and logs an error with a stack trace for the others.

    Parameters
    ----------
    transport
        The real one, which does everything else.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        """Write data; the head of a response waits for its body."""
        if data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100"):
            self.flush()
            self._head = data
        else:
            head, self._head = self._head, b""
            self.write_whole(head, data)

    def write_whole(self, head: bytes, body: bytes) -> None:
        """Write a response, its head and its body."""
        if not self._transport.is_closing():
            self._transport.write(head + body)

    def flush(self) -> None:
        """Write a head that has no body."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Write what is left, and close."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        """Return what the real transport has."""
        return getattr(self._transport, name)


class UvicornServer(Server):
    """uvicorn's server, with what a subclass needs of its insides."""

    @property
    def connections(self) -> list[Any]:
        """The open connections, each of the protocol class of the configuration."""
        return list(self.server_state.connections)

    def stop_listening(self) -> None:
        """Accept no more connections."""
        for listening in self.servers:
            listening.close()

    async def adopt(self, accepted: socket.socket) -> None:
        """Serve a connection that something else has accepted."""
        await asyncio.get_running_loop().connect_accepted_socket(self._protocol, accepted)

    def announce_close(self) -> None:
        """Say ``connection: close`` in every response from now on."""
        self.server_state.default_headers = [
            *self.server_state.default_headers,
            (b"connection", b"close"),
        ]

    def _protocol(self) -> asyncio.Protocol:
        protocol: Any = self.config.http_protocol_class
        made: asyncio.Protocol = protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made
