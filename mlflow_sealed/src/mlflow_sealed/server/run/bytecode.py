"""Imports all that a server imports, so that Python writes its bytecode: run it once.

A server writes none: its workers must not (see supervisor.py), and in the image they cannot.
Without bytecode each worker would compile more than a thousand modules when it starts. The
arguments are the modules that the model imports; those that are not installed are skipped.
"""

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final

from mlflow_sealed.server.run.loader import ENVIRON

MODULES: Final = (
    *(f"mlflow_sealed.server.run.{name}" for name in ("__main__", "health", "loader", "worker")),
    *("mlflow_sealed.server.asgi.connection", "mlflow_sealed.server.load"),
    *("uvicorn.loops.uvloop", "uvicorn.lifespan.off", "importlib_metadata._adapters"),
    # What some requests need: Parquet, /docs, an invalid one.
    *("arro3.core", "arro3.io", "fastapi_offline", "pydantic._internal._dataclasses"),
)
"""These import all that a server imports; image/test_bytecode.py finds gaps."""


def main(more: Sequence[str]) -> None:
    """Import all of it."""
    os.environ.update(ENVIRON)
    for name in (*MODULES, *more):
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)


if __name__ == "__main__":
    main(sys.argv[1:])
