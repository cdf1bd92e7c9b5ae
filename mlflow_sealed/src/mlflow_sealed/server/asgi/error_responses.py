"""Turns exceptions into error responses."""

from mlflow_sealed.server.asgi.request import Handler, Request
from mlflow_sealed.server.asgi.responses import Response, error_response
from mlflow_sealed.server.protocol.errors import RequestError


class ErrorResponses:
    """Responds with an error if a handler raises; a failure of the server itself is a 500.

    Parameters
    ----------
    handler
        Responds to the requests, or raises.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def respond(self, request: Request) -> Response:
        """Respond to a request; raises nothing."""
        try:
            return await self._handler.respond(request)
        except RequestError as error:
            return error_response(error, request.id)
        except Exception as error:  # noqa: BLE001 # uvicorn would log a stack trace
            failure = RequestError(500, f"the server failed with {type(error).__name__}")
            return error_response(failure, request.id)
