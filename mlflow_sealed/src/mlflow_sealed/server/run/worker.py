"""One worker: serves the model that is loaded on the supervisor's socket."""

import contextlib
import logging.config
import os
import signal
import socket
from collections.abc import Callable
from types import FrameType

from uvicorn.config import LOGGING_CONFIG

from mlflow_sealed.server import prctl
from mlflow_sealed.server.forks import ForkClient
from mlflow_sealed.server.load import Loaded
from mlflow_sealed.server.run.draining import DrainingServer
from mlflow_sealed.server.run.loading import FAILED
from mlflow_sealed.server.run.supervisor import CANNOT_START
from mlflow_sealed.server.settings import StartError


def work(
    loaded: Loaded,
    connect: Callable[[], ForkClient],
    *,
    listener: int,
    ready: int,
    supervisor: int,
) -> int:
    """Serve the model on a listening socket until SIGTERM, and return the exit status.

    Parameters
    ----------
    loaded
        The model.
    connect
        Returns what asks for the subprocesses of slow requests.
    listener
        The file descriptor of the socket.
    ready
        The file descriptor of a pipe for the supervisor: one byte once requests are answered, or
        `FAILED` and a line that says why they cannot be.
    supervisor
        The process id of the supervisor, this process's parent.
    """
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: see Supervisor
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    prctl.set_name("scoring-worker")
    prctl.signal_on_parents_end(signal.SIGTERM)  # outside of a container, nothing else would end it
    if os.getppid() != supervisor:
        return 0
    client = connect()
    try:
        app = loaded.application(client.spawn)
    except StartError as error:
        with contextlib.suppress(BrokenPipeError):
            os.write(ready, FAILED + str(error).encode())
        return CANNOT_START
    # Until the server has its own handlers, and after it restores these and signals itself again.
    signal.signal(signal.SIGTERM, _quit)
    server = DrainingServer(app, loaded.settings, ready)
    try:
        server.run(sockets=[socket.socket(fileno=listener)])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        app.close()
        client.close()
    return 0


def configure_log() -> None:
    """Let uvicorn's lines go to standard error; once for all workers, which spares each 2 MiB."""
    logging.config.dictConfig(LOGGING_CONFIG)


def _leave(number: int, frame: FrameType | None) -> None:
    del number, frame
    os._exit(0)  # nothing is open yet that would have to be ended


def _quit(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise SystemExit(0)
