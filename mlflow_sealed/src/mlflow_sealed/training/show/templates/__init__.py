"""The texts of card and pages, filled in by Jinja."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

_FOLDER: Final = Path(__file__).parent


def fill(template: str, values: Mapping[str, Any]) -> str:
    """Return a template with its values, escaped where it is HTML.

    Raises
    ------
    jinja2.UndefinedError
        If a value is not there.
    """
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)
