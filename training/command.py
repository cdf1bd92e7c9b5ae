"""What the commands of training share: options from the command line, and how a signal ends."""

import argparse
import signal
from typing import NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

Settings = TypeVar("Settings", bound=BaseModel)


def parse(arguments: list[str] | None, kind: type[Settings], *, program: str) -> Settings:
    """Return the options of a command line, or end the program with one line on what is wrong."""
    parser = _Parser(prog=program, description=kind.__doc__)
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


def end_on_sigterm() -> None:
    """Let SIGTERM end the process like an exception: the run that is under way is closed."""
    signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, _: object) -> None:
    raise SystemExit(128 + number)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End with one line, without the usage."""
        self.exit(2, f"error: {message}\n")
