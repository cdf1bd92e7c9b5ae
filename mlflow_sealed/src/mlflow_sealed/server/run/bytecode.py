"""Import all that a server does, so that Python keeps its bytecode: ``python -m`` this, once.

A server writes none: its workers may not (supervisor.py), and in the image nothing can. Without it
each of them would compile more than a thousand modules when it starts. The arguments name what the
model imports; what is not installed is passed over.
"""

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final

from mlflow_sealed.server.run.worker import ENVIRON

MODULES: Final = (
    *("mlflow_sealed.server.run.__main__", "mlflow_sealed.server.run.health"),
    *("mlflow_sealed.server.asgi.connection", "mlflow_sealed.server.asgi.application"),
    *("uvicorn.loops.uvloop", "uvicorn.lifespan.off", "importlib_metadata._adapters"),
    # What some requests need: Parquet, /docs, one that is refused.
    *("fastparquet", "fsspec.implementations.local", "fastapi_offline"),
    *("pandas.core.methods.to_dict", "pydantic._internal._dataclasses"),
)
"""What a server imports with all that these import; tests/mlflow_sealed/image/test_bytecode.py finds gaps."""


def main(more: Sequence[str]) -> None:
    """Import it all."""
    os.environ.update(ENVIRON)
    for name in (*MODULES, *more):
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)


if __name__ == "__main__":
    main(sys.argv[1:])
