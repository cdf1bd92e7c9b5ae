"""Numbers that may be written as text: a model's types, widened without copying their rules."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, PydanticOmit, core_schema

NUMBER: Final = "<number>"
WHOLE: Final = "<whole>"
TEXT: Final = "<text>"
LABELS: Final = frozenset({NUMBER, WHOLE, TEXT})
"""The last part of an error's location if it is about one way to write a number."""

NUMBER_TEXT: Final = "number_text"
"""The type of the error for text that is not a number, or not in range."""

_WAY: Final = "way"
_BOUNDS: Final = ("ge", "le", "gt", "lt", "multiple_of")
_NESTED: Final = frozenset(
    {"schema", "items_schema", "values_schema", "choices", "steps", "definitions", "fields"}
)
_DIGITS: Final = 17  # as many as a double can hold
_FRACTION: Final = rf"(?:\.[0-9]{{1,{_DIGITS}}})?"


def accept_text(schema: Any) -> Any:
    """Return a core schema that also accepts numbers as text: 121 and "121".

    The schema's own rules hold for both. Text is plain decimals, and a pattern has its range, so
    that a JSON schema made from it says exactly what is accepted. If no pattern can express the
    bounds (fractions, negative ones), only numbers are accepted. true and false are not numbers.

    Parameters
    ----------
    schema
        A core schema, as `pydantic.TypeAdapter.core_schema` returns it. It is not changed.
    """
    return _with_numbers(schema, _number)


def numbers_only(schema: Any) -> Any:
    """Return a core schema that accepts numbers only: a part of what `accept_text` accepts.

    Both give the same result for what this one accepts, and this one takes a tenth less time.

    Parameters
    ----------
    schema
        As for `accept_text`.
    """
    return _with_numbers(schema, lambda number: {**number, "strict": True})


def text_pattern(schema: Mapping[str, Any]) -> str | None:
    """Return the pattern of the text that an int or float schema accepts, None for no text.

    Examples
    --------
    >>> text_pattern({"type": "int", "ge": 21, "le": 120})
    '^(?:(?:2[1-9]|[3-9][0-9])|1(?:[0-1][0-9]|20))$'
    """
    whole = schema["type"] == "int"
    bounds = {name: schema[name] for name in _BOUNDS if schema.get(name) is not None}
    if not bounds:
        return rf"^-?(?:0|[1-9][0-9]{{0,{_DIGITS - 1}}}){'' if whole else _FRACTION}$"
    if set(bounds) != {"ge", "le"}:
        return None
    low, high = bounds["ge"], bounds["le"]
    if low != int(low) or high != int(high) or low < 0:
        return None
    low, high = int(low), int(high)
    if whole:
        return f"^{_integers(low, high)}$"
    last = rf"{high}(?:\.0{{1,{_DIGITS}}})?"
    return f"^(?:{_integers(low, high - 1)}{_FRACTION}|{last})$" if low < high else f"^{last}$"


class JsonSchema(GenerateJsonSchema):
    """The JSON schema of what `accept_text` returns."""

    def chain_schema(self, schema: core_schema.ChainSchema) -> JsonSchemaValue:
        """Describe text by its pattern; a JSON schema's integer includes 3.0 already."""
        way = schema.get("metadata", {}).get(_WAY)
        if way == WHOLE:
            raise PydanticOmit
        if way == TEXT:
            return self.generate_inner(schema["steps"][1])
        return super().chain_schema(schema)


def _with_numbers(schema: Any, number: Callable[[dict[str, Any]], Any]) -> Any:
    """Return a schema with each schema of a number replaced."""
    if not isinstance(schema, Mapping):
        return schema
    if schema.get("type") in {"int", "float"} and not schema.get("strict"):
        return number(dict(schema))

    def within(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return type(value)(within(item) for item in value)
        if isinstance(value, Mapping) and not isinstance(value.get("type"), str):
            return {name: _with_numbers(item, number) for name, item in value.items()}  # fields
        return _with_numbers(value, number)

    return {key: within(value) if key in _NESTED else value for key, value in schema.items()}


def _number(schema: dict[str, Any]) -> CoreSchema:
    """Return a union of the ways to write a number that this schema accepts."""
    lax = {key: value for key, value in schema.items() if key not in {"metadata", "ref"}}
    whole, text = schema["type"] == "int", text_pattern(schema)
    ways: list[Any] = [({**schema, "strict": True}, NUMBER)]
    if whole:  # a JSON schema counts 3.0 as an integer
        steps = [core_schema.float_schema(strict=True, allow_inf_nan=False), lax]
        ways.append((core_schema.chain_schema(steps, metadata={_WAY: WHOLE}), WHOLE))
    if text:
        checked = core_schema.custom_error_schema(
            core_schema.str_schema(pattern=text),
            custom_error_type=NUMBER_TEXT,
            custom_error_message=_expected(schema),
        )
        steps = [core_schema.str_schema(strict=True), checked, lax]
        ways.append((core_schema.chain_schema(steps, metadata={_WAY: TEXT}), TEXT))
    return core_schema.union_schema(ways, mode="left_to_right", auto_collapse=False)


def _expected(schema: Mapping[str, Any]) -> str:
    kind = "a whole number" if schema["type"] == "int" else "a number"
    if schema.get("ge") is None:
        return f"must be {kind}, in plain decimals where it is text"
    return f"must be {kind} from {schema['ge']:g} to {schema['le']:g}, in plain decimals as text"


def _integers(low: int, high: int) -> str:
    """Return the pattern of whole numbers from `low` to `high`, without leading zeros."""
    parts = []
    for length in range(len(str(low)), len(str(high)) + 1):
        least = max(low, 10 ** (length - 1) if length > 1 else 0)
        parts.append(_same_length(str(least), str(min(high, 10**length - 1))))
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"


def _same_length(low: str, high: str) -> str:
    if not low:
        return ""
    rest = len(low) - 1
    first, last = int(low[0]), int(high[0])
    if first == last:
        return low[0] + _same_length(low[1:], high[1:])
    parts = []
    if low[1:] != "0" * rest:
        parts.append(low[0] + _same_length(low[1:], "9" * rest))
        first += 1
    end = None
    if high[1:] != "9" * rest:
        end = high[0] + _same_length("0" * rest, high[1:])
        last -= 1
    if first <= last:
        digits = str(first) if first == last else f"[{first}-{last}]"
        parts.append(digits + "[0-9]" * rest)
    if end is not None:
        parts.append(end)
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"
