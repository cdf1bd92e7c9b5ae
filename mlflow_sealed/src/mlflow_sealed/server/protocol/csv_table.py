"""Reads CSV, with a line of names and then a line for each row."""

import csv
import io
from collections.abc import Sequence
from typing import Final

from mlflow_sealed.server.protocol.errors import RequestError
from mlflow_sealed.server.protocol.table_rules import TableRules

_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
_ROW_NAMES: Final = frozenset({"", "Unnamed: 0"})  # the second is pandas' name for the first
_NO_ROW_NAMES: Final = "write no row names (R: row.names = FALSE, pandas: index=False)"


def read(body: bytes, rules: TableRules) -> list[dict[str, str | None]]:
    """Return the rows of CSV as text, None for an empty cell.

    Raises
    ------
    RequestError
        If it is not CSV in UTF-8 (400), or breaks the rules for tables (400, 413).
    """
    text = _decoded(body)
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = next(lines, [])
        _check_names(columns, text, rules)
        rows: list[dict[str, str | None]] = []
        for cells in lines:
            if not cells:
                continue
            _check_width(cells, columns, lines.line_num)
            rows.append({name: cell or None for name, cell in zip(columns, cells, strict=True)})
            rules.check_count(len(rows))
    except csv.Error:
        _check_separator(text, rules)
        raise RequestError(
            400, f"the body is not CSV: line {lines.line_num} cannot be read"
        ) from None
    return rows


def other_separator(text: str, fields: Sequence[str]) -> str | None:
    """Return what separates the cells instead of commas, by the line of names.

    Parameters
    ----------
    text
        A table, or its first line.
    fields
        The names of the fields of a row.

    Examples
    --------
    >>> other_separator("height;weight", ["height", "weight"])
    'semicolons'
    """
    first = text[:end] if (end := text.find("\n")) >= 0 else text
    for separator, name in _SEPARATORS.items():
        if _are_names([part.strip('"\r') for part in first.split(separator)], fields):
            return name
    return None


def _are_names(parts: Sequence[str], fields: Sequence[str]) -> bool:
    """Return whether parts of a line are two fields of a row at least, and little else."""
    known = sum(part in fields for part in parts)
    return known > 1 and 2 * known >= len(parts)


def _check_names(names: Sequence[str], text: str, rules: TableRules) -> None:
    """Check the line of names, and say so where it shows how the table was written."""
    if not names:
        raise RequestError(400, "the body has no line: CSV starts with the columns' names")
    try:
        rules.check_columns(names, "csv")
    except RequestError:
        _check_separator(text, rules)
        if names[0] in _ROW_NAMES and _are_names(names, rules.columns or ()):
            raise RequestError(400, f"csv: column 1 has row names; {_NO_ROW_NAMES}") from None
        stripped = [name.strip() for name in names]
        if stripped != list(names) and _are_names(stripped, rules.columns or ()):
            raise RequestError(
                400, "csv: there are spaces next to commas, expected none in names and numbers"
            ) from None
        raise


def _check_separator(text: str, rules: TableRules) -> None:
    if found := other_separator(text, rules.columns or ()):
        raise RequestError(
            400,
            f"csv: the cells are separated by {found}, expected commas, and points in numbers; "
            "R's write.csv and pandas' to_csv write that",
        )


def _check_width(cells: Sequence[str], names: Sequence[str], line: int) -> None:
    if len(cells) == len(names):
        return
    told = f"csv line {line}: has {len(cells)} cells, expected {len(names)}"
    if len(cells) == len(names) + 1:  # R's write.table gives its row names no column
        told = f"{told}; {_NO_ROW_NAMES}, and numbers with a point"
    raise RequestError(400, told)


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RequestError(400, "the body is not UTF-8") from None
