"""Tables in a request: which columns and how many rows they may have, and reading CSV."""

import csv
import io
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
    """

    def __init__(self, columns: tuple[str, ...] | None, max_rows: int) -> None:
        self._columns = columns
        self._max_rows = max_rows

    def check_columns(self, columns: Sequence[str], where: str) -> None:
        """Check that the columns are fields of a row, each at most once.

        Raises
        ------
        RequestError
            If they are not (400).
        """
        if self._columns is None:
            raise RequestError(400, "the rows of this model have no columns: send them as inputs")
        twice = [name for name in self._columns if columns.count(name) > 1]
        unknown = sum(name not in self._columns for name in columns)
        errors = [f"twice {twice}"] if twice else []
        errors += [f"{unknown} that are not known"] if unknown else []
        if errors:  # without the names of unknown ones, which could be values
            raise RequestError(
                400, f"{where}: columns {', '.join(errors)}; expected {list(self._columns)}"
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


def read_csv(body: bytes, rules: TableRules) -> list[dict[str, str | None]]:
    """Return the rows of CSV as text, None for an empty cell.

    Raises
    ------
    RequestError
        If it is not CSV in UTF-8 (400), or breaks the rules for tables (400, 413).
    """
    lines = csv.reader(io.StringIO(_decoded(body), newline=""), strict=True)
    try:
        columns = next(lines, [])
        if not columns:
            raise RequestError(400, "the body has no line: CSV starts with the columns' names")
        rules.check_columns(columns, "csv")
        rows: list[dict[str, str | None]] = []
        for cells in lines:
            if not cells:
                continue
            _check_width(cells, columns, lines.line_num)
            rows.append({name: cell or None for name, cell in zip(columns, cells, strict=True)})
            rules.check_count(len(rows))
    except csv.Error:
        raise RequestError(
            400, f"the body is not CSV: line {lines.line_num} cannot be read"
        ) from None
    return rows


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RequestError(400, "the body is not UTF-8") from None


def _check_width(cells: Sequence[str], columns: Sequence[str], line: int) -> None:
    if len(cells) != len(columns):
        raise RequestError(400, f"csv line {line}: has {len(cells)} cells, expected {len(columns)}")
