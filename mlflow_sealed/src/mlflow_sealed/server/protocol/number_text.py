"""Numbers that may be written as text: a model's types, widened without copying their rules."""

import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NoReturn

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import (
    CoreSchema,
    PydanticCustomError,
    PydanticKnownError,
    PydanticOmit,
    core_schema,
)

from mlflow_sealed.server.protocol.number_spelling import EXPECTED, MISSING, NUMBER, WHOLE

_STRICT: Final = "<number>"
_FLOAT: Final = "<whole>"
_DIGITS: Final = "<digits>"
_TEXT: Final = "<text>"
_OTHER: Final = "<other>"
LABELS: Final = frozenset({_STRICT, _FLOAT, _DIGITS, _TEXT, _OTHER})
"""The last part of an error's location if it is about one way to write a number."""

NUMBER_TEXT: Final = "number_text"
"""The type of the error for text that is not a number."""

NULL: Final = "number_null"
"""The type of the error for a number that is missing where it may not be."""

_WAY: Final = "way"
_PATTERN: Final = "pattern"
_BOUNDS: Final = ("ge", "le", "gt", "lt", "multiple_of")
_NESTED: Final = frozenset(
    {"schema", "items_schema", "values_schema", "choices", "steps", "definitions", "fields"}
)
_NUMBER: Final = re.compile(NUMBER)
_MOST: Final = 17  # digits, as many as a double can hold
_FRACTION: Final = rf"(?:\.[0-9]{{1,{_MOST}}})?"

Number = Callable[[dict[str, Any], bool], Any]
"""Replaces the schema of a number; the flag says whether it may be null."""


def accept_text(schema: Any, *, text_first: bool = False) -> Any:
    """Return a core schema that also accepts numbers as text, and NaN for null.

    The schema's own rules hold for all of them: `number_spelling` says how text is written. What
    `number_spelling.MISSING` has, and NaN, are null: accepted where null is. true and false are not
    numbers.

    Parameters
    ----------
    schema
        A core schema, as `pydantic.TypeAdapter.core_schema` returns it. It is not changed.
    text_first
        Whether most numbers are text, as in CSV: that gives the same results sooner.
    """
    return _with_numbers(schema, partial(_number, text_first=text_first))


def numbers_only(schema: Any) -> Any:
    """Return a core schema that accepts numbers only: a part of what `accept_text` accepts.

    Both give the same result for what this one accepts, and this one takes a tenth less time.

    Parameters
    ----------
    schema
        As for `accept_text`.
    """
    return _with_numbers(schema, lambda number, _: _strict(number))


def text_pattern(schema: Mapping[str, Any]) -> str | None:
    r"""Return a pattern that only text within the bounds of an int or float schema matches.

    It leaves out what a pattern can hardly say: exponents, where there are bounds, and bounds that
    are negative, open or fractions, which give None.

    Examples
    --------
    >>> text_pattern({"type": "int", "ge": 21, "le": 120})
    '^(?:(?:2[1-9]|[3-9][0-9])|1(?:[0-1][0-9]|20))(?:\\.0{1,17})?$'
    """
    whole = schema["type"] == "int"
    bounds = {name: schema[name] for name in _BOUNDS if schema.get(name) is not None}
    if not bounds:
        return rf"^{WHOLE}(?:\.0{{1,{_MOST}}})?$" if whole else f"^{NUMBER}$"
    if set(bounds) != {"ge", "le"}:
        return None
    low, high = bounds["ge"], bounds["le"]
    if low != int(low) or high != int(high) or low < 0:
        return None
    low, high = int(low), int(high)
    zeros = rf"(?:\.0{{1,{_MOST}}})?"
    if whole:
        return f"^{_integers(low, high)}{zeros}$"
    last = f"{high}{zeros}"
    if low == high:
        return f"^{last}$"
    bare = rf"\.[0-9]{{1,{_MOST}}}|" if low == 0 else ""
    return f"^(?:{bare}{_integers(low, high - 1)}{_FRACTION}|{last})$"


class JsonSchema(GenerateJsonSchema):
    """The JSON schema of what `accept_text` returns."""

    def chain_schema(self, schema: core_schema.ChainSchema) -> JsonSchemaValue:
        """Describe text by its pattern; a JSON schema's integer includes 3.0 already."""
        metadata = schema.get("metadata", {})
        if _WAY not in metadata:
            return super().chain_schema(schema)
        if metadata.get(_PATTERN) is None:
            raise PydanticOmit
        return {"type": "string", "pattern": metadata[_PATTERN]}

    def function_wrap_schema(
        self, schema: core_schema.WrapValidatorFunctionSchema
    ) -> JsonSchemaValue:
        """Leave out what is not JSON, such as NaN."""
        if _WAY in schema.get("metadata", {}):
            raise PydanticOmit
        return super().function_wrap_schema(schema)


