"""The pages: probes, counts, the OpenAPI document and the page that shows it."""

from collections.abc import Callable
from functools import partial
from typing import Final

import mlflow

from mlflow_sealed.server import docs_page
from mlflow_sealed.server.asgi.responses import Response
from mlflow_sealed.server.metrics import CONTENT_TYPE, Metrics
from mlflow_sealed.server.protocol.errors import RequestError

_TEXT: Final = b"text/plain; charset=utf-8"
_UP: Final = Response(200, b"\n", _TEXT)

Page = Callable[[], Response]


class Readiness:
    """Whether further requests should be sent here.

    Attributes
    ----------
    draining
        Whether the server is about to end.
    """

    def __init__(self) -> None:
        self.draining = False

    def page(self) -> Response:
        """Return the page /ready."""
        if self.draining:
            raise RequestError(503, "this server is about to end")
        return _UP


def pages(document: bytes, metrics: Metrics | None, readiness: Readiness) -> dict[str, Page]:
    """Return the pages by their paths.

    Parameters
    ----------
    document
        The OpenAPI document, as JSON.
    metrics
        None: there is no /metrics.
    readiness
        What /ready says.
    """
    counted: dict[str, Page] = {"/metrics": partial(_metrics, metrics)} if metrics else {}
    return {
        "/ping": lambda: _UP,
        "/health": lambda: _UP,
        "/version": partial(Response, 200, mlflow.__version__.encode(), _TEXT),
        "/ready": readiness.page,
        "/openapi.json": partial(Response, 200, document),
        **counted,
        **{path: partial(_docs, path) for path in docs_page.PAGES},
    }


def _metrics(metrics: Metrics) -> Response:
    return Response(200, metrics.page(), CONTENT_TYPE.encode())


def _docs(path: str) -> Response:
    body, content_type = docs_page.page(path)
    return Response(200, body, content_type, docs_page.HEADERS)
