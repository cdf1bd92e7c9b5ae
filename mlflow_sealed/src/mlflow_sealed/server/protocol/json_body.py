"""The JSON body of a request: which fields it has, and the schema that checks them."""

from typing import Any, Final

from pydantic_core import CoreSchema, core_schema

from mlflow_sealed.server.protocol.core_schema import split_definitions

LISTS: Final = ("inputs", "instances", "dataframe_records")
"""The fields whose value is a list of rows."""

SPLIT: Final = "dataframe_split"
PARAMS: Final = "params"

FIELDS: Final = (*LISTS, SPLIT, PARAMS, "columns", "data", "index")
"""All of the protocol's own fields, including those of `SPLIT`."""


def body_schema(
    rows: CoreSchema, params: CoreSchema | None, *, max_rows: int, fail_fast: bool = False
) -> CoreSchema:
    """Return the schema of a body.

    Parameters
    ----------
    rows
        The schema of a list of rows.
    params
        The schema of the model's parameters, None for a model without.
    max_rows
        The most rows.
    fail_fast
        Whether the first invalid row ends the check.
    """
    alone, definitions = split_definitions(rows)
    limited: Any = {**alone, "max_length": max_rows, "fail_fast": fail_fast}
    forms: dict[str, CoreSchema] = {
        **dict.fromkeys(LISTS, limited),
        SPLIT: _split_schema(max_rows),
        PARAMS: core_schema.nullable_schema(params or core_schema.dict_schema()),
    }
    optional = {
        name: core_schema.typed_dict_field(schema, required=False) for name, schema in forms.items()
    }
    body = core_schema.typed_dict_schema(optional, extra_behavior="forbid")
    return core_schema.definitions_schema(body, definitions)


def _split_schema(max_rows: int) -> CoreSchema:
    """Return the schema of a table by columns, whose values are checked later, by row."""
    anything = core_schema.list_schema(core_schema.any_schema())
    columns = core_schema.list_schema(core_schema.str_schema(strict=True))
    data = core_schema.list_schema(anything, max_length=max_rows)
    fields = {
        "columns": core_schema.typed_dict_field(columns),
        "data": core_schema.typed_dict_field(data),
        "index": core_schema.typed_dict_field(
            core_schema.nullable_schema(anything), required=False
        ),
    }
    return core_schema.typed_dict_schema(fields, extra_behavior="forbid")
