"""The OpenAPI document of a typed model."""

import json
from collections.abc import Mapping
from typing import Any, Final

import mlflow
from pydantic import TypeAdapter

from mlflow_sealed.server.mlflow_compat import ERROR_CODES
from mlflow_sealed.server.protocol.json_body import LISTS, PARAMS, SPLIT
from mlflow_sealed.server.protocol.media_types import CSV, JSON, PARQUET
from mlflow_sealed.server.protocol.number_text import JsonSchema
from mlflow_sealed.server.protocol.reader import Reader

_REF: Final = "#/components/schemas/{model}"


def document(
    reader: Reader,
    result: TypeAdapter[Any],
    *,
    identity: Mapping[str, str],
    example: bytes | None,
    authenticated: bool,
) -> bytes:
    """Return the OpenAPI 3.1 document, as JSON.

    Parameters
    ----------
    reader
        Has the type of a row and the model's parameters.
    result
        Of the type that ``predict`` returns.
    identity
        ``model`` is the name of the model, ``version`` the registry's; empty if it is not from a
        registry.
    example
        A request's body in JSON.
    authenticated
        Whether an API key is needed.
    """
    schemas = _schemas(reader, result)
    security: dict[str, Any] = (
        {"security": [{"apiKey": []}, {"bearer": []}]} if authenticated else {}
    )
    invocations = {
        **_predict(reader.max_rows, _content(reader, example, schemas)),
        "responses": _responses(authenticated=authenticated),
        **security,
    }
    return json.dumps(
        {
            "openapi": "3.1.0",
            "info": {
                "title": identity["model"],
                "version": identity["version"] or "not registered",
                "description": f"Served with MLflow's scoring protocol ({mlflow.__version__}).",
            },
            "tags": [_PREDICTIONS, _OPERATIONS],
            "paths": {"/invocations": {"post": invocations}, **_probes(security)},
            "components": {
                "schemas": schemas,
                **({"securitySchemes": _SECURITY} if authenticated else {}),
            },
        }
    ).encode()


