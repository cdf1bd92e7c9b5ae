"""What must hold for every table in a request: its columns, and how many rows it may have."""

from collections.abc import Sequence

from mlflow_sealed.server.protocol.errors import RequestError


class TableRules:
    """What must hold for a table before its rows are checked.

    Parameters
    ----------
    columns
        The names of the fields of a row, None for rows that are not objects.
    max_rows
        The most rows.

    Attributes
    ----------
    columns
        As above.
    """

    def __init__(self, columns: tuple[str, ...] | None, max_rows: int) -> None:
        self.columns = columns
        self._max_rows = max_rows

    def check_columns(self, columns: Sequence[str], where: str) -> None:
        """Check that the columns are fields of a row, each at most once.

        Raises
        ------
        RequestError
            If they are not (400).
        """
        if self.columns is None:
            raise RequestError(400, "the rows of this model have no columns: send them as inputs")
        twice = [name for name in self.columns if columns.count(name) > 1]
        unknown = sum(name not in self.columns for name in columns)
        errors = [f"twice {twice}"] if twice else []
        errors += [f"{unknown} that are not known"] if unknown else []
        if errors:  # without the names of unknown ones, which could be values
            raise RequestError(
                400, f"{where}: columns {', '.join(errors)}; expected {list(self.columns)}"
            )

    def check_count(self, count: int) -> None:
        """Check the number of rows.

        Raises
        ------
        RequestError
            If there are too many (413).
        """
        if count > self._max_rows:
            raise too_many_rows(self._max_rows)


def too_many_rows(max_rows: int) -> RequestError:
    """Return the error for a request with too many rows."""
    return RequestError(
        413,
        f"the request has more than {max_rows} rows: send several requests, or let the "
        "server take more with SCORING_MAX_ROWS",
    )
