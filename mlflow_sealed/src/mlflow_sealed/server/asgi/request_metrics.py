"""Counts the requests for /metrics."""

from mlflow_sealed.server.asgi.delayed_write import DelayedWrite
from mlflow_sealed.server.asgi.request import INVOCATIONS, Handler, Request
from mlflow_sealed.server.asgi.responses import Response
from mlflow_sealed.server.metrics import Metrics


class RequestMetrics:
    """Counts each request, and how many predictions are under way.

    Parameters
    ----------
    handler
        Responds to the requests.
    metrics
        Where they are counted.
    """

    def __init__(self, handler: Handler, metrics: Metrics) -> None:
        self._handler = handler
        self._metrics = metrics
        self._delayed = DelayedWrite(metrics.write)

    async def respond(self, request: Request) -> Response:
        """Respond to a request, and count it."""
        is_prediction = request.route == INVOCATIONS and request.method == "POST"
        if is_prediction:
            self._metrics.begin()
            self._delayed.schedule()
        try:
            response = await self._handler.respond(request)
        finally:
            if is_prediction:
                self._metrics.end()
        self._metrics.count(request.route, response.status, response.rows, request.seconds())
        self._delayed.schedule()
        return response
