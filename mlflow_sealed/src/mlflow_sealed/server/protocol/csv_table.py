"""Reads CSV, with a line of names and then a line for each row."""

import csv
import io
from collections.abc import Sequence

from mlflow_sealed.server.protocol.errors import RequestError
from mlflow_sealed.server.protocol.table_rules import TableRules


def read(body: bytes, rules: TableRules) -> list[dict[str, str | None]]:
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
