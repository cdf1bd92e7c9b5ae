"""The page that shows the OpenAPI document with Swagger UI, without a network."""

import importlib.resources
from collections.abc import Mapping
from typing import Final

_ASSETS: Final = "fastapi_offline"
"""The package that has Swagger UI's files; nothing else of it is used."""

_HTML: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Scoring server</title>
<link rel="icon" href="docs/favicon.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
<style>
/* The one address is no choice. What asks for a key stays. */
.swagger-ui .scheme-container :is(.servers, .servers-title),
.swagger-ui .scheme-container:not(:has(.auth-wrapper)) { display: none }
</style>
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
  defaultModelsExpandDepth: 3,
  defaultModelExpandDepth: 3,
  displayRequestDuration: true,
  showExtensions: true,
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
"""The headers of `PAGES`: a browser may load nothing from elsewhere."""


def page(path: str) -> tuple[bytes, bytes]:
    """Return a page of `PAGES` and its media type."""
    own = {"/docs": _HTML, "/docs/start.js": _START}.get(path)
    if own is not None:
        return own.encode(), PAGES[path].encode()
    asset = importlib.resources.files(_ASSETS).joinpath("static", path.rpartition("/")[2])
    return asset.read_bytes(), PAGES[path].encode()
