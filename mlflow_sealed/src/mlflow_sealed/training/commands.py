"""A person's decision on the champion: the commands behind make promote and make rollback."""

import sys

from mlflow.exceptions import MlflowException

from mlflow_sealed import process
from mlflow_sealed.command import Parser
from mlflow_sealed.training.register import versions as registry
from mlflow_sealed.training.register.interruption import deferred
from training.project import NAME


@process.command(registry.RegistryError, MlflowException)
def main(arguments: list[str] | None = None) -> int:
    """Change the champion and return the exit status; a failure is one line on standard error."""
    parser = Parser(prog="python -m mlflow_sealed.training.commands", description=__doc__)
    parser.add_argument("version", nargs="?", help="the version that becomes the champion")
    parser.add_argument("--back", action="store_true", help="go back to the champion before")
    given = parser.parse_args(arguments)
    if (given.version is None) != given.back:
        parser.error("expected a version, as in make promote VERSION=3, or --back alone")
    with registry.locked(), deferred():
        print(_roll_back() if given.back else _promote(given.version))
    return 0


def _promote(version: str) -> str:
    before = registry.promote(version)
    was = f"version {before} was; make rollback goes back to it" if before else "there was none"
    return f"models:/{NAME}/{version} is the {registry.CHAMPION} ({was})"


def _roll_back() -> str:
    left, back = registry.roll_back()
    return f"models:/{NAME}/{back} is the {registry.CHAMPION} again, version {left} is not"


if __name__ == "__main__":
    sys.exit(main())
