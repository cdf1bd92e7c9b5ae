"""How long a connection waits: for a request, and for the rest of one."""

import asyncio
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from mlflow_sealed.server.asgi.connection import HEAD_TIMEOUT_S, Connection

KEEP_ALIVE_S = 120
CLOSED = "closed"


class Transport:
    """A client's connection that keeps what is written to it."""

    def __init__(self) -> None:
        self.written: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.written.append(data.partition(b"\r\n")[0])

    def is_closing(self) -> bool:
        return CLOSED in self.written

    def close(self) -> None:
        self.written.append(CLOSED)

    def get_extra_info(self, name: str) -> None:
        """Know nothing."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Never be asked."""
    del scope, receive, send
    raise AssertionError


@pytest.mark.parametrize(
    ("sent", "later_s", "expected"),
    [
        pytest.param(b"", HEAD_TIMEOUT_S + 1, [], id="nothing yet: a proxy's spare connection"),
        pytest.param(b"", KEEP_ALIVE_S + 1, [CLOSED], id="nothing for as long as any idle one"),
        pytest.param(b"GET / HT", HEAD_TIMEOUT_S - 1, [], id="half a head"),
        pytest.param(
            b"GET / HT",
            HEAD_TIMEOUT_S + 1,
            [b"HTTP/1.1 408 Request Timeout", CLOSED],
            id="half a head for too long",
        ),
    ],
)
def test_a_connection_waits_longer_for_a_request_than_for_the_rest_of_one(
    sent: bytes, later_s: float, expected: list[bytes | str]
) -> None:
    async def wait() -> list[bytes | str]:
        config = Config(app, log_level="critical", lifespan="off", timeout_keep_alive=KEEP_ALIVE_S)
        config.load()
        connection = Connection(config=config, server_state=ServerState(), app_state={})
        transport = Transport()
        connection.connection_made(transport)
        if sent:
            connection.data_received(sent)
        connection.check(asyncio.get_running_loop().time() + later_s)
        return transport.written

    assert asyncio.run(wait()) == expected
