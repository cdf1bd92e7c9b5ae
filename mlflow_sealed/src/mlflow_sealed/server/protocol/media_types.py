"""The formats of a request's body, by their media types."""

from functools import lru_cache
from typing import Final

from mlflow_sealed.server.protocol.errors import RequestError

JSON: Final = "application/json"
CSV: Final = "text/csv"
PARQUET: Final = "application/vnd.apache.parquet"


@lru_cache(maxsize=256)
def parse_media_type(header: bytes | None) -> str:
    """Return which of the formats a Content-Type names.

    Raises
    ------
    RequestError
        If it names another format, a charset other than UTF-8 or another parameter (415). The
        message does not repeat what was sent.

    Examples
    --------
    >>> parse_media_type(b'Application/JSON; charset="UTF-8"')
    'application/json'
    """
    media_type, *parameters = (header or b"").decode("latin-1").lower().split(";")
    formats = (JSON, CSV, PARQUET)
    if media_type.strip() not in formats:
        raise RequestError(415, f"expected a Content-Type that is one of {list(formats)}")
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        if name.strip() != "charset" or value.strip(' "') not in {"utf-8", "utf8"}:
            raise RequestError(415, "expected a Content-Type with no parameter but charset=utf-8")
    return media_type.strip()
