"""The folder that the workers share their counts in."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from typing import Final

from mlflow_sealed.server.settings import StartError, number

SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 # the folder in it is made as safely as in /tmp
"""Where a container has a place to write to even if its file system is read-only."""


@contextlib.contextmanager
def counts_folder(environ: Mapping[str, str]) -> Iterator[str]:
    """Give a folder for the workers' counts, and remove it; nothing is counted: give ``""``.

    Raises
    ------
    mlflow_sealed.server.settings.StartError
        If there is no place that can be written to.
    """
    if number(environ, "SCORING_METRICS", least=0, most=1) == 0:
        yield ""
        return
    folder = _make()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make() -> str:
    try:
        return tempfile.mkdtemp(prefix="scoring-")
    except OSError as error:
        with contextlib.suppress(OSError):
            return tempfile.mkdtemp(prefix="scoring-", dir=SHARED_MEMORY)
        raise StartError(
            f"no folder for temporary files can be written to ({error.strerror}): give the "
            "container one with --tmpfs /tmp, set TMPDIR, or count nothing with SCORING_METRICS=0"
        ) from None
