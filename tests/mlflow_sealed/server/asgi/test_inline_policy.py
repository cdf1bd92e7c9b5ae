"""Where a request is scored: in the event loop, or in the subprocess."""

import pytest

from mlflow_sealed.server.asgi.inline_policy import SMALL_BYTES, InlinePolicy
from mlflow_sealed.server.protocol.media_types import CSV, JSON, PARQUET
from mlflow_sealed.server.result import ScoringResult


def result(seconds: float, status: int = 200) -> ScoringResult:
    return ScoringResult(status, 1, b"", seconds)


@pytest.mark.parametrize(
    ("media_type", "size", "allowed"),
    [
        (JSON, SMALL_BYTES, True),
        (CSV, 1, True),
        (JSON, SMALL_BYTES + 1, False),
        (PARQUET, 1, False),
    ],
)
def test_a_quick_model_scores_small_text_in_the_event_loop(
    media_type: str, size: int, *, allowed: bool
) -> None:
    assert InlinePolicy(5, 0.001).allows(media_type, size) == allowed


@pytest.mark.parametrize(("inline_ms", "seconds"), [(5, 0.005), (5, 1.0), (0, 0.0)])
def test_a_slow_model_scores_nothing_there(inline_ms: int, seconds: float) -> None:
    assert not InlinePolicy(inline_ms, seconds).allows(JSON, 1)


def test_a_model_that_becomes_slow_or_quick_moves() -> None:
    policy = InlinePolicy(5, 0.001)
    for _ in range(20):
        policy.learn(JSON, 1, result(1.0))
    assert not policy.allows(JSON, 1)
    for _ in range(40):
        policy.learn(JSON, 1, result(0.001))
    assert policy.allows(JSON, 1)


def test_one_stall_does_not_make_it_slow() -> None:
    policy = InlinePolicy(5, 0.001)
    policy.learn(JSON, 1, result(60.0))
    assert policy.allows(JSON, 1)


@pytest.mark.parametrize(
    ("size", "status"), [(SMALL_BYTES + 1, 200), (1, 400)], ids=["a large request", "an error"]
)
def test_some_say_nothing_about_it(size: int, status: int) -> None:
    policy = InlinePolicy(5, 0.001)
    for _ in range(100):
        policy.learn(JSON, size, result(1.0, status))
    assert policy.allows(JSON, 1)
