"""Whether a request is scored in the event loop, or in the subprocess for slow requests."""

from typing import Final

from mlflow_sealed.server.protocol.media_types import PARQUET
from mlflow_sealed.server.result import ScoringResult

SMALL_BYTES: Final = 8 * 2**10
"""The largest body that is scored in the event loop."""

_WEIGHT: Final = 1 / 16  # of one request in the moving average


class InlinePolicy:
    """Learns how long the model takes for a small request, and decides by that.

    Parameters
    ----------
    inline_ms
        How long a small request may take in the event loop, in milliseconds; 0: none may.
    seconds
        How long the model took so far, in seconds.
    """

    def __init__(self, inline_ms: float, seconds: float) -> None:
        self._limit_s = inline_ms / 1000
        self._seconds = seconds

    def allows(self, media_type: str, size: int) -> bool:
        """Return whether a body of `size` bytes is scored in the event loop."""
        return _is_small(media_type, size) and self._seconds < self._limit_s

    def learn(self, media_type: str, size: int, result: ScoringResult) -> None:
        """Note how long a small request took, wherever it was scored.

        An error is quick and says nothing. One request counts only so much: if the machine stalls,
        that does not make the model slow.
        """
        if _is_small(media_type, size) and result.status == 200:  # noqa: PLR2004 # OK
            seconds = min(result.seconds, 2 * self._limit_s)
            self._seconds += (seconds - self._seconds) * _WEIGHT


def _is_small(media_type: str, size: int) -> bool:
    return size <= SMALL_BYTES and media_type != PARQUET
