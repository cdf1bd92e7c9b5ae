"""The OpenAPI document of a typed model, and the page that shows it without a network."""

import importlib.resources
import json
from collections.abc import Mapping
from typing import Any, Final

import mlflow
from pydantic import TypeAdapter

from mlflow_model.fields import JsonSchema
from mlflow_model.rows import CSV, JSON, LISTS, PARAMS, PARQUET, SPLIT, Reader

_REF: Final = "#/components/schemas/{model}"
_ASSETS: Final = "fastapi_offline"
"""The package that brings Swagger UI's files; no other part of it is used."""

_HTML: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Scoring server</title>
<link rel="icon" href="docs/favicon.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START: Final = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  defaultModelsExpandDepth: 2,
  displayRequestDuration: true,
});
"""

PAGES: Final[Mapping[str, str]] = {
    "/docs": "text/html; charset=utf-8",
    "/docs/start.js": "text/javascript; charset=utf-8",
    "/docs/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "/docs/swagger-ui.css": "text/css; charset=utf-8",
    "/docs/favicon.png": "image/png",
}
"""The paths of the page and its assets, with their media types."""

HEADERS: Final = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
            b"img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"
        ),
    ),
    (b"cache-control", b"no-cache"),
)
"""What is sent with them: nothing may come from elsewhere."""


def page(path: str) -> tuple[bytes, bytes]:
    """Return a page of `PAGES` and its media type."""
    own = {"/docs": _HTML, "/docs/start.js": _START}.get(path)
    if own is not None:
        return own.encode(), PAGES[path].encode()
    asset = importlib.resources.files(_ASSETS).joinpath("static", path.rpartition("/")[2])
    return asset.read_bytes(), PAGES[path].encode()


def document(
    reader: Reader,
    result: TypeAdapter[Any],
    *,
    title: str,
    example: bytes | None,
    authenticated: bool,
) -> bytes:
    """Return the OpenAPI 3.1 document, as JSON.

    Parameters
    ----------
    reader
        Knows the type of a row and the model's parameters.
    result
        Of the type that ``predict`` returns.
    title
        The name of the model.
    example
        A request's body in JSON.
    authenticated
        Whether an API key is needed.
    """
    schemas: dict[str, Any] = {"Error": _ERROR}
    rows = _described(reader.rows_schema, "validation", schemas)
    predictions = _described(result.core_schema, "serialization", schemas)
    schemas["Predictions"] = _object({"predictions": predictions})
    params = None
    if reader.params_schema is not None:
        params = _described(reader.params_schema, "validation", schemas)
    schemas["Request"] = _request(reader, rows, params)
    security: dict[str, Any] = (
        {"security": [{"apiKey": []}, {"bearer": []}]} if authenticated else {}
    )
    content: dict[str, Any] = {JSON: {"schema": {"$ref": _REF.format(model="Request")}}}
    if example:
        content[JSON]["example"] = json.loads(example)
    if reader.columns:
        header = ",".join(reader.columns)
        content[CSV] = {
            "schema": {"type": "string", "description": "A header line, then a line for each row"},
            "example": _csv_example(header, example),
        }
        content[PARQUET] = {
            "schema": {"type": "string", "format": "binary", "description": f"Columns {header}"}
        }
    invocations = {
        "operationId": "invocations",
        "summary": "Predict",
        "description": "MLflow's scoring protocol. Predictions come in the order of the rows.",
        "requestBody": {"required": True, "content": content},
        "responses": {
            "200": _answer("The predictions", "Predictions"),
            **{str(status): _answer(text, "Error") for status, text in _ERRORS.items()},
            **({"401": _answer("No API key, or a wrong one", "Error")} if authenticated else {}),
        },
        **security,
    }
    return json.dumps(
        {
            "openapi": "3.1.0",
            "info": {
                "title": title,
                "version": mlflow.__version__,
                "description": "A model behind MLflow's scoring protocol.",
            },
            "paths": {"/invocations": {"post": invocations}, **_probes(security)},
            "components": {
                "schemas": schemas,
                **({"securitySchemes": _SECURITY} if authenticated else {}),
            },
        }
    ).encode()


def _described(schema: Any, mode: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of a type, and add those that it refers to."""
    made: dict[str, Any] = JsonSchema(ref_template=_REF).generate(schema, mode)
    schemas.update(made.pop("$defs", {}))
    return made


def _request(reader: Reader, rows: Any, params: Any) -> dict[str, Any]:
    limited = {**rows, "maxItems": reader.max_rows}
    forms: dict[str, Any] = dict.fromkeys(LISTS, limited)
    if reader.columns:
        forms[SPLIT] = _split(reader)
    optional = {PARAMS: params} if params is not None else {}
    return {"oneOf": [_object({name: form}, **optional) for name, form in forms.items()]}


def _split(reader: Reader) -> dict[str, Any]:
    """Describe a table by columns, in their own order; any other order is accepted, too."""
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
            "data": {"type": "array", "items": row, "maxItems": reader.max_rows},
        },
        index={"type": "array", "description": "Is not looked at"},
    )


def _object(required: Mapping[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


def _answer(description: str, schema: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {JSON: {"schema": {"$ref": _REF.format(model=schema)}}},
    }


def _csv_example(header: str, example: bytes | None) -> str:
    rows = json.loads(example).get("inputs", []) if example else []
    lines = [",".join("" if v is None else str(v) for v in row.values()) for row in rows]
    return "\n".join([header, *lines, ""])


def _probes(security: dict[str, Any]) -> dict[str, Any]:
    def probe(operation: str, summary: str, content: dict[str, Any], **more: Any) -> dict[str, Any]:
        ok = {"200": {"description": "Yes", "content": content}}
        responses = {**ok, **more.pop("responses", {})}
        return {
            "get": {"operationId": operation, "summary": summary, "responses": responses, **more}
        }

    nothing: dict[str, Any] = {JSON: {}}
    unready = {"503": _answer("About to end", "Error")}
    denied = {"401": _answer("No API key, or a wrong one", "Error")} if security else {}
    return {
        "/ping": probe("ping", "Is the server up?", nothing),
        "/health": probe("health", "Is the server up?", nothing),
        "/ready": probe("ready", "Should requests be sent here?", nothing, responses=unready),
        "/version": probe("version", "Which MLflow is this?", nothing),
        "/metrics": probe(
            "metrics",
            "Counts for Prometheus",
            {"text/plain": {"schema": {"type": "string"}}},
            responses=denied,
            **security,
        ),
    }


_ERROR: Final = _object(
    {
        "error_code": {"type": "string", "examples": ["BAD_REQUEST"]},
        "message": {"type": "string", "examples": ["inputs: must be a list"]},
        "request_id": {"type": "string", "description": "The log has it too"},
    }
)
_ERRORS: Final = {
    400: "The request is not what it says, or breaks a rule",
    408: "The body did not arrive in time",
    413: "The body has too many bytes or rows",
    415: "The Content-Type is not one of these",
    500: "The model failed",
    503: "Too many requests at once",
    504: "The answer took too long",
}
_SECURITY: Final = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
