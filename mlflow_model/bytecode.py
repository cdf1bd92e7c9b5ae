"""Import all that a server does, so that Python keeps its bytecode: ``python -m`` this, once.

A server writes none: its workers may not (container.py), and in the image nothing can. Without it
each of them would compile more than a thousand modules when it starts.
"""

import importlib
import os
from typing import Final

from mlflow_model.worker import ENVIRON

MODULES: Final = (
    *("mlflow_model.connection", "mlflow_model.server", "mypreprocessing", "xgboost"),
    *("uvicorn.loops.uvloop", "uvicorn.lifespan.off", "importlib_metadata._adapters"),
    # What some requests need: Parquet, /docs, one that is refused.
    *("fastparquet", "fsspec.implementations.local", "fastapi_offline"),
    *("pandas.core.methods.to_dict", "pydantic._internal._dataclasses"),
)
"""What a server imports with all that these import; tests/image/test_bytecode.py finds gaps."""


def main() -> None:
    """Import it all."""
    os.environ.update(ENVIRON)
    for name in MODULES:
        importlib.import_module(name)


if __name__ == "__main__":
    main()
