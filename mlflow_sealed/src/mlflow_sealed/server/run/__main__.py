"""The container's entry point, and its health check.

``python -m mlflow_sealed.server.run`` serves the model of the container, with a folder as its
argument the model there, and with ``health`` it tells by its exit status whether a server answers.
"""

import os
import sys
from pathlib import Path
from typing import Final

from mlflow_sealed.flavor.manifest import ManifestError
from mlflow_sealed.server.run.supervisor import CANNOT_START, Supervisor
from mlflow_sealed.server.settings import StartError

MODEL: Final = Path("/opt/model")
"""Where the container has its model."""


def main(arguments: list[str]) -> int:
    """Supervise, or check the health of who does, and return the exit status."""
    try:
        if arguments[:1] == ["health"]:
            from mlflow_sealed.server.run.health import health  # noqa: PLC0415 # HTTP is not small

            return health(os.environ)
        return Supervisor(os.environ, Path(arguments[0]) if arguments else MODEL).run()
    except (ManifestError, StartError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return CANNOT_START


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
