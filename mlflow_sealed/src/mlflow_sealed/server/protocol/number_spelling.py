"""How a number, or a missing one, is written as text: one rule for every format and for batches.

It is what pandas, R, Stata, Excel and databases write. It imports nothing but the standard library,
so that Spark's executors can import it too.
"""

import re
from typing import Final

WHOLE: Final = "-?(?:0|[1-9][0-9]*)"
"""The pattern of a whole number without a fraction."""

NUMBER: Final = rf"(?:{WHOLE}(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{{1,3}})?|-?\.[0-9]+)"
"""The pattern of a number: 121, 34.3, -0.5, .5, 5e-05."""

MISSING: Final = ("", "NA", "NaN", "null", ".")
"""How a missing number is written. Upper and lower case count."""

EXPECTED: Final = "in text it looks like 121, -0.5, .5 or 5e-05"
"""What a client is told about text that is not a number."""

_WHOLE: Final = re.compile(WHOLE)
_NUMBER: Final = re.compile(NUMBER)
_DIGITS: Final = 4300  # Python's own bound on how long a whole number may be as text


def read(text: str, *, whole: bool) -> float | None:
    """Return the number that text says, None for a missing one.

    Parameters
    ----------
    text
        A cell, or a value.
    whole
        Whether a whole number is wanted: then digits alone are read without rounding.

    Raises
    ------
    ValueError
        If it is not a number; the message does not show it.

    Examples
    --------
    >>> read("5e-05", whole=False), read("33", whole=True), read("NA", whole=True)
    (5e-05, 33, None)
    """
    if text in MISSING:
        return None
    if whole and len(text) <= _DIGITS and _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    raise ValueError(EXPECTED)
