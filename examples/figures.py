"""The figures that a training has printed, as a table that fits a terminal."""

import re
from typing import Final

from rich import box
from rich.table import Table

_NAME, _HELD_OUT, _OURS = range(3)  # the first columns; those after them are for comparison
_WHOLE: Final = (_NAME, _OURS)


def table(output: str) -> Table | None:
    r"""Return the last Markdown table in what a training printed, or None if there is none.

    The held-out figures go last, and only the model's own keep their intervals: 80 columns have
    room for no more, and `make train` prints the whole.

    Examples
    --------
    >>> table("| | held out | ours | theirs |\n| AUC | 0.8 (0.7 to 0.9) | 0.7 | 0.6 |").row_count
    1
    """
    lines = re.findall(r"^\|(.*)\|$", output, re.MULTILINE)
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    if not cells:
        return None
    titles, rows = cells[0], [row for row in cells[1:] if row[_NAME].strip("-")]
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    order = [_NAME, *range(_OURS, len(titles)), _HELD_OUT]
    shown = [
        [row[place] if place in _WHOLE else _value(row[place]) for place in order] for row in rows
    ]
    for place, column in zip(order, zip(*shown, strict=True), strict=True):
        title = titles[place].removesuffix(", likewise")
        made.add_column(title, width=max(map(len, [*column, *title.split()])))  # the title wraps
    for row in shown:
        made.add_row(*row)
    return made


def outcome(output: str) -> str | None:
    """Return what a training says of the model that it registered, or None if it does not."""
    found = re.findall(r"^run \w+: (models:/.*)$", output, re.MULTILINE)
    return found[-1] if found else None


def _value(cell: str) -> str:
    """Return a figure without its interval."""
    return cell.partition(" (")[0]
