"""The columns of a table whose files may differ: one type for each, and casts that lose nothing.

Executors import this module, so it imports installed distributions only.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import pyarrow as pa

from mlflow_sealed.batch import inputs
from mlflow_sealed.batch.inputs import InputError

_DOUBLE_DIGITS: Final = 15
"""A decimal number of so many digits is the same again after it was a double."""


def plain(kind: Any) -> Any:
    """Return the type that stands for a type of Arrow's own: text for a category, for example.

    Examples
    --------
    >>> plain(pa.dictionary(pa.int32(), pa.string_view()))
    DataType(string)
    """
    if pa.types.is_dictionary(kind):
        return plain(kind.value_type)
    if pa.types.is_struct(kind):
        return pa.struct([(each.name, plain(each.type)) for each in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(plain(kind.value_type))
    views = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    return views.get(kind, kind)


def unified(schemas: Iterable[tuple[str, Any]]) -> Any:
    """Return the columns of all files together, by name, in the order in which they come.

    Parameters
    ----------
    schemas
        The path of each file, and its columns.

    Raises
    ------
    mlflow_sealed.batch.inputs.InputError
        If a column has types of which none can hold the other's values; names both.
    """
    found: dict[str, tuple[Any, str]] = {}
    for path, schema in schemas:
        for each in schema:
            kind = plain(each.type)
            known, first = found.get(each.name, (kind, path))
            if not known.equals(kind):
                kind = _wider(each.name, (first, known), (path, kind))
            found[each.name] = kind, first
    return pa.schema([(name, kind) for name, (kind, _) in found.items()])


def _wider(name: str, one: tuple[str, Any], other: tuple[str, Any]) -> Any:
    """Return the type that can hold the values of both; Arrow says which."""
    kinds = one[1], other[1]
    schemas = [pa.schema([(name, kind)]) for kind in kinds]
    try:
        wider = pa.unify_schemas(schemas, promote_options="permissive").field(name).type
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        wider = None
    decimals = [kind.precision for kind in kinds if pa.types.is_decimal(kind)]
    rounded = pa.types.is_floating(wider) if wider is not None else False
    if wider is None or (rounded and max(decimals, default=0) > _DOUBLE_DIGITS):
        raise InputError(
            f"{other[0]}: column {name!r} is {kinds[1]}, and {kinds[0]} in {one[0]}: expected "
            "types of which one holds the other's values; cast it first"
        )
    return wider


def cast(table: Any, schema: Any, given: Mapping[str, str | None], *, path: str) -> Any:
    """Return rows with exactly the columns of a schema.

    Parameters
    ----------
    table
        A RecordBatch with some of the columns.
    given
        Those that the names of the file's folders have: the same value in every row.
    path
        The file, for the message.

    Raises
    ------
    mlflow_sealed.batch.inputs.InputError
        If a value does not fit its column's type; no message shows it.
    """
    if not given and table.schema.equals(schema):
        return table
    names = set(table.schema.names)
    arrays = [
        _cast(table.column(each.name), each, path)
        if each.name in names
        else _repeated(given.get(each.name), each.type, table.num_rows)
        for each in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _cast(column: Any, field: Any, path: str) -> Any:
    if column.type.equals(field.type):
        return column
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        # Not chained: Arrow shows the value.
        raise InputError(
            f"{path}: column {field.name!r} is {column.type}, and has values that {field.type}, "
            "its type in the whole table, cannot hold: cast it first"
        ) from None


def _repeated(value: str | None, kind: Any, rows: int) -> Any:
    if value is None:
        return pa.nulls(rows, kind)
    return pa.repeat(pa.scalar(value).cast(kind), rows)


def of_folders(folder: str, paths: Iterable[str]) -> list[Any]:
    """Return the columns that the names of the folders above some files have."""
    found: dict[str, list[str | None]] = {}
    for path in paths:
        for name, value in inputs.partitions(folder, path).items():
            found.setdefault(name, []).append(value)
    return [pa.field(name, inputs.partition_type(values)) for name, values in found.items()]
