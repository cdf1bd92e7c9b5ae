"""What a request is told that is refused: where and what, and no value of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from mlflow_sealed.server.protocol import fields

SHOWN: Final = 20
"""How many faults an answer lists."""

_NOTHING: Final = frozenset({"int_type", "float_type", "string_type"})  # of no use beside another


class Refusal(Exception):  # noqa: N818 # it is an answer, not a fault of ours
    """A request that cannot be answered; the message says why and holds no value of it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def of(details: Sequence[Any], place: Callable[[tuple[int | str, ...]], str]) -> Refusal:
    """Return all that is wrong, up to a bound, without a value of the request.

    Parameters
    ----------
    details
        What `pydantic_core.ValidationError.errors` gives.
    place
        Says where a location is.
    """
    found = list(
        dict.fromkeys(f"{place(detail['loc'])}: {_said(detail)}" for detail in _of_use(details))
    )
    more = len(found) - SHOWN
    shown = "; ".join(found[:SHOWN])
    return Refusal(400, f"{shown}; and {more} more" if more > 0 else shown)


def _of_use(details: Sequence[Any]) -> list[Any]:
    """Return the details, one only of those that are about the ways to write the same number."""
    kept: dict[tuple[int | str, ...], Any] = {}
    for detail in details:
        location = detail["loc"]
        if location and location[-1] in fields.LABELS:
            location = location[:-1]
            earlier = kept.get(location)
            if earlier is not None and (
                detail["type"] in _NOTHING or earlier["type"] not in _NOTHING
            ):
                continue
        kept[location] = {**detail, "loc": location}
    return list(kept.values())


def _said(detail: Mapping[str, Any]) -> str:
    """Return what a rule expects. Nothing in it comes from the request."""
    kind, rule = detail["type"], detail.get("ctx", {})
    if kind == fields.NUMBER_TEXT:
        return str(detail["msg"])
    template = _SAID.get(kind)
    if template is None:
        return f"is not valid ({kind})"
    return template.format(**rule)


_SAID: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "extra_forbidden": "has a field that is not known",
    "int_type": "must be a number",
    "int_parsing": "must be a number",
    "int_parsing_size": "must be a smaller number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "less_than_equal": "must be at most {le:g}",
    "less_than": "must be less than {lt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "greater_than": "must be more than {gt:g}",
    "multiple_of": "must be a multiple of {multiple_of:g}",
    "string_type": "must be text",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "too_long": "must have at most {max_length} items",
    "too_short": "must have at least {min_length} items",
    "recursion_loop": "is nested too deeply",
}
