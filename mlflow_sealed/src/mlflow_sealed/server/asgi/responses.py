"""What a client gets, and MLflow's shape of an error."""

import json
from typing import Final, NamedTuple

from mlflow_sealed.server.mlflow_compat import ERROR_CODES
from mlflow_sealed.server.protocol.errors import RequestError
from mlflow_sealed.server.protocol.media_types import JSON

Headers = tuple[tuple[bytes, bytes], ...]

CLOSE: Final = (b"connection", b"close")


class Response(NamedTuple):
    """The response to one request.

    Attributes
    ----------
    status
        The HTTP status.
    body
        The body.
    content_type
        Its media type.
    headers
        More headers.
    rows
        How many rows were predicted.
    """

    status: int
    body: bytes
    content_type: bytes = JSON.encode()
    headers: Headers = ()
    rows: int = 0

    def all_headers(self, request_id: bytes) -> list[tuple[bytes, bytes]]:
        """Return the headers, including those that every response has."""
        return [
            (b"content-type", self.content_type),
            (b"content-length", b"%d" % len(self.body)),
            (b"x-request-id", request_id),
            (b"x-content-type-options", b"nosniff"),
            *self.headers,
        ]


def error_response(error: RequestError, request_id: bytes) -> Response:
    """Return an error in MLflow's shape, with the request's id, which the log has too."""
    content = {
        "error_code": ERROR_CODES.get(error.status, "INTERNAL_ERROR"),
        "message": str(error),
        "request_id": request_id.decode(),
    }
    return Response(error.status, json.dumps(content).encode(), headers=error.headers)
