"""Predictions: what a client gets where the subprocess ends while it scores a request."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from mlflow_sealed.server import forks
from mlflow_sealed.server.asgi.inline_policy import InlinePolicy
from mlflow_sealed.server.asgi.invocations import Invocations
from mlflow_sealed.server.asgi.request import INVOCATIONS, Request
from mlflow_sealed.server.asgi.request_body import WholeBody
from mlflow_sealed.server.asgi.responses import Response
from mlflow_sealed.server.offload import Offload
from mlflow_sealed.server.protocol.errors import RequestError
from mlflow_sealed.server.protocol.media_types import JSON, PARQUET
from mlflow_sealed.server.protocol.parquet import UNREADABLE
from mlflow_sealed.server.result import ScoringResult

END = b"end"


def work(media_type: str, body: bytes) -> ScoringResult:
    """Predict, or end as a process does that a broken file has ended."""
    del media_type
    if body == END:
        os.kill(os.getpid(), signal.SIGSEGV)
    return ScoringResult(200, 1, body)


@pytest.fixture
def fork_server() -> Iterator[forks.ForkClient]:
    made = forks.fork_server(work)
    yield made
    made.close()
    os.wait()


@pytest.mark.parametrize(
    ("media_type", "status", "message"),
    [
        (PARQUET, 400, UNREADABLE),
        (JSON, 500, "the model's process ended before it answered"),
    ],
)
def test_a_request_that_ends_the_subprocess_gets_its_error_and_the_next_its_predictions(
    fork_server: forks.ForkClient, media_type: str, status: int, message: str
) -> None:
    async def ask(body: bytes) -> Response:
        headers = {b"content-type": media_type.encode()}
        whole = WholeBody(body, max_bytes=100)
        return await invocations.respond(Request("POST", INVOCATIONS, headers, whole, b"id", 0))

    async def ask_twice() -> None:
        with pytest.raises(RequestError) as caught:
            await ask(END)
        assert (caught.value.status, str(caught.value)) == (status, message)
        assert (await ask(b"rows")).body == b"rows"
        offload.close()

    offload = Offload(fork_server.spawn, max_requests=1)
    invocations = Invocations(work, offload, InlinePolicy(0, 0), max_bytes=100)
    asyncio.run(ask_twice())