def _with_numbers(schema: Any, number: Number, *, nullable: bool = False) -> Any:
    """Return a schema with each schema of a number replaced."""
    if not isinstance(schema, Mapping):
        return schema
    kind = schema.get("type")
    if kind in {"int", "float"} and not schema.get("strict"):
        return number(dict(schema), nullable)
    nullable = kind == "nullable" or (nullable and kind in _SAME_VALUE)

    def within(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return type(value)(within(item) for item in value)
        if isinstance(value, Mapping) and not isinstance(value.get("type"), str):
            return {name: _with_numbers(item, number) for name, item in value.items()}  # fields
        return _with_numbers(value, number, nullable=nullable)

    return {key: within(value) if key in _NESTED else value for key, value in schema.items()}


_SAME_VALUE: Final = frozenset(
    {"default", "union", "chain", "function-before", "function-after", "function-wrap"}
)
"""Schemas whose inner schemas are about the same value: what may be null there may be null here."""


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that accepts numbers only; NaN and infinities have a way of their own."""
    finite = {"allow_inf_nan": False} if schema["type"] == "float" else {}
    return {**schema, **finite, "strict": True}


def _number(
    schema: dict[str, Any],
    nullable: bool,  # noqa: FBT001 # see Number
    *,
    text_first: bool,
) -> CoreSchema:
    """Return a union of the ways to write a number that this schema accepts."""
    lax = {key: value for key, value in schema.items() if key not in {"metadata", "ref"}}
    numbers: list[Any] = [(_strict(schema), _STRICT)]
    if schema["type"] == "int":  # a JSON schema counts 3.0 as an integer
        whole = core_schema.float_schema(strict=True, allow_inf_nan=False)
        numbers.append((core_schema.chain_schema([whole, lax], metadata={_WAY: _FLOAT}), _FLOAT))
    texts = _texts(schema, lax, nullable=nullable)
    other = core_schema.no_info_wrap_validator_function(
        partial(_other, nullable=nullable, expected=_expected(schema)),
        {**lax, "strict": True},
        metadata={_WAY: _OTHER},
    )
    ways = [*texts, *numbers] if text_first else [*numbers, *texts]
    return core_schema.union_schema(
        [*ways, (other, _OTHER)], mode="left_to_right", auto_collapse=False
    )


def _texts(schema: Mapping[str, Any], lax: Any, *, nullable: bool) -> list[Any]:
    pattern = text_pattern(schema)
    if nullable and pattern:
        missing = "|".join(map(re.escape, MISSING))
        pattern = f"^(?:{missing}|{pattern.removeprefix('^').removesuffix('$')})$"
    metadata = {_WAY: _TEXT, _PATTERN: pattern}
    text = core_schema.str_schema(strict=True, pattern=f"^{NUMBER}$")
    if schema["type"] == "float":
        return [(core_schema.chain_schema([text, lax], metadata=metadata), _TEXT)]
    digits = core_schema.str_schema(strict=True, pattern=f"^{WHOLE}$")  # which is not rounded
    number = core_schema.float_schema(allow_inf_nan=False)  # an int reads no exponent by itself
    return [
        (core_schema.chain_schema([digits, lax], metadata={_WAY: _DIGITS}), _DIGITS),
        (core_schema.chain_schema([text, number, lax], metadata=metadata), _TEXT),
    ]


def _other(value: Any, handler: Callable[[Any], Any], *, nullable: bool, expected: str) -> Any:
    """Return None for a missing number; let the model's own type decide on an infinity."""
    if value is None or (isinstance(value, str) and value in MISSING):
        return None if nullable else _reject_null()
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise PydanticCustomError(NUMBER_TEXT, "{expected}", {"expected": expected})
    if isinstance(value, float) and math.isnan(value):
        return None if nullable else _reject_null()
    if isinstance(value, float) and math.isinf(value):
        return handler(value)
    raise PydanticKnownError("float_type")  # another way says what is wrong


def _reject_null() -> NoReturn:
    raise PydanticCustomError(NULL, "must be a number, not null")


def _expected(schema: Mapping[str, Any]) -> str:
    kind = "a whole number" if schema["type"] == "int" else "a number"
    if schema.get("ge") is None or schema.get("le") is None:
        return f"must be {kind} ({EXPECTED})"
    return f"must be {kind} from {schema['ge']:g} to {schema['le']:g} ({EXPECTED})"


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
