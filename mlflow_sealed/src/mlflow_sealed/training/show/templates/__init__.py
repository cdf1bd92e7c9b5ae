"""The texts of card and pages, filled in by Jinja."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

_FOLDER: Final = Path(__file__).parent


def fill(template: str, values: Mapping[str, Any], folder: Path = _FOLDER) -> str:
    """Return a template with its values, escaped where it is HTML.

    Parameters
    ----------
    folder
        Where the template is, and those that it extends.

    Raises
    ------
    jinja2.TemplateError
        If a value is not there, or the template is wrong.
    """
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)
