"""Check many rows at once by the rules of a record, which is a pydantic model.

The rules are read from the record's fields and accept what is plainly valid. Every other row is
validated by the record itself, which accepts it or says what is wrong. So a table is checked like
the rows of a request, and only the few doubtful rows are checked one by one. All rows are, where a
record has validators, or fields that are no numbers: that is right too, and slower.

Text is read by the server's own rule: see `mlflow_sealed.server.protocol.number_spelling`.

Executors import this module, so it imports installed distributions only.
"""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import NoneType, UnionType
from typing import Any, Final, NamedTuple, Union, get_args, get_origin

import annotated_types
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from mlflow_sealed.server.protocol import number_spelling

_PLAIN: Final = r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,17})?([eE][+-]?[0-9]{1,2})?$"
"""Text that Arrow certainly reads right: most of what `number_spelling.NUMBER` matches."""

_NO_NUMBER: Final = "?"
_EXACT: Final = 2.0**53  # up to here a double tells every whole number from the next
_HARMLESS: Final = frozenset(
    {"allow_inf_nan", "extra", "frozen", "hide_input_in_errors", "json_schema_extra", "title"}
)


class RuleError(TypeError):
    """A record has a field that no column can be; the message names it."""


@dataclass(frozen=True)
class Rule:
    """What a field accepts.

    Attributes
    ----------
    name
        The field's name.
    low, high
        The least and the greatest number, in the field's unit.
    whole
        Whether it accepts whole numbers only.
    nullable
        Whether it accepts null.
    number
        Whether it accepts numbers; text or a truth value otherwise.
    complete
        Whether these are all of its rules. If they are not, the record decides about each value.
    """

    name: str
    low: float
    high: float
    whole: bool
    nullable: bool
    number: bool = True
    complete: bool = True

    def accepts(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Return which values are plainly valid; NaN stands for null."""
        if not self.complete:
            return np.zeros(len(values), dtype=np.bool_)
        found = (values >= self.low) & (values <= self.high)
        if self.whole:
            found &= values == np.floor(values)
        return found | np.isnan(values) if self.nullable else found


class BrokenRule(NamedTuple):
    """A rule that a row breaks, without the row's values.

    Attributes
    ----------
    row
        The row's position among those that were checked.
    field
        The column.
    rule
        What was expected, in pydantic's words.
    """

    row: int
    field: str
    rule: str


class Checked(NamedTuple):
    """The result of a check of n rows.

    Attributes
    ----------
    records
        float64, n rows, a column for each rule; NaN is null. Rows that are not accepted are
        undefined.
    accepted
        bool, shape (n,).
    broken
        The rules that rows break, in the order of the rows.
    """

    records: pd.DataFrame
    accepted: npt.NDArray[np.bool_]
    broken: list[BrokenRule]


def rules_of(record: type[BaseModel]) -> tuple[Rule, ...]:
    """Return the rules of a record's fields, in their order.

    Raises
    ------
    RuleError
        If a field has another name in requests: a column would be of neither.

    Examples
    --------
    >>> from pydantic import Field
    >>> class Row(BaseModel, allow_inf_nan=False):
    ...     age: int = Field(ge=21, le=120)
    >>> rules_of(Row)[0].low, rules_of(Row)[0].high, rules_of(Row)[0].complete
    (21, 120, True)
    """
    odd = record.model_config.keys() - _HARMLESS
    decorators = record.__pydantic_decorators__
    kinds = ("validators", "field_validators", "root_validators", "model_validators")
    checked = any(getattr(decorators, kind) for kind in kinds)
    complete = not odd and not checked and record.model_config.get("allow_inf_nan") is False
    found = [_rule(name, field) for name, field in record.model_fields.items()]
    return tuple(replace(rule, complete=rule.complete and complete) for rule in found)


def check(
    columns: Mapping[str, pa.Array], rules: tuple[Rule, ...], record: type[BaseModel]
) -> Checked:
    """Check rows by the rules of a record.

    Parameters
    ----------
    columns
        An array for each rule, all of one length: integers, floating-point numbers, decimals, or
        text, also dictionaries of them. Null, NaN and what `number_spelling.MISSING` has are null.
        For a field that is no number, of any type.
    rules
        The rules of `record`, from `rules_of`.
    """
    columns = {name: _plain(column) for name, column in columns.items()}
    records: dict[str, npt.NDArray[Any]] = {}
    accepted = np.ones(len(next(iter(columns.values()))), dtype=np.bool_)
    for rule in rules:
        if rule.number:
            values, read = _numbers(columns[rule.name])
            records[rule.name] = values
            accepted &= rule.accepts(values) & read
        else:
            records[rule.name] = np.array(columns[rule.name].to_pylist(), dtype=np.object_)
            accepted[:] = False
    broken = _one_by_one(columns, records, accepted, rules, record)
    return Checked(pd.DataFrame(records), accepted, broken)


def _one_by_one(
    columns: Mapping[str, pa.Array],
    records: dict[str, npt.NDArray[Any]],
    accepted: npt.NDArray[np.bool_],
    rules: tuple[Rule, ...],
    record: type[BaseModel],
) -> list[BrokenRule]:
    """Validate the rows that are not accepted by the record itself.

    Where it accepts one, ``accepted`` and ``records`` are changed in place.
    """
    positions = np.flatnonzero(~accepted)
    values = {name: columns[name].take(pa.array(positions)).to_pylist() for name in records}
    broken = []
    for index, row in enumerate(positions.tolist()):
        given = {rule.name: _python(values[rule.name][index], rule) for rule in rules}
        try:
            checked = record.model_validate(given)
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False, include_input=False)
            broken += [_broken(row, each, given) for each in details]
            continue
        accepted[row] = True
        for rule in rules:
            records[rule.name][row] = _checked(getattr(checked, rule.name), rule)
    return broken


def _checked(value: Any, rule: Rule) -> Any:
    """Return what the model's table of records has for a field of a record."""
    if rule.number:
        return math.nan if value is None else value
    return value.value if isinstance(value, enum.Enum) else value


def _broken(row: int, detail: Any, given: Mapping[str, Any]) -> BrokenRule:
    field = str(detail["loc"][0])
    null = ", not null" if field in given and given[field] is None else ""
    return BrokenRule(row, field, f"{detail['msg']}{null}")


def _python(value: Any, rule: Rule) -> Any:
    """Return what the record gets for a value: it would read more as a number than is one here."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if not isinstance(value, str) or not rule.number:
        return value
    try:
        return number_spelling.read(value, whole=rule.whole)
    except ValueError:
        return _NO_NUMBER


def _plain(column: pa.Array) -> pa.Array:
    """Return a column as integers, floating-point numbers or text."""
    if pa.types.is_dictionary(column.type):
        return _plain(column.dictionary_decode())
    if pa.types.is_string_view(column.type):
        return column.cast(pa.string())
    if pa.types.is_decimal(column.type):  # by its digits: pyarrow's own double is a last bit off
        return column.cast(pa.string()).cast(pa.float64())
    return column


def _numbers(column: pa.Array) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return a column's numbers, NaN for null, and which of them were surely read right."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        plain = pc.match_substring_regex(column, _PLAIN)
        missing = pc.is_in(column, pa.array(number_spelling.MISSING, column.type))
        read = pc.fill_null(pc.or_(plain, missing), fill_value=True).to_numpy(zero_copy_only=False)
        column = pc.if_else(plain, column, pa.scalar(None, column.type))
    else:
        read = np.ones(len(column), dtype=np.bool_)
    numbers = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.array(numbers, dtype=np.float64), read  # a copy: Arrow's own cannot be changed


def _rule(name: str, field: FieldInfo) -> Rule:
    if field.validation_alias is not None:
        raise RuleError(f"{name}: expected a field under its own name, got an alias")
    kinds = _kinds(field.annotation)
    nullable, kinds = NoneType in kinds, kinds - {NoneType}
    if kinds not in ({int}, {float}):
        return Rule(name, -math.inf, math.inf, False, nullable, number=False, complete=False)  # noqa: FBT003 # as below
    low, high, complete = -math.inf, math.inf, True
    for each in field.metadata:
        match each:
            case annotated_types.Ge(ge=int() | float() as bound):
                low = max(low, bound)
            case annotated_types.Gt(gt=int() | float() as bound):
                low = max(low, math.nextafter(bound, math.inf))
            case annotated_types.Le(le=int() | float() as bound):
                high = min(high, bound)
            case annotated_types.Lt(lt=int() | float() as bound):
                high = min(high, math.nextafter(bound, -math.inf))
            case _:  # such as a validator: the record decides
                complete = False
    # The record itself decides on the rest: infinities, and numbers that a double rounds.
    low, high = max(low, -_EXACT), min(high, _EXACT)
    return Rule(name, low, high, kinds == {int}, nullable, complete=complete)


def _kinds(annotation: Any) -> set[Any]:
    return (
        set(get_args(annotation)) if get_origin(annotation) in {Union, UnionType} else {annotation}
    )
