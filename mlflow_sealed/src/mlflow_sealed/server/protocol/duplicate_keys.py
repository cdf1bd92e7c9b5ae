"""Rejects JSON with an object that has a key twice: nobody can know which value was meant."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mlflow_sealed.server.protocol.core_schema import requires_all, split_definitions
from mlflow_sealed.server.protocol.errors import RequestError
from mlflow_sealed.server.protocol.json_body import LISTS


class DuplicateKeys:
    """Checks valid bodies for duplicate keys, without parsing most of them again.

    Parameters
    ----------
    rows
        The core schema of a list of rows.
    columns
        The names of the fields of a row, None for rows that are not objects.
    """

    def __init__(self, rows: Mapping[str, Any], columns: Sequence[str] | None) -> None:
        self._keys_per_row = len(columns or ())
        self._can_count = requires_all(split_definitions(rows)[0])

    def check(self, body: bytes, rows: int, form: str) -> None:
        """Check a body.

        Parameters
        ----------
        body
            JSON that has been validated.
        rows
            How many rows it has.
        form
            Which field of the body has the rows.

        Raises
        ------
        RequestError
            If an object has a key twice, or the body is nested too deeply (400).
        """
        if not self._has_one_colon_per_key(body, rows, form):
            _parse(body)

    def _has_one_colon_per_key(self, body: bytes, rows: int, form: str) -> bool:
        """Return whether a body certainly has no duplicate: a trick, see benchmarks/tricks.py.

        Valid rows have each field, and the body one key for the list. If there is no colon beyond
        these keys, none is there twice. Another colon may be in text or in a nested object.
        """
        keys = 1 + rows * self._keys_per_row
        return self._can_count and form in LISTS and body.count(b":") == keys


def _parse(body: bytes) -> None:
    try:
        json.loads(body, object_pairs_hook=_unique)
    except RecursionError:
        raise RequestError(400, "the body is nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RequestError(400, "an object of the body has a key twice")
    return found
