"""The JSON schemas of requests and responses, in the part of JSON Schema that generators know.

Generators of clients stop at what JSON Schema allows and few documents have: a list as a constant,
`false` as a schema, a reference into another schema, a keyword of the model's own.
"""

import re
from collections import Counter
from collections.abc import Mapping
from types import NoneType
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter

from mlflow_sealed.server.protocol.json_body import LISTS, PARAMS, SPLIT
from mlflow_sealed.server.protocol.number_text import JsonSchema
from mlflow_sealed.server.protocol.reader import Reader

_REF: Final = "#/components/schemas/{model}"


class Schemas(NamedTuple):
    """The schemas of a model's requests and responses.

    Attributes
    ----------
    components
        All schemas, by name.
    request, response, error
        References to the bodies in JSON.
    row
        The schema of a row, empty for rows that are not objects.
    """

    components: dict[str, Any]
    request: dict[str, str]
    response: dict[str, str]
    error: dict[str, str]
    row: Mapping[str, Any]


def schemas(reader: Reader, result: TypeAdapter[Any]) -> Schemas:
    """Return the schemas of a model's requests and responses.

    Parameters
    ----------
    reader
        Has the type of a row and the model's parameters.
    result
        Of the type that ``predict`` returns.
    """
    rows, params, predictions, types = _generate(reader, result)
    prefix = "Invocation"
    while any(name.startswith(prefix) for name in types):  # the model's own names come first
        prefix = f"Mlflow{prefix}"
    row = types.get(rows["items"].get("$ref", "").rpartition("/")[2], {})
    components = {
        **types,
        **_forms(prefix, rows, params, row["properties"] if reader.columns else {}),
        f"{prefix}Response": _object({"predictions": predictions}),
        f"{prefix}Error": _ERROR,
    }
    return Schemas(
        _distinct(components),
        request=_reference(f"{prefix}Request"),
        response=_reference(f"{prefix}Response"),
        error=_reference(f"{prefix}Error"),
        row=row,
    )


def portable(schema: Any) -> Any:
    """Return a schema that means the same, without what generators and linters do not know.

    A keyword of the model's own becomes an extension of OpenAPI, each array says what its items
    are, and a choice among values of several types becomes a choice among types.

    Examples
    --------
    >>> portable({"type": "array", "unit": "mm"})
    {'type': 'array', 'x-unit': 'mm', 'items': {}}
    """
    if not isinstance(schema, Mapping):
        return schema
    found = {_keyword(key): _portable_part(key, value) for key, value in schema.items()}
    if schema.get("type") == "array":
        found.setdefault("items", {})
    types = dict.fromkeys(map(type, schema.get("enum", [])))
    if len(types) > 1:
        values = found.pop("enum")
        found["anyOf"] = [_choice(values, kind) for kind in types]
    return found


def _generate(
    reader: Reader, result: TypeAdapter[Any]
) -> tuple[dict[str, Any], dict[str, Any] | None, dict[str, Any], dict[str, Any]]:
    """Return the schemas of rows, parameters and predictions, and of the types within them.

    All are generated at once: a type that differs between requests and responses has two names.
    """
    sources: list[Any] = [
        (_ROWS, "validation", reader.rows_schema),
        (_PREDICTIONS, "serialization", result.core_schema),
    ]
    if reader.params_schema is not None:
        sources.append((PARAMS, "validation", reader.params_schema))
    generated, types = JsonSchema(ref_template=_REF).generate_definitions(sources)
    found = {key: portable(schema) for (key, _), schema in generated.items()}
    portable_types = {str(name): portable(schema) for name, schema in types.items()}
    return found[_ROWS], found.get(PARAMS), found[_PREDICTIONS], portable_types


