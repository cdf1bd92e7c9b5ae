"""What the commands of training and scoring share: options, and what they show."""

import os
import sys
from typing import TypeVar

from mlflow.environment_variables import MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR
from pydantic import BaseModel, ValidationError

from mlflow_sealed.parser import Parser

Settings = TypeVar("Settings", bound=BaseModel)


def parse(arguments: list[str] | None, kind: type[Settings], *, program: str) -> Settings:
    """Return the options of a command line, or end the program with one line on what is wrong."""
    parser = Parser(prog=program, description=kind.__doc__)
    for name, field in kind.model_fields.items():
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, default=field.default, help=f"{field.description} (%(default)s)")
    given = vars(parser.parse_args(arguments))
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        flag = str(first["loc"][0]).replace("_", "-")
        parser.error(f"--{flag}: {first['msg']}, got {first['input']!r}")


def be_quiet() -> None:
    """Keep MLflow's progress bars off where nobody looks, such as in CI."""
    if not sys.stderr.isatty():
        os.environ.setdefault(MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.name, "false")
