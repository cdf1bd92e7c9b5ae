"""API keys: who may ask."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from mlflow_sealed.server.asgi.request import INVOCATIONS, Handler, Request
from mlflow_sealed.server.asgi.responses import Response
from mlflow_sealed.server.protocol.errors import RequestError

_PROTECTED: Final = frozenset({("POST", INVOCATIONS), ("GET", "/metrics"), ("HEAD", "/metrics")})


class ApiKeys:
    """Lets only requests with a key through to predictions and counts; other pages are open.

    Parameters
    ----------
    handler
        Responds to requests with a key.
    keys
        The keys. With none, every request is let through.
    """

    def __init__(self, handler: Handler, keys: Sequence[bytes]) -> None:
        self._handler = handler
        self._digests = [hashlib.sha256(key).digest() for key in keys]

    async def respond(self, request: Request) -> Response:
        """Respond to a request, or raise a 401."""
        if (
            self._digests
            and (request.method, request.route) in _PROTECTED
            and not self._has_key(request.headers)
        ):
            raise RequestError(
                401,
                "an API key is needed: send it in X-API-Key, or as a Bearer token",
                headers=((b"www-authenticate", b"Bearer"),),
            )
        return await self._handler.respond(request)

    def _has_key(self, headers: Mapping[bytes, bytes]) -> bool:
        """Return whether a key is sent, in a time that does not depend on the keys."""
        sent = headers.get(b"x-api-key")
        if sent is None:
            scheme, _, sent = headers.get(b"authorization", b"").partition(b" ")
            if scheme.lower() != b"bearer":
                return False
        digest = hashlib.sha256(sent.strip()).digest()
        return any([hmac.compare_digest(digest, key) for key in self._digests])  # noqa: C419 # all
