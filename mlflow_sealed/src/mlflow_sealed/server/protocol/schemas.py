"""What the core schemas of a model's types say: names, parameters, definitions."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from mlflow.types.schema import ParamSchema
from pydantic import BaseModel
from pydantic_core import CoreSchema, core_schema

from mlflow_sealed.server.protocol import fields

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
    """Return the schema of a model's parameters, which has their defaults."""
    described = {}
    for param in params.params:
        kind = getattr(param.dtype, "name", "object")
        schema = fields.accept_text(_PARAM_TYPES.get(kind, core_schema.any_schema()))
        if param.shape is not None:
            schema = core_schema.list_schema(schema)
        if param.default is None:
            schema = core_schema.nullable_schema(schema)
        schema = core_schema.with_default_schema(schema, default=param.default)
        described[param.name] = core_schema.typed_dict_field(schema, required=False)
    return core_schema.typed_dict_schema(described, extra_behavior="forbid")


def columns(row: Any) -> tuple[str, ...] | None:
    """Return the names that a row's object has in JSON, None for rows that are no objects."""
    if not isinstance(row, type) or not issubclass(row, BaseModel):
        return None
    return tuple(
        field.validation_alias if isinstance(field.validation_alias, str) else name
        for name, field in row.model_fields.items()
    )


def apart(rows: Any) -> tuple[Any, list[Any]]:
    """Return a schema and the definitions that it refers to, for types that use another twice."""
    if rows["type"] == "definitions":
        return rows["schema"], rows["definitions"]
    return rows, []


def names(schema: Any) -> Iterator[str]:
    """Yield the names of all fields of a schema, those of objects within objects too."""
    if isinstance(schema, Mapping):
        if isinstance(found := schema.get("fields"), Mapping):
            yield from found
            aliases = [field.get("validation_alias") for field in found.values()]
            yield from (alias for alias in aliases if isinstance(alias, str))
        for value in schema.values():
            yield from names(value)
    elif isinstance(schema, list | tuple):
        for value in schema:
            yield from names(value)


def requires_all(rows: Mapping[str, Any]) -> bool:
    """Return whether a row has to have each of its fields."""
    model = rows["items_schema"]
    while model["type"] != "model-fields":
        if "schema" not in model:
            return False
        model = model["schema"]
    return all(field["schema"]["type"] != "default" for field in model["fields"].values())
