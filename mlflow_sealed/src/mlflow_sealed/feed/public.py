"""Run a command that installs public packages alone: ``python -m mlflow_sealed.feed.public …``.

It needs the standard library and nothing else, as it makes the environment that all else runs in.
"""

import os
import sys
from collections.abc import Sequence

from mlflow_sealed import process
from mlflow_sealed.feed import credential


@process.command(credential.CredentialError, process.ProcessError)
def main(argv: Sequence[str]) -> int:
    """Run a command with the index that stands for the public one, if any, and return its status.

    It gets no credential of an extra index, which it has no use for.
    """
    return process.status(argv, env=credential.public(os.environ))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
