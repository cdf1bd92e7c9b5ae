"""One worker of the container: loads the model and serves it on the supervisor's socket."""

import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

from mlflow_sealed.server import arro3_compat
from mlflow_sealed.server.offload import signal_on_parents_end
from mlflow_sealed.server.run.supervisor import CANNOT_START
from mlflow_sealed.server.settings import Settings, StartError

if TYPE_CHECKING:
    from mlflow_sealed.server.asgi.application import Application
    from mlflow_sealed.server.run.draining import DrainingServer

ENVIRON: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    **arro3_compat.ENVIRON,
}
"""What MLflow, and arro3, have to find in the environment when they are imported."""


def work(listener: int, ready: int, model: Path) -> int:
    """Serve the model on a listening socket until SIGTERM, and return the exit status.

    Parameters
    ----------
    listener
        The file descriptor of the socket.
    ready
        The file descriptor of a pipe that gets one byte once requests are answered.
    model
        The model's folder.
    """
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: see Supervisor
    signal_on_parents_end(signal.SIGTERM)  # outside of a container, nothing else would end it
    try:
        app = _load_app(model)
    except StartError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return CANNOT_START
    # Until the server has its own handlers, and after it restores these and signals itself again.
    signal.signal(signal.SIGTERM, _quit)
    server = _server(app, ready)
    try:
        server.run(sockets=[socket.socket(fileno=listener)])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        app.close()
    return 0


def _load_app(model: Path) -> "Application":
    os.environ.update(ENVIRON)
    try:
        # Here, because MLflow reads its settings when it is imported, and because the environment
        # of a model may lack what the server needs.
        from mlflow_sealed.server import load  # noqa: PLC0415
        from mlflow_sealed.server.asgi import connection  # noqa: F401, PLC0415
        from mlflow_sealed.server.run import draining  # noqa: F401, PLC0415

        return load.load(model, Settings.read())
    except StartError:
        raise
    except Exception as error:  # noqa: BLE001 # whatever it is, nothing can be served
        message = " ".join(str(error).split())
        raise StartError(f"the model cannot be loaded: {type(error).__name__}: {message}") from None


def _server(app: "Application", ready: int) -> "DrainingServer":
    from mlflow_sealed.server.run.draining import DrainingServer  # noqa: PLC0415 # see _load_app

    return DrainingServer(app, Settings.read(), ready)


def _leave(number: int, frame: FrameType | None) -> None:
    del number, frame
    os._exit(0)  # an exception could be lost while modules are imported; nothing is open yet


def _quit(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(work(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
