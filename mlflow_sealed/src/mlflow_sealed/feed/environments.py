"""MLflow's environments: none that is half made stays behind."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def no_half_made(environ: Mapping[str, str]) -> Iterator[None]:
    """Remove the environments that MLflow began within a ``with`` block which is interrupted.

    MLflow takes any folder that is there for a finished environment, so that one whose installation
    was ended by Ctrl-C or SIGTERM would fail every later run. An environment that was finished
    within the block goes too: that costs seconds.
    """
    root = Path(environ.get("MLFLOW_ENV_ROOT") or Path.home() / ".mlflow" / "envs")
    before = set(root.glob("mlflow-*"))
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        for folder in set(root.glob("mlflow-*")) - before:
            shutil.rmtree(folder, ignore_errors=True)
        raise