def _predict(max_rows: int, content: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Describe the request, without the responses."""
    return {
        "operationId": "invocations",
        "tags": [_PREDICTIONS["name"]],
        "summary": "Predict",
        "description": (
            f"Predictions come in the order of the rows; there may be {max_rows:,}. "
            "What is wrong with a request is listed by field, without repeating a value."
        ),
        "requestBody": {"required": True, "content": content},
    }


def _schemas(reader: Reader, result: TypeAdapter[Any]) -> dict[str, Any]:
    """Describe requests and responses, by the names that refer to them."""
    schemas: dict[str, Any] = {}
    rows = _described(reader.rows_schema, "validation", schemas)
    predictions = _described(result.core_schema, "serialization", schemas)
    schemas["InvocationResponse"] = _object({"predictions": predictions})
    params = None
    if reader.params_schema is not None:
        params = _described(reader.params_schema, "validation", schemas)
        params["type"] = ["object", "null"]
    schemas["InvocationRequest"] = _request(reader, rows, params)
    schemas["InvocationError"] = _ERROR
    return schemas


def _content(
    reader: Reader, example: bytes | None, schemas: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Describe a request's body in each of the formats."""
    content: dict[str, Any] = {JSON: {"schema": {"$ref": _REF.format(model="InvocationRequest")}}}
    if example:
        content[JSON]["example"] = json.loads(example)
    if reader.columns:
        header = ",".join(reader.columns)
        content[CSV] = {
            "schema": {
                "type": "string",
                "description": "A line of names, in any order, then a line for each row",
                **_csv_pattern(header, schemas.get(reader.row_name, {})),
            },
            "example": _csv_example(header, example),
        }
        content[PARQUET] = {
            "schema": {"type": "string", "format": "binary", "description": f"Columns {header}"}
        }
    return content


def _responses(*, authenticated: bool) -> dict[str, Any]:
    errors = [status for status in _ERRORS if authenticated or status != 401]  # noqa: PLR2004 # no API key
    return {
        "200": _response("The predictions", "InvocationResponse"),
        **{str(status): _failure(status) for status in errors},
    }


def _described(schema: Any, mode: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of a type, and add the schemas that it refers to."""
    made: dict[str, Any] = JsonSchema(ref_template=_REF).generate(schema, mode)
    schemas.update(made.pop("$defs", {}))
    return made


def _request(reader: Reader, rows: Any, params: Any) -> dict[str, Any]:
    forms: dict[str, Any] = dict.fromkeys(LISTS, rows)
    if reader.columns:
        forms[SPLIT] = _split(reader)
    optional = {PARAMS: params} if params is not None else {}
    return {"oneOf": [_object({name: form}, **optional) for name, form in forms.items()]}


def _split(reader: Reader) -> dict[str, Any]:
    """Describe a table by columns in the model's order; the server accepts any order."""
    names = reader.columns or ()
    values = [{"$ref": f"{_REF.format(model=reader.row_name)}/properties/{name}"} for name in names]
    row = {
        "type": "array",
        "prefixItems": values,
        "items": False,
        "minItems": len(values),
    }
    columns = {"const": list(names)}
    return _object(
        {
            "columns": columns,
            "data": {"type": "array", "items": row},
        },
        index={"type": ["array", "null"], "description": "Is not looked at"},
    )


def _object(required: Mapping[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


def _response(description: str, schema: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {JSON: {"schema": {"$ref": _REF.format(model=schema)}}},
    }


def _failure(status: int) -> dict[str, Any]:
    """Describe an error, with an example of its own."""
    message = _ERRORS[status]
    described = _response(message, "InvocationError")
    described["content"][JSON]["example"] = {
        "error_code": ERROR_CODES.get(status, "INTERNAL_ERROR"),
        "message": _EXAMPLES.get(status, message[0].lower() + message[1:]),
        "request_id": "0f8fad5bd9cb469fa16570867728950e",
    }
    return described


def _csv_pattern(header: str, row: Mapping[str, Any]) -> dict[str, str]:
    """Return the pattern of CSV where every field is a number."""
    cells = []
    for field in row.get("properties", {}).values():
        ways = field.get("anyOf", [field])
        numbers = [
            way["pattern"] for way in ways if way.get("type") == "string" and "pattern" in way
        ]
        others = {way.get("type") for way in ways} - {"integer", "number", "string", "null"}
        if len(numbers) != 1 or others:
            return {}
        cells.append(numbers[0].removeprefix("^").removesuffix("$"))
    line = ",".join(cells)
    return {"pattern": f"^{header}(?:\\n{line})*\\n?$"}


def _csv_example(header: str, example: bytes | None) -> str:
    rows = json.loads(example).get("inputs", []) if example else []
    lines = [",".join("" if v is None else str(v) for v in row.values()) for row in rows]
    return "\n".join([header, *lines, ""])


def _probes(security: dict[str, Any]) -> dict[str, Any]:
    def probe(operation: str, summary: str, content: dict[str, Any], **more: Any) -> dict[str, Any]:
        ok = {"200": {"description": "Yes", "content": content}}
        responses = {**ok, **more.pop("responses", {})}
        return {
            "get": {
                "operationId": operation,
                "tags": [_OPERATIONS["name"]],
                "summary": summary,
                "responses": responses,
                **more,
            }
        }

    text: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}}
    unready = {"503": _response("About to end", "InvocationError")}
    denied = {"401": _failure(401)} if security else {}
    return {
        "/ping": probe("ping", "Is the server up?", text),
        "/health": probe("health", "Is the server up?", text),
        "/ready": probe("ready", "Should requests be sent here?", text, responses=unready),
        "/version": probe("version", "Which MLflow is this?", text),
        "/metrics": probe(
            "metrics",
            "Counts for Prometheus",
            text,
            responses=denied,
            **security,
        ),
    }


_ERROR: Final = _object(
    {
        "error_code": {"type": "string", "description": "MLflow's name for the kind of error"},
        "message": {"type": "string", "description": "What was expected; no value of a request"},
        "request_id": {"type": "string", "description": "The log has it too"},
    }
)
_ERRORS: Final = {
    400: "The request is not what it says, or breaks a rule",
    401: "No API key, or a wrong one",
    408: "The body did not arrive in time",
    413: "The body has too many bytes or rows",
    415: "The Content-Type is not one of these",
    500: "The model failed",
    503: "Too many requests at once",
    504: "The answer took too long",
}
_EXAMPLES: Final = {400: "inputs.3.width: must be at most 600; inputs.3.age: is missing"}
_PREDICTIONS: Final = {"name": "predictions"}
_OPERATIONS: Final = {"name": "operations", "description": "For probes, monitoring and the curious"}
_SECURITY: Final = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
