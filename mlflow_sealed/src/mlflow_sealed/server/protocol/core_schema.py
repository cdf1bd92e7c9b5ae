"""What pydantic's core schemas say about a model's types: names, parameters, definitions."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from mlflow.types.schema import ParamSchema
from pydantic import BaseModel, RootModel
from pydantic_core import CoreSchema, core_schema

from mlflow_sealed.server.protocol import number_text

_PARAM_TYPES: Final[Mapping[str, CoreSchema]] = {
    "boolean": core_schema.bool_schema(strict=True),
    "integer": core_schema.int_schema(),
    "long": core_schema.int_schema(),
    "float": core_schema.float_schema(),
    "double": core_schema.float_schema(),
    "string": core_schema.str_schema(),
    "datetime": core_schema.datetime_schema(),
}


def params_schema(params: ParamSchema) -> CoreSchema:
    """Return the schema of a model's parameters, with their defaults."""
    described = {}
    for param in params.params:
        kind = getattr(param.dtype, "name", "object")
        schema = number_text.accept_text(_PARAM_TYPES.get(kind, core_schema.any_schema()))
        if param.shape is not None:
            schema = core_schema.list_schema(schema)
        if param.default is None:
            schema = core_schema.nullable_schema(schema)
        schema = core_schema.with_default_schema(schema, default=param.default)
        described[param.name] = core_schema.typed_dict_field(schema, required=False)
    return core_schema.typed_dict_schema(described, extra_behavior="forbid")


def columns(row: Any) -> tuple[str, ...] | None:
    """Return the names of a row's fields in JSON, None for rows that are not objects."""
    if not isinstance(row, type) or not issubclass(row, BaseModel) or issubclass(row, RootModel):
        return None
    return tuple(
        field.validation_alias if isinstance(field.validation_alias, str) else name
        for name, field in row.model_fields.items()
    )


def split_definitions(rows: Any) -> tuple[Any, list[Any]]:
    """Return a schema without its definitions, and the definitions that it refers to."""
    if rows["type"] == "definitions":
        return rows["schema"], rows["definitions"]
    return rows, []


def field_names(schema: Any) -> Iterator[str]:
    """Yield the names of all fields of a schema, including those of nested objects."""
    if isinstance(schema, Mapping):
        if isinstance(found := schema.get("fields"), Mapping):
            yield from found
            aliases = [field.get("validation_alias") for field in found.values()]
            yield from (alias for alias in aliases if isinstance(alias, str))
        for value in schema.values():
            yield from field_names(value)
    elif isinstance(schema, list | tuple):
        for value in schema:
            yield from field_names(value)


def requires_all(rows: Mapping[str, Any]) -> bool:
    """Return whether every field of a row is required."""
    fields = _fields(rows)
    return bool(fields) and all(map(_is_required, fields.values()))


def required_columns(rows: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names in JSON of the fields that every row must have."""
    return tuple(
        field.get("validation_alias", name)
        for name, field in _fields(rows).items()
        if _is_required(field)
    )


def _fields(rows: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schemas of the fields of a row, none for rows that are not objects."""
    model = rows["items_schema"]
    while model["type"] != "model-fields":
        if "schema" not in model:
            return {}
        model = model["schema"]
    fields: Mapping[str, Any] = model["fields"]
    return fields


def _is_required(field: Mapping[str, Any]) -> bool:
    return bool(field["schema"]["type"] != "default")