def _forms(
    prefix: str, rows: Any, params: dict[str, Any] | None, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the schema of a request, and of each form that it may have."""
    forms: dict[str, Any] = dict.fromkeys(LISTS, rows)
    components: dict[str, Any] = {}
    if fields:
        components[f"{prefix}Table"] = _table(fields)
        forms[SPLIT] = _reference(f"{prefix}Table")
    optional = {}
    if params is not None:
        components[f"{prefix}Params"] = params
        optional[PARAMS] = {"anyOf": [_reference(f"{prefix}Params"), {"type": "null"}]}
    names = {form: f"{prefix}{form.title().replace('_', '')}" for form in forms}
    return {
        f"{prefix}Request": {"oneOf": [_reference(name) for name in names.values()]},
        **{name: _object({form: forms[form]}, **optional) for form, name in names.items()},
        **components,
    }


def _table(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a table by columns in the model's order; the server accepts any order."""
    columns = _tuple([_name(name) for name in fields])
    row = _tuple([_rules(field) for field in fields.values()])
    return _object(
        {"columns": columns, "data": {"type": "array", "items": row}},
        index={
            "anyOf": [{"type": "array", "items": {}}, {"type": "null"}],
            "description": "Is not looked at",
        },
    )


def _name(name: str) -> dict[str, str]:
    """Describe text that is this name; of constants, openapi-python-client reads the first only."""
    escaped = re.sub(r"[\\^$.|?*+()\[\]{}/]", r"\\\g<0>", name)
    return {"type": "string", "pattern": f"^{escaped}$"}


def _object(required: Mapping[str, Any], **optional: Any) -> dict[str, Any]:
    """Return the schema of an object with these properties and no other."""
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


def _tuple(parts: list[Any]) -> dict[str, Any]:
    """Describe an array of exactly these parts; `items`, which must be there, is of no other."""
    size = {"minItems": len(parts), "maxItems": len(parts)}
    return {"type": "array", "prefixItems": parts, "items": parts[-1], **size}


def _rules(field: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a field without what it tells to readers."""
    return {
        key: value
        for key, value in field.items()
        if key not in _ANNOTATIONS and not key.startswith("x-")
    }


def _distinct(components: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schemas with a title of its own for each: some generators name classes by it."""
    titles = Counter(schema.get("title", name) for name, schema in components.items())
    return {
        name: {**schema, "title": name} if titles[schema.get("title", name)] > 1 else schema
        for name, schema in components.items()
    }


def _reference(name: str) -> dict[str, str]:
    return {"$ref": _REF.format(model=name)}


def _choice(values: list[Any], kind: type) -> dict[str, Any]:
    """Return the schema of those values that are of one type."""
    found = [value for value in values if type(value) is kind]
    named = {"type": _JSON_TYPES[kind]} if kind in _JSON_TYPES else {}
    return named if kind is NoneType else {**named, "enum": found}


def _keyword(key: str) -> str:
    return key if key in _KEYWORDS or key.startswith(("x-", "$")) else f"x-{key}"


def _portable_part(key: str, value: Any) -> Any:
    if key in _OF_SCHEMAS and isinstance(value, Mapping):
        return {name: portable(schema) for name, schema in value.items()}
    if key in _OF_SCHEMAS:
        return [portable(schema) for schema in value]
    return portable(value) if key in _SCHEMA else value


_ROWS: Final = "rows"
_PREDICTIONS: Final = "predictions"
_JSON_TYPES: Final = {
    bool: "boolean",
    float: "number",
    int: "integer",
    str: "string",
    NoneType: "null",
}
_ANNOTATIONS: Final = frozenset(
    {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"}
)
_SCHEMA: Final = frozenset(
    {"additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"}
    | {"unevaluatedItems", "unevaluatedProperties"}
)
_OF_SCHEMAS: Final = frozenset(
    {"allOf", "anyOf", "dependentSchemas", "oneOf", "patternProperties", "prefixItems"}
    | {"properties"}
)
_KEYWORDS: Final = (
    _ANNOTATIONS
    | _SCHEMA
    | _OF_SCHEMAS
    | {"const", "dependentRequired", "enum", "exclusiveMaximum", "exclusiveMinimum", "format"}
    | {"maxContains", "maxItems", "maxLength", "maxProperties", "maximum", "minContains"}
    | {"minItems", "minLength", "minProperties", "minimum", "multipleOf", "pattern", "required"}
    | {"type", "uniqueItems", "contentEncoding", "contentMediaType", "contentSchema"}
    | {"discriminator", "example", "externalDocs", "xml"}  # OpenAPI's own
)
_ERROR: Final = _object(
    {
        "error_code": {"type": "string", "description": "MLflow's name for the kind of error"},
        "message": {"type": "string", "description": "What was expected; no value of a request"},
        "request_id": {"type": "string", "description": "The log has it too"},
    }
)
