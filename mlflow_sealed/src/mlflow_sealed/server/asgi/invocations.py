"""POST /invocations: predictions."""

import asyncio

from mlflow_sealed.server.asgi import content_coding
from mlflow_sealed.server.asgi.inline_policy import InlinePolicy
from mlflow_sealed.server.asgi.request import Request
from mlflow_sealed.server.asgi.responses import Response
from mlflow_sealed.server.offload import BusyError, EndedError, Offload
from mlflow_sealed.server.protocol import parquet
from mlflow_sealed.server.protocol.errors import RequestError
from mlflow_sealed.server.protocol.media_types import PARQUET, parse_media_type
from mlflow_sealed.server.result import Score, ScoringResult


class Invocations:
    """Responds with predictions.

    Parameters
    ----------
    score
        Scores a request in the event loop.
    offload
        Scores a request in the subprocess.
    policy
        Decides which of them it is.
    max_bytes
        The most bytes that an unpacked body may have.
    """

    def __init__(
        self, score: Score, offload: Offload, policy: InlinePolicy, *, max_bytes: int
    ) -> None:
        self._score = score
        self._offload = offload
        self._policy = policy
        self._max_bytes = max_bytes

    async def respond(self, request: Request) -> Response:
        """Respond to a request with the predictions for its rows."""
        media_type = parse_media_type(request.headers.get(b"content-type"))
        coding = request.headers.get(b"content-encoding")
        is_packed = coding is not None and content_coding.is_packed(coding)
        body = await request.body.read()
        if is_packed:
            deadline = request.body.deadline
            body = await content_coding.unpack(body, max_bytes=self._max_bytes, deadline=deadline)
        if self._policy.allows(media_type, len(body)):
            result = self._score(media_type, body)  # if the model hangs: see run/worker.py
        else:
            result = await self._score_offloaded(media_type, body, request.body.deadline)
        self._policy.learn(media_type, len(body), result)
        if result.status != 200:  # noqa: PLR2004 # OK
            raise RequestError(result.status, result.body.decode())
        return Response(200, result.body, rows=result.rows)

    async def _score_offloaded(
        self, media_type: str, body: bytes, deadline: float
    ) -> ScoringResult:
        await asyncio.sleep(0)  # only a task may wait: see application.run_at_once
        try:
            async with asyncio.timeout_at(deadline):
                return await self._offload.score(media_type, body)
        except TimeoutError:
            raise RequestError(504, "the answer took too long: send fewer rows") from None
        except BusyError:
            retry = ((b"retry-after", b"1"),)
            raise RequestError(503, "too many requests at once", headers=retry) from None
        except EndedError:
            if media_type == PARQUET:
                raise RequestError(400, parquet.UNREADABLE) from None
            raise RequestError(500, "the model's process ended before it answered") from None
