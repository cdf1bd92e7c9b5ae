"""The health check of a container: a request to /ping."""

import http.client
from collections.abc import Mapping

from mlflow_sealed.server.run.listening import address


def health(environ: Mapping[str, str]) -> int:
    """Return 0 if /ping answers with 200, else 1."""
    host, port = address(environ)
    if host in {"0.0.0.0", "::"}:  # noqa: S104 # compared, not bound
        host = "localhost" if host == "::" else "127.0.0.1"
    connection = http.client.HTTPConnection(host, port, timeout=4)
    try:
        connection.request("GET", "/ping")
        return int(connection.getresponse().status != http.client.OK)
    except OSError:
        return 1
    finally:
        connection.close()
