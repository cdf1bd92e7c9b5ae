"""What is noted of a request once it has its response."""

from typing import NamedTuple


class Served(NamedTuple):
    """A request and its response, as the log and the counts note them.

    Attributes
    ----------
    id
        What the response, the log and an error have in common.
    route
        A path of the server, or ``other``: never what a client made up.
    status
        The HTTP status of the response.
    rows
        How many rows were predicted.
    seconds
        How long the response took.
    """

    id: bytes
    route: str
    status: int
    rows: int
    seconds: float
