"""Which types of a table's columns hold numbers: the same for the server and for batch scoring.

arro3 and pyarrow have the same predicates for Arrow's types. A timestamp, a date or a duration is
stored as a number, and would be read as one that means something else.
"""

from collections.abc import Iterable
from typing import Any, Final

_READ: Final = ("integer", "floating", "decimal", "null")
_TEXT: Final = ("string", "large_string", "string_view")
_OTHERS: Final = {
    "boolean": "booleans",
    "timestamp": "timestamps",
    "date": "dates",
    "time": "times of day",
    "duration": "durations",
    "interval": "intervals",
    "nested": "nested values",
}


def refusal(columns: Iterable[tuple[str, Any]], predicates: Any) -> str | None:
    """Return what is wrong with columns that hold neither numbers nor text, None if none does.

    Parameters
    ----------
    columns
        Names and Arrow types.
    predicates
        What has the predicates for these types: `arro3.core.DataType` or `pyarrow.types`.

    Examples
    --------
    >>> import pyarrow
    >>> refusal([("age", pyarrow.int8()), ("weight", pyarrow.date32())], pyarrow.types)
    "column 'weight' holds dates; expected numbers, or numbers as text: convert it first"
    """
    found = [(name, _other(kind, predicates)) for name, kind in columns]
    wrong = [f"column {name!r} holds {other}" for name, other in found if other]
    if not wrong:
        return None
    them = "it" if len(wrong) == 1 else "them"
    return f"{', '.join(wrong)}; expected numbers, or numbers as text: convert {them} first"


def _other(kind: Any, predicates: Any) -> str | None:
    """Return what a type holds that is neither numbers nor text."""

    def holds(name: str) -> bool:
        return bool(getattr(predicates, f"is_{name}")(kind))

    if holds("dictionary"):
        return _other(kind.value_type, predicates)
    if any(map(holds, (*_READ, *_TEXT))):
        return None
    return next((words for name, words in _OTHERS.items() if holds(name)), "bytes")
