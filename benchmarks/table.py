"""A Markdown table."""

from collections.abc import Iterable, Sequence


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table with a header.

    Examples
    --------
    >>> print(markdown(["", "ours"], [["start, s", "1.2"]]))
    | | ours |
    |---|---|
    | start, s | 1.2 |
    """
    lines = [_line(header), "|" + "---|" * len(header), *map(_line, rows)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)
