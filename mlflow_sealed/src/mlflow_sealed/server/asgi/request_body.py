"""The body of a request: in parts as ASGI gives it, or whole."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, Final, Protocol

from mlflow_sealed.server.protocol.errors import RequestError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

_DISCARDED_TIMES: Final = 16  # of the limit: a client reads its response only once all is sent


class Body(Protocol):
    """The body of one request."""

    deadline: float
    """When the request's time is up, in the event loop's time."""

    async def read(self) -> bytes:
        """Return it, whole.

        Raises
        ------
        mlflow_sealed.server.protocol.errors.RequestError
            If it has too many bytes (413), does not arrive in time (408) or at all (400).
        """


class WholeBody:
    """A body that is here already.

    Parameters
    ----------
    content
        The body.
    max_bytes
        The most bytes that it may have.
    """

    deadline = float("inf")

    def __init__(self, content: bytes, *, max_bytes: int) -> None:
        self._content = content
        self._max_bytes = max_bytes

    async def read(self) -> bytes:
        """Return it."""
        if len(self._content) > self._max_bytes:
            raise too_large(self._max_bytes)
        return self._content


class StreamedBody:
    """A body that arrives in parts. It is read at most once and within bounds.

    A client reads the response after it has sent the whole body. So a body that nobody reads is
    received too, up to a bound; beyond that, the connection has to be closed.

    Parameters
    ----------
    headers
        The request's.
    receive
        ASGI's.
    max_bytes
        The most bytes that it may have.
    timeout_s
        How long the request may take, in seconds.

    Attributes
    ----------
    ended
        Whether nothing more will come.
    """

    def __init__(
        self,
        headers: Mapping[bytes, bytes],
        receive: Receive,
        *,
        max_bytes: int,
        timeout_s: float,
    ) -> None:
        self.deadline = asyncio.get_running_loop().time() + timeout_s
        self.ended = b"content-length" not in headers and b"transfer-encoding" not in headers
        self._receive = receive
        self._max_bytes = max_bytes
        self._size = 0
        self._waits_for_continue = headers.get(b"expect", b"").lower() == b"100-continue"

    async def read(self) -> bytes:
        """Return it, once it has arrived."""
        parts: list[bytes] = []
        await self._receive_parts(self._max_bytes, parts)
        if self._size > self._max_bytes:
            raise too_large(self._max_bytes)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def discard(self) -> None:
        """Receive what nobody has read, unless the client waits for "100 Continue" to send it."""
        if not self._waits_for_continue:
            with suppress(RequestError):
                await self._receive_parts(0, [])

    async def _receive_parts(self, kept_bytes: int, parts: list[bytes]) -> None:
        """Receive the body, and keep the first bytes of it."""
        self._waits_for_continue = False
        try:
            async with asyncio.timeout_at(self.deadline):
                while not self.ended and self._size <= _DISCARDED_TIMES * self._max_bytes:
                    message = await self._receive()
                    self.ended = not message.get("more_body", False)
                    if message["type"] == "http.disconnect":
                        raise RequestError(400, "the client went away")
                    part = message.get("body", b"")
                    self._size += len(part)
                    if self._size <= kept_bytes:
                        parts.append(part)
        except TimeoutError:
            raise RequestError(408, "the body did not arrive in time") from None


def too_large(max_bytes: int) -> RequestError:
    """Return the error for a body with too many bytes."""
    return RequestError(
        413,
        f"the body has more than {max_bytes} bytes: send several requests, or let the "
        "server take more with SCORING_MAX_BODY_BYTES",
    )
