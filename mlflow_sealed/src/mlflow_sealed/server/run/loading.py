"""The process that loads the model, as the supervisor sees it."""

import contextlib
import os
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Final, NamedTuple

from mlflow_sealed.server.run.wakeup import Wakeup

LOADED: Final = b"+"
"""What the process says if it can fork the workers."""

ALONE: Final = b"-"
"""What it says, before the reason, if each worker has to load the model for itself."""

SERVES: Final = b"1"
"""What a worker says once it answers requests."""

FAILED: Final = b"!"
"""What a worker says, before the reason, if it cannot answer requests."""

_MODULE: Final = "mlflow_sealed.server.run.loader"
_PID: Final = struct.Struct("!I")


class Starting(NamedTuple):
    """A worker that has been started.

    Attributes
    ----------
    pid
        Its process id; 0 if it could not be started.
    ready
        The pipe with what it says.
    """

    pid: int
    ready: int


class Loading:
    """A process that loads the model, and then forks workers or becomes one.

    Parameters
    ----------
    model
        The model's folder.
    counts
        The folder in which the workers share their counts.
    alone
        Whether it becomes a worker, in any case.

    Attributes
    ----------
    pid
        Its process id.
    is_loaded
        Whether it has said that the model is loaded.
    """

    def __init__(self, model: Path, counts: str, *, alone: bool = False) -> None:
        self._control, theirs = socket.socketpair()
        theirs.set_inheritable(True)
        how = "alone" if alone else "shared"
        # -B: bytecode in the model's folder would change it, and it must stay as it was logged.
        command = [sys.executable, "-B", "-m", _MODULE, str(theirs.fileno()), str(model), how]
        environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": counts}
        with theirs:
            self.pid = os.posix_spawn(sys.executable, command, environ)
        self.is_loaded = False

    def fileno(self) -> int:
        """Return the file descriptor of the socket to it."""
        return self._control.fileno()

    def fork(self, listener: socket.socket, wakeup: Wakeup) -> Starting:
        """Have a worker forked."""
        ready = self._ask(listener)
        found = wakeup.read(self._control.fileno()) or b""
        return Starting(_PID.unpack(found)[0] if len(found) == _PID.size else 0, ready)

    def become(self, listener: socket.socket) -> Starting:
        """Let it become a worker, once it has loaded the model."""
        starting = Starting(self.pid, self._ask(listener))
        self._control.close()
        return starting

    def end(self) -> None:
        """End it: at once while it loads, else after the workers that it has forked."""
        self._control.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)  # it is blocked once the model is loaded

    def _ask(self, listener: socket.socket) -> int:
        """Ask for a worker, and return the pipe with what it says."""
        ready, tell = os.pipe()
        os.set_blocking(ready, False)
        with contextlib.suppress(ConnectionError):  # it has ended, and the supervisor sees that
            socket.send_fds(self._control, [b"w"], [listener.fileno(), tell])
        os.close(tell)
        return ready
