"""Errors that a client gets: where a request is invalid and why, without a value of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from mlflow_sealed.server.protocol import number_text

SHOWN: Final = 20
"""How many errors a response lists."""

_VAGUE: Final = frozenset({"int_type", "float_type", "string_type", "string_pattern_mismatch"})
"""Errors about a number that say less than any other about the same number."""


class RequestError(Exception):
    """A request gets an error as its response; the message has no value of the request.

    Attributes
    ----------
    status
        The HTTP status.
    headers
        More headers of the response.
    """

    def __init__(
        self, status: int, message: str, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


def from_details(
    details: Sequence[Any], place: Callable[[tuple[int | str, ...]], str]
) -> RequestError:
    """Return one error for all that is invalid, up to a bound, without a value of the request.

    Parameters
    ----------
    details
        What `pydantic_core.ValidationError.errors` returns.
    place
        Turns a location into text.
    """
    found = list(
        dict.fromkeys(f"{place(_known(detail))}: {_message(detail)}" for detail in _merged(details))
    )
    more = len(found) - SHOWN
    shown = "; ".join(found[:SHOWN])
    return RequestError(400, f"{shown}; and {more} more" if more > 0 else shown)


def _known(detail: Mapping[str, Any]) -> tuple[int | str, ...]:
    """Return a location without a field that is not known, even if another one has its name."""
    location: tuple[int | str, ...] = detail["loc"]
    return location[:-1] if detail["type"] == "extra_forbidden" else location


def _merged(details: Sequence[Any]) -> list[Any]:
    """Return the details, with one only for each number: it may be written in several ways."""
    kept: dict[tuple[int | str, ...], Any] = {}
    for detail in details:
        location = detail["loc"]
        if location and location[-1] in number_text.LABELS:
            location = location[:-1]
            earlier = kept.get(location)
            if earlier is not None and _rank(detail["type"]) <= _rank(earlier["type"]):
                continue
        kept[location] = {**detail, "loc": location}
    return list(kept.values())


def _rank(kind: str) -> int:
    """Return how much an error about one way to write a number says."""
    return 0 if kind in _VAGUE else 2 if kind == number_text.NULL else 1


def _message(detail: Mapping[str, Any]) -> str:
    """Return what the model's rule expects. Nothing in it comes from the request."""
    kind, rule = detail["type"], detail.get("ctx", {})
    if kind in {number_text.NUMBER_TEXT, number_text.NULL}:
        return str(detail["msg"])
    template = _MESSAGES.get(kind)
    if template is None:
        return f"is not valid ({kind})"
    return template.format(**rule)


_MESSAGES: Final[Mapping[str, str]] = {
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
