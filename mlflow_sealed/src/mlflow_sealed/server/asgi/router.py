"""Which handler responds to which path and method."""

from collections.abc import Collection, Mapping

from mlflow_sealed.server.asgi.pages import Page
from mlflow_sealed.server.asgi.request import INVOCATIONS, Handler, Request
from mlflow_sealed.server.asgi.responses import Response
from mlflow_sealed.server.protocol.errors import RequestError
from mlflow_sealed.server.settings import StartError


class Router:
    """Gives each request to a page or to the predictions.

    Parameters
    ----------
    invocations
        Responds to POST /invocations.
    pages
        Respond to GET and HEAD, by their paths.

    Attributes
    ----------
    paths
        All paths that there are.
    """

    def __init__(self, invocations: Handler, pages: Mapping[str, Page]) -> None:
        self._invocations = invocations
        self._pages = pages
        self.paths = frozenset({INVOCATIONS, *pages})

    async def respond(self, request: Request) -> Response:
        """Respond to a request, or raise a 404 or 405."""
        if request.route == INVOCATIONS:
            _check_method(request, "POST")
            return await self._invocations.respond(request)
        page = self._pages.get(request.route)
        if page is None:
            raise RequestError(404, "there is nothing here: see /docs")
        _check_method(request, "GET", "HEAD")
        return page()


def routes(paths: Collection[str], further: Mapping[str, str]) -> dict[str, str]:
    """Return the route of each path: itself, or what a further path stands for.

    Raises
    ------
    mlflow_sealed.server.settings.StartError
        If a further path already has another meaning.
    """
    for path, route in further.items():
        if path in paths and path != route and INVOCATIONS in {path, route}:
            raise StartError(
                f"the path {path!r} cannot stand for {route}: this server answers it otherwise"
            )
    return {**further, **{path: path for path in paths}}


def _check_method(request: Request, *allowed: str) -> None:
    if request.method not in allowed:
        raise RequestError(
            405,
            "this method is not allowed here: see /docs",
            headers=((b"allow", ", ".join(allowed).encode()),),
        )
