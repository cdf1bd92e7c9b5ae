"""What arro3 does where arrow-rs, the Parquet reader under it, panics over a broken file.

It prints the panic to standard error, with what it found, and raises an exception of PyO3 that is
no `Exception` and that no module exports. tests/mlflow_sealed/server/test_arro3_compat.py fails
when that changes. Some panics end the process: see offload.py.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Final

ENVIRON: Final = {"RUST_BACKTRACE": "0"}
"""Without it a panic may take 0.1 s for a backtrace that is not shown; read at the first panic."""

_STDERR: Final = 2


def is_panic(error: BaseException) -> bool:
    """Return whether an exception is a panic of Rust."""
    return type(error).__name__ == "PanicException"


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keep what is printed to standard error out of the log, even if this process is aborted.

    It concerns the whole process, so nothing else may run meanwhile: no other thread.
    """
    kept = os.dup(_STDERR)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 # a device
        os.dup2(nowhere.fileno(), _STDERR)
    try:
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)
