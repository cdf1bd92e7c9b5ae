"""The result of scoring one request, wherever it was scored."""

from collections.abc import Callable, Sequence
from typing import NamedTuple


class ScoringResult(NamedTuple):
    """What the model made of a request.

    Attributes
    ----------
    status
        An HTTP status.
    rows
        How many rows were predicted.
    body
        The body of the response; for an error status, the message alone.
    seconds
        How long scoring took; 0 if it failed.
    kept
        The rows and their predictions. Freeing ten thousand of them takes as long as serialising
        them, so the caller can keep them until the response is sent.
    """

    status: int
    rows: int
    body: bytes
    seconds: float = 0.0
    kept: tuple[Sequence[object], ...] = ()


Score = Callable[[str, bytes], ScoringResult]
"""Scores a body of a media type; raises nothing."""
