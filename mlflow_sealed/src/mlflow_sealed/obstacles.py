"""What may stop any command on a machine: no room, a folder that is read-only, a missing driver."""

import errno
import os
import re
import tempfile
from pathlib import Path
from typing import Final

from mlflow_sealed import drivers

ROOM: Final = 2**20
"""How many bytes there have to be for temporary files: less is not enough for any command."""

_MAKE_ROOM: Final = "make room in the project's folder, and in TMPDIR for temporary files"
_MAY_WRITE: Final = "use a folder that you may write to"
_ADVICE: Final = {
    errno.EACCES: _MAY_WRITE,
    errno.EDQUOT: _MAKE_ROOM,
    errno.ENOSPC: _MAKE_ROOM,
    errno.EPERM: _MAY_WRITE,
    errno.EROFS: _MAY_WRITE,
}
_QUOTED: Final = re.compile(r"\[Errno (\d+)\]")


class ObstacleError(Exception):
    """A command cannot do its work on this machine; the message says what to change."""


def check_temporary_folder() -> None:
    """Check that temporary files can be written where TMPDIR says, before any work.

    Python takes another folder in silence where that one cannot be written to, other programs fail
    in their own ways, and a full one is not noticed before something large is written.

    Raises
    ------
    ObstacleError
        If they cannot, or there is no room.
    """
    named = os.environ.get("TMPDIR")
    try:
        with tempfile.TemporaryFile(dir=named or tempfile.gettempdir()) as file:
            file.write(bytes(ROOM))
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO)
        where = "in TMPDIR" if named else "anywhere"
        raise ObstacleError(
            f"temporary files cannot be written {where}: {reason}: set TMPDIR to a folder with room"
        ) from error


def explain(error: BaseException) -> str | None:
    """Return what to say about an exception that has to do with the machine, or None.

    Examples
    --------
    >>> explain(OSError(errno.EROFS, "Read-only file system", ".feed"))
    '.feed: Read-only file system: use a folder that you may write to'
    >>> explain(ValueError("a fault of ours"))
    """
    if isinstance(error, (ObstacleError, drivers.DriverError)):
        return str(error)
    if said := drivers.missing(error):
        return said
    if isinstance(error, OSError) and error.errno is not None:
        where = f"{_shown(error.filename)}: " if isinstance(error.filename, str) else ""
        return f"{where}{_reason(error.errno, first_line(error.strerror or ''))}"
    # MLflow puts what a thread could not read or write into the text of its own exception.
    quoted = _QUOTED.search(str(error))
    return _reason(int(quoted[1])) if quoted and int(quoted[1]) in _ADVICE else None


def first_line(said: object) -> str:
    """Return the first line of what an exception says: SQL and its values follow in others."""
    return next((line for line in str(said).splitlines() if line.strip()), "")


def _reason(number: int, said: str = "") -> str:
    return ": ".join(each for each in (said or os.strerror(number), _ADVICE.get(number)) if each)


def _shown(path: str) -> str:
    """Return a path as seen from the current folder, if it is below."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return path
