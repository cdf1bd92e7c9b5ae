"""What the server uses of uvicorn's insides is as it was when it was read."""

import asyncio
import hashlib
import inspect
from collections.abc import Callable
from typing import Any, Final

import pytest
from uvicorn import Config, Server
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from mlflow_sealed.server.uvicorn_compat import INVALID, BackPressure, UvicornConnection

READ: Final[dict[Callable[..., Any], str]] = {
    FlowControl.resume_reading: "a0429d30857e8488",
    HttpToolsProtocol.__init__: "4f08999410347141",
    HttpToolsProtocol.connection_made: "6efb565ff3d36b91",
    HttpToolsProtocol.connection_lost: "c91a4c9bf2e29c55",
    HttpToolsProtocol.data_received: "010a7ae59a5d3b1a",
    HttpToolsProtocol.on_message_begin: "96d377fdc7c2baef",
    HttpToolsProtocol.on_headers_complete: "1ea8589acfad92d8",
    HttpToolsProtocol.on_body: "dba9c32aeba35b6a",
    HttpToolsProtocol.on_message_complete: "1fbad42dc31fc01f",
    HttpToolsProtocol.on_response_complete: "64e254f28e389e76",
    HttpToolsProtocol.shutdown: "d7351fa33f00d430",
    Server.startup: "2aa1d70a244bfcf2",
    Server.shutdown: "9b33c50562992b1e",
    Server.on_tick: "60ea49b06ccf68c1",
}
"""What is overridden or relied upon, with the start of its source's SHA-256."""

POST: Final = b"POST /invocations HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n{}"


class Transport:
    """A client's connection that keeps what is written to it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.reading = True

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """Stay open, to see what is written."""

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_extra_info(self, name: str) -> None:
        """Know nothing."""


async def answer(scope: Any, receive: Any, send: Any) -> None:
    del scope, receive
    await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
    await send({"type": "http.response.body", "body": b"body"})


def connected(protocol: type[HttpToolsProtocol]) -> tuple[HttpToolsProtocol, Transport]:
    config = Config(answer, log_level="critical", lifespan="off")
    config.load()
    connection = protocol(config=config, server_state=ServerState(), app_state={})
    transport = Transport()
    connection.connection_made(transport)  # type: ignore[arg-type]
    return connection, transport


def written(protocol: type[HttpToolsProtocol], data: bytes) -> list[bytes]:
    """Return what a connection writes for what it receives."""

    async def ask() -> list[bytes]:
        connection, transport = connected(protocol)
        connection.data_received(data)
        await asyncio.sleep(0.05)
        if connection.timeout_keep_alive_task:
            connection.timeout_keep_alive_task.cancel()
        return transport.written

    return asyncio.run(ask())


@pytest.mark.parametrize("function", READ, ids=lambda function: function.__qualname__)
def test_the_source_of_what_is_overridden_is_the_one_that_was_read(
    function: Callable[..., Any],
) -> None:
    """Where this fails: read what has changed, mend uvicorn_compat.py, and note the new digest."""
    digest = hashlib.sha256(inspect.getsource(function).encode()).hexdigest()
    assert digest[:16] == READ[function]


def test_a_head_is_written_together_with_its_body() -> None:
    [whole] = written(UvicornConnection, POST)
    assert whole.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"body" in whole


def test_control_uvicorn_writes_them_apart() -> None:
    assert len(written(HttpToolsProtocol, POST)) == 2


def test_a_response_without_a_task_looks_like_one_with_a_task() -> None:
    async def write() -> list[bytes]:
        connection, transport = connected(UvicornConnection)
        assert isinstance(connection, UvicornConnection)
        connection.server_state.default_headers = [(b"date", b"today")]
        connection.write_response(404, [(b"a", b"b")], b"body")
        assert connection.server_state.total_requests == 1
        return transport.written

    assert asyncio.run(write()) == [
        STATUS_LINE[404] + b"date: today\r\na: b\r\n\r\nbody",
    ]


def test_an_invalid_request_gets_uvicorns_own_words() -> None:
    [answered] = written(HttpToolsProtocol, b"nonsense\r\n\r\n")
    assert answered.endswith(INVALID.encode())


def test_a_client_is_not_read_while_one_of_its_requests_waits() -> None:
    async def read(flow: type[FlowControl], **waiting: Any) -> bool:
        transport = Transport()
        control = flow(transport, **waiting)  # type: ignore[arg-type]
        control.pause_reading()
        control.resume_reading()
        return transport.reading

    assert not asyncio.run(read(BackPressure, waiting=["a request"]))
    assert asyncio.run(read(BackPressure, waiting=[]))
    assert asyncio.run(read(FlowControl))  # the control
