"""Ask the feed before a build: pip, which is asked in it, can only say that it found nothing."""

from dataclasses import replace
from typing import Final

from mlflow_sealed.feed import reading
from mlflow_sealed.feed.answers import FeedError
from mlflow_sealed.feed.credential import Credential, Index, parse_index
from mlflow_sealed.feed.reading import MissingError

__all__ = ["FeedError", "check"]

TOOLKIT: Final = "mlflow-sealed"
"""The package that every image installs, and no index but a feed has."""


def check(found: Credential) -> None:
    """Ask each index that has a login for the page of this distribution, and for a file of it.

    Raises
    ------
    mlflow_sealed.feed.answers.FeedError
        If an index refuses the login, cannot be reached, is no package index or does not give the
        file; or if no index has this distribution, as far as each was asked.
    """
    missing = [error for index in _with_login(found) if (error := _missing(index))]
    if missing and len(missing) == len(found.urls):
        raise missing[0]


def _with_login(found: Credential) -> list[Index]:
    indexes = [index for url in found.urls if (index := parse_index(url))]
    return [replace(index, connection=found.connection) for index in indexes]


def _missing(index: Index) -> MissingError | None:
    try:
        reading.check_access(index, TOOLKIT)
    except MissingError as error:
        return error
    return None
