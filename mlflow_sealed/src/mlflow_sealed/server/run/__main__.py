"""The container's entry point, and its health check.

``python -m mlflow_sealed.server.run`` serves the model of the container, or the one in the folder
that is its argument; ``serve``, which SageMaker gives every container, may stand before it. With
``health``, its exit status says whether a server answers.
"""

import os
import sys
from pathlib import Path
from typing import Final

from mlflow_sealed.flavor.manifest import ManifestError
from mlflow_sealed.server.log_output import never_wait
from mlflow_sealed.server.run.supervisor import CANNOT_START, Supervisor
from mlflow_sealed.server.settings import StartError

MODEL: Final = Path("/opt/model")
"""The folder of the container's model."""


def main(arguments: list[str]) -> int:
    """Run the supervisor, or check the health of one that runs, and return the exit status."""
    try:
        if arguments[:1] == ["health"]:
            from mlflow_sealed.server.run.health import health  # noqa: PLC0415 # the supervisor needs no HTTP

            return health(os.environ)
        return Supervisor(os.environ, _model(arguments)).run()
    except (ManifestError, StartError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return CANNOT_START


def _model(arguments: list[str]) -> Path:
    given = arguments[1:] if arguments[:1] == ["serve"] else arguments
    if len(given) > 1:
        raise StartError(f"got {len(given)} arguments, expected at most one, a model's folder")
    folder = Path(given[0]) if given else MODEL
    if not folder.is_dir():
        raise StartError(
            f"there is no folder {str(folder)!r}: expected serve, health, a model's folder, or no "
            "argument"
        )
    return folder


if __name__ == "__main__":
    never_wait()
    sys.exit(main(sys.argv[1:]))
