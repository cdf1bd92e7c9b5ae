"""The OpenAPI document of a typed model.

Linters find nothing in it, and generators of clients read all of it:
tests/mlflow_sealed/server/served/test_clients.py runs them.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import mlflow
from pydantic import TypeAdapter

from mlflow_sealed.server import openapi_schemas
from mlflow_sealed.server.mlflow_compat import ERROR_CODES
from mlflow_sealed.server.openapi_schemas import Schemas
from mlflow_sealed.server.protocol.media_types import CSV, JSON, PARQUET
from mlflow_sealed.server.protocol.reader import Reader


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
    schemas = openapi_schemas.schemas(reader, result)
    content = _content(reader, example, schemas)
    return json.dumps(
        {
            "openapi": "3.1.0",
            "info": _info(identity),
            "servers": [_HERE],
            "security": [],  # of each path that does not say otherwise
            "tags": [_PREDICTIONS, _OPERATIONS],
            "paths": {
                "/invocations": {
                    "post": {
                        **_predict(reader.max_rows, content),
                        "responses": _responses(schemas, authenticated=authenticated),
                        **_security(authenticated=authenticated),
                    }
                },
                **_probes(schemas),
                "/metrics": _metrics(schemas, authenticated=authenticated),
            },
            "components": {
                "schemas": schemas.components,
                **({"securitySchemes": _SCHEMES} if authenticated else {}),
            },
        }
    ).encode()


def _info(identity: Mapping[str, str]) -> dict[str, str]:
    """Describe the model. Its version becomes that of a generated package, so it has to be one."""
    origin = "" if identity["version"] else "The model is not from a registry. "
    return {
        "title": identity["model"],
        "version": identity["version"] or "0",
        "description": f"{origin}Served with MLflow's scoring protocol ({mlflow.__version__}).",
    }


def _predict(max_rows: int, content: dict[str, Any]) -> dict[str, Any]:
    """Describe the request, without the responses."""
    return {
        "operationId": "invocations",
        "tags": [_PREDICTIONS["name"]],
        "summary": "Predict",
        "description": (
            f"Predictions come in the order of the rows; there may be {max_rows:,}. "
            "What is wrong with a request is listed by field, without repeating a value. "
            "A body may be packed with gzip, if Content-Encoding says so."
        ),
        "requestBody": {"required": True, "content": content},
    }


def _content(reader: Reader, example: bytes | None, schemas: Schemas) -> dict[str, Any]:
    """Describe a request's body in each of the formats."""
    content: dict[str, Any] = {JSON: {"schema": schemas.request}}
    if example:
        content[JSON]["example"] = json.loads(example)
    if reader.columns:
        header = ",".join(reader.columns)
        content[CSV] = _csv(header, example, schemas.row)
        content[PARQUET] = {
            "schema": {"type": "string", "format": "binary", "description": f"Columns {header}"}
        }
    return content


def _csv(header: str, example: bytes | None, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "schema": {
            "type": "string",
            "description": "A line of names, in any order, then a line for each row",
            **_csv_pattern(header, row),
        },
        "example": _csv_example(header, example),
    }


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


def _responses(schemas: Schemas, *, authenticated: bool) -> dict[str, Any]:
    errors = [status for status in _ERRORS if authenticated or status != 401]  # noqa: PLR2004 # no API key
    return {
        "200": _response("The predictions", {JSON: {"schema": schemas.response}}),
        **_HEAD_TOO_LARGE,
        **{str(status): _failure(status, schemas) for status in errors},
    }


def _response(description: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": content}


def _failure(status: int, schemas: Schemas) -> dict[str, Any]:
    """Describe an error, with an example of its own."""
    message = _ERRORS[status]
    example = {
        "error_code": ERROR_CODES.get(status, "INTERNAL_ERROR"),
        "message": _EXAMPLES.get(status, message[0].lower() + message[1:]),
        "request_id": "0f8fad5bd9cb469fa16570867728950e",
    }
    return _response(message, {JSON: {"schema": schemas.error, "example": example}})


def _probes(schemas: Schemas) -> dict[str, Any]:
    ending = {"503": _response("About to end", {JSON: {"schema": schemas.error}})}
    return {
        "/ping": _page("ping", "Is the server up?", _UP),
        "/health": _page("health", "Is the server up?", _UP),
        "/ready": _page("ready", "Should requests be sent here?", _READY, ending),
        "/version": _page("version", "Which MLflow is this?", "The version alone."),
    }


def _metrics(schemas: Schemas, *, authenticated: bool) -> dict[str, Any]:
    denied = {"401": _failure(401, schemas)} if authenticated else {}
    page = _page("metrics", "Counts for Prometheus", "Summed over all workers.", denied)
    page["get"].update(_security(authenticated=authenticated))
    return page


def _page(
    operation: str,
    summary: str,
    description: str,
    responses: Mapping[str, Any] = {},
) -> dict[str, Any]:
    return {
        "get": {
            "operationId": operation,
            "tags": [_OPERATIONS["name"]],
            "summary": summary,
            "description": description,
            "responses": {"200": _response("Yes", _TEXT), **_HEAD_TOO_LARGE, **responses},
        }
    }


def _security(*, authenticated: bool) -> dict[str, Any]:
    return {"security": [{name: []} for name in _SCHEMES]} if authenticated else {}


_HERE: Final = {"url": ".", "description": "Where this document is, behind any proxy"}
_PREDICTIONS: Final = {"name": "predictions", "description": "What the model is for"}
_OPERATIONS: Final = {"name": "operations", "description": "For probes, monitoring and the curious"}
_SCHEMES: Final = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
_TEXT: Final = {"text/plain": {"schema": {"type": "string"}}}
_UP: Final = "For probes of liveness: it answers as long as the server runs."
_READY: Final = "For probes of readiness: the model has answered its example, and may be asked."
_HEAD_TOO_LARGE: Final = {"431": {"description": "The headers are too large"}}
_ERRORS: Final = {
    400: "The request is not what it says, or breaks a rule",
    401: "No API key, or a wrong one",
    408: "The body did not arrive in time",
    413: "The body has too many bytes or rows",
    415: "The Content-Type or the Content-Encoding is not one of these",
    500: "The model failed",
    503: "Too many requests at once",
    504: "The answer took too long",
}
_EXAMPLES: Final = {400: "inputs.3.width: must be at most 600; inputs.3.age: is missing"}
