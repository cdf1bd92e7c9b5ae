"""The formats of a request's body, by their media types."""

from functools import lru_cache
from typing import Final

from mlflow_sealed.server.protocol.errors import RequestError

JSON: Final = "application/json"
CSV: Final = "text/csv"
PARQUET: Final = "application/vnd.apache.parquet"

_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


@lru_cache(maxsize=256)
def parse_media_type(header: bytes | None) -> str:
    """Return which of the formats a Content-Type names.

    Raises
    ------
    RequestError
        If it names another format, a charset other than UTF-8 and its part US-ASCII, or another
        parameter (415); CSV may say header=present. The message does not repeat what was sent.

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
        _check_parameter(parameter, media_type.strip())
    return media_type.strip()


def _check_parameter(parameter: str, media_type: str) -> None:
    name, _, value = (part.strip(' \t"') for part in parameter.partition("="))
    if name == "charset" and value in _CHARSETS:
        return
    if name == "header" and media_type == CSV:
        if value == "present":
            return
        raise RequestError(415, "expected CSV with a line of names: header=present")
    raise RequestError(
        415,
        "expected a Content-Type with no parameter but charset=utf-8 or us-ascii, and "
        "header=present for text/csv",
    )
