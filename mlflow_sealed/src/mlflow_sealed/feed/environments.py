"""MLflow's environments: where they are, and that none which is half made stays behind."""

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mlflow_sealed import process

FALLBACK: Final = Path(".cache/environments")
"""Where a project has MLflow's environments if the user's home cannot have them."""

_SPLIT_BY_SHELL: Final = re.compile(r"[\s'\"\\$&;()<>|*?\[\]{}!#~`]")


def placed(environ: Mapping[str, str], project: Path) -> dict[str, str]:
    """Return a copy of `environ` in which MLflow's environments are where it can use them.

    MLflow writes their path into a shell's command without quotes, so that a home with a blank in
    its name fails. The project's own folder has them then.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If neither place will do, or the user's MLFLOW_ENV_ROOT will not.
    """
    found, chosen = dict(environ), environ.get("MLFLOW_ENV_ROOT")
    if not _SPLIT_BY_SHELL.search(str(_root(environ))):
        return found
    if chosen or _SPLIT_BY_SHELL.search(str(project)):
        where = "MLFLOW_ENV_ROOT" if chosen else "both the home folder's path and the project's"
        raise process.ProcessError(
            f"{where} has a blank or another character that MLflow's shell commands cannot have: "
            "let MLFLOW_ENV_ROOT name a folder without one"
        )
    return {**found, "MLFLOW_ENV_ROOT": str(project / FALLBACK)}


@contextmanager
def no_half_made(environ: Mapping[str, str]) -> Iterator[None]:
    """Remove the environments that MLflow began within a ``with`` block which is interrupted.

    MLflow takes any folder that is there for a finished environment, so that one whose installation
    was ended by Ctrl-C or SIGTERM would fail every later run. An environment that was finished
    within the block goes too: that costs seconds.
    """
    root = _root(environ)
    before = set(root.glob("mlflow-*"))
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        for folder in set(root.glob("mlflow-*")) - before:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _root(environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME") or Path.home()
    return Path(environ.get("MLFLOW_ENV_ROOT") or Path(home, ".mlflow", "envs"))
