"""What is sent for a request, and the replies that are always the same."""

import json
from typing import Final, NamedTuple

from mlflow_sealed.server import openapi
from mlflow_sealed.server.protocol.rows import JSON


class Reply(NamedTuple):
    """What is sent for one request."""

    status: int
    body: bytes
    content_type: bytes = JSON.encode()
    headers: tuple[tuple[bytes, bytes], ...] = ()
    rows: int = 0


class Sent(NamedTuple):
    """An answer as it goes to the client."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


CLOSE: Final = ((b"connection", b"close"),)
MORE_HEADERS: Final = {503: ((b"retry-after", b"1"),)}
UNAUTHENTICATED: Final = Reply(
    401,
    b"an API key is needed: send it in X-API-Key, or as a Bearer token",
    headers=((b"www-authenticate", b"Bearer"),),
)


def error(reply: Reply, request_id: bytes) -> Reply:
    """Return an error in MLflow's shape, with the id that the log has too."""
    body = {
        "error_code": openapi.CODES.get(reply.status, "INTERNAL_ERROR"),
        "message": reply.body.decode(),
        "request_id": request_id.decode(),
    }
    return reply._replace(body=json.dumps(body).encode())
