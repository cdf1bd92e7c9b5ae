"""The body of a request, which ASGI gives in parts."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, Final

from mlflow_sealed.server.protocol.refusals import Refusal
from mlflow_sealed.server.settings import Settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

_SWALLOWED: Final = 16  # times what is allowed: a client that still sends would miss the answer


class Body:
    """The body of one request, which is read at most once and within bounds.

    A client reads its answer after it has sent what it has to send. So what is not looked at is
    received too, and a connection whose client has more to send than that is closed.

    Parameters
    ----------
    headers
        The request's.
    receive
        ASGI's.
    settings
        The bounds.

    Attributes
    ----------
    deadline
        When the request's time is up, in the event loop's time.
    ended
        Whether nothing more will come.
    """

    def __init__(
        self, headers: Mapping[bytes, bytes], receive: Receive, settings: Settings
    ) -> None:
        self.deadline = asyncio.get_running_loop().time() + settings.timeout_s
        self.ended = b"content-length" not in headers and b"transfer-encoding" not in headers
        self._receive = receive
        self._most = settings.max_body_bytes
        self._size = 0
        self._waits = headers.get(b"expect", b"").lower() == b"100-continue"

    async def read(self) -> bytes:
        """Return it, whole.

        Raises
        ------
        mlflow_sealed.server.protocol.refusals.Refusal
            If it has too many bytes (413), is not here in time (408), or never will be (400).
        """
        parts: list[bytes] = []
        await self._take(self._most, parts)
        if self._size > self._most:
            raise Refusal(
                413,
                f"the body has more than {self._most} bytes: send several requests, or let the "
                "server take more with SCORING_MAX_BODY_BYTES",
            )
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def discard(self) -> None:
        """Receive what was not read, unless the client waits to be asked for it."""
        if not self._waits:
            with suppress(Refusal):
                await self._take(0, [])

    async def _take(self, most: int, parts: list[bytes]) -> None:
        """Receive what comes, and keep the first so many bytes."""
        self._waits = False
        try:
            async with asyncio.timeout_at(self.deadline):
                while not self.ended and self._size <= _SWALLOWED * self._most:
                    message = await self._receive()
                    self.ended = not message.get("more_body", False)
                    if message["type"] == "http.disconnect":
                        raise Refusal(400, "the client went away")
                    part = message.get("body", b"")
                    self._size += len(part)
                    if self._size <= most:
                        parts.append(part)
        except TimeoutError:
            raise Refusal(408, "the body did not arrive in time") from None
