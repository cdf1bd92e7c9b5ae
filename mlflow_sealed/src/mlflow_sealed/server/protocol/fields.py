"""Numbers that may come as text: a model's types, widened without a second copy of their rules."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, PydanticOmit, core_schema

NUMBER: Final = "<number>"
WHOLE: Final = "<whole>"
TEXT: Final = "<text>"
LABELS: Final = frozenset({NUMBER, WHOLE, TEXT})
"""Where an error's location ends when it is about one of the ways to write a number."""

NUMBER_TEXT: Final = "number_text"
"""The type of the error for text that is no number, or none in range."""

_WAY: Final = "way"
_BOUNDS: Final = ("ge", "le", "gt", "lt", "multiple_of")
_NESTED: Final = frozenset(
    {"schema", "items_schema", "values_schema", "choices", "steps", "definitions", "fields"}
)
_DIGITS: Final = 17  # as many as a double tells apart
_FRACTION: Final = rf"(?:\.[0-9]{{1,{_DIGITS}}})?"


def accept_text(schema: Any) -> Any:
    """Return a core schema whose numbers may come as text: 121 and also "121".

    The same rules hold for both, for they are the schema's own. Text is plain decimals, and its
    range stands in a pattern, so that a JSON schema made of it says exactly what is accepted.
    Where bounds cannot be told by a pattern (fractions, negative ones), numbers only are accepted.
    Neither true nor false is a number.

    Parameters
    ----------
    schema
        Of pydantic's core, as `pydantic.TypeAdapter.core_schema` has it. It is not changed.
    """
    return _with_numbers(schema, _number)


def refuse_text(schema: Any) -> Any:
    """Return a core schema whose numbers are numbers: a part of what `accept_text` accepts.

    What it accepts, both make the same of, and it takes a tenth less time.

    Parameters
    ----------
    schema
        As for `accept_text`.
    """
    return _with_numbers(schema, lambda number: {**number, "strict": True})


def text_pattern(schema: Mapping[str, Any]) -> str | None:
    """Return the pattern of the texts that an int or float schema accepts, None for no texts.

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
    """The JSON schema of what `accept_text` makes."""

    def chain_schema(self, schema: core_schema.ChainSchema) -> JsonSchemaValue:
        """Describe text by its pattern, and leave out what a JSON schema calls an integer too."""
        way = schema.get("metadata", {}).get(_WAY)
        if way == WHOLE:
            raise PydanticOmit
        if way == TEXT:
            return self.generate_inner(schema["steps"][1])
        return super().chain_schema(schema)


def _with_numbers(schema: Any, number: Callable[[dict[str, Any]], Any]) -> Any:
    """Return a schema with another one for each of a number."""
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
    """Return a choice of the ways to write a number that this schema is to check."""
    lax = {key: value for key, value in schema.items() if key not in {"metadata", "ref"}}
    whole, text = schema["type"] == "int", text_pattern(schema)
    ways: list[Any] = [({**schema, "strict": True}, NUMBER)]
    if whole:  # a JSON schema takes 3.0 for an integer
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
    """Return the pattern of the whole numbers from `low` to `high`, without leading zeros."""
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
