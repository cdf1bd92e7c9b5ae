"""The process that loads the model once, and forks the workers and their subprocesses.

Not every model can be shared this way. What a fork does not survive is found here. Then the
supervisor starts a process for each worker, which loads the model for itself and becomes it.
"""

import contextlib
import gc
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

from mlflow_sealed.server import arro3_compat, prctl
from mlflow_sealed.server.log_output import never_wait
from mlflow_sealed.server.run.loading import ALONE, LOADED
from mlflow_sealed.server.run.supervisor import CANNOT_START
from mlflow_sealed.server.settings import Settings, StartError

if TYPE_CHECKING:
    from mlflow_sealed.server.load import Loaded

ENVIRON: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    **arro3_compat.ENVIRON,
}
"""What MLflow, and arro3, have to find in the environment when they are imported."""

_KNOW_OF_FORKS: Final = {"jemalloc_bg_thd"}  # pyarrow's; a forked process starts its own
_SETTLE_S: Final = 0.5  # threads that end with the one that started them are gone by then


def main(control: int, model: Path, *, alone: bool) -> int:
    """Load the model, do what the supervisor asks for, and return the exit status.

    Parameters
    ----------
    control
        The file descriptor of the socket to the supervisor.
    model
        The model's folder.
    alone
        Whether to become a worker, in any case.
    """
    never_wait()
    supervisor = os.getppid()
    prctl.set_name("scoring-loader")
    prctl.signal_on_parents_end(signal.SIGKILL)
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: see Supervisor
    try:
        loaded, reason = _load(model, alone=alone)
    except StartError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return CANNOT_START
    source = socket.socket(fileno=control)
    if alone:
        return _work_alone(loaded, source, supervisor)
    if reason:
        source.sendall(ALONE + reason.encode())
        return 0
    source.sendall(LOADED)
    return _share(loaded, source, supervisor)


def _load(model: Path, *, alone: bool) -> "tuple[Loaded, str]":
    """Return the model, and why it cannot be shared with forked processes: nothing if it can."""
    os.environ.update(ENVIRON)
    try:
        before = _open_files()
        _import_server()
        if alone:
            return _load_here(model), ""
        loaded, reason = _load_to_share(model)
        if not reason and not _open_files() <= before:
            reason = "it holds files or connections open"
    except StartError:
        raise
    except Exception as error:  # noqa: BLE001 # whatever it is, nothing can be served
        message = " ".join(str(error).split())
        raise StartError(f"the model cannot be loaded: {type(error).__name__}: {message}") from None
    return loaded, reason


def _import_server() -> None:
    """Import all that a worker needs, so that the workers share it."""
    gc.disable()
    # Here, because MLflow reads its settings when it is imported, and because the environment of a
    # model may lack what the server needs.
    import uvicorn.lifespan.off  # noqa: PLC0415
    import uvicorn.loops.uvloop  # noqa: F401, PLC0415

    from mlflow_sealed.server import load  # noqa: F401, PLC0415
    from mlflow_sealed.server.asgi import connection  # noqa: F401, PLC0415
    from mlflow_sealed.server.run import worker  # noqa: F401, PLC0415

    # Modules stay. To visit them while they, and then the model, are loaded takes 0.3 s.
    gc.freeze()
    gc.enable()


def _load_here(model: Path) -> "Loaded":
    from mlflow_sealed.server import load  # noqa: PLC0415 # see _import_server

    return load.load(model, Settings.read())


def _load_to_share(model: Path) -> "tuple[Loaded, str]":
    """Load the model in a thread that ends then, and with it the threads that it has started.

    OpenMP's threads, as XGBoost starts them when it loads a booster, belong to the thread that has
    work for them, and end with it. Those of the main thread stay. A forked process would take them
    for its own, and wait for them for ever.
    """
    found: list[Loaded] = []

    def load() -> None:
        with contextlib.suppress(Exception):  # it comes again below, unless the thread is why
            found.append(_load_here(model))

    thread = threading.Thread(target=load)
    thread.start()
    thread.join()
    if not found:
        return _load_here(model), "it can be loaded in the main thread only"
    return found[0], "it has started threads" if _has_threads() else ""


def _has_threads() -> bool:
    """Return whether there are threads that a forked process would miss.

    Libraries that know of forks, such as OpenBLAS, end theirs before one.
    """
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    deadline = time.monotonic() + _SETTLE_S
    while sum(name not in _KNOW_OF_FORKS for name in _threads()) > 1:
        if time.monotonic() > deadline:
            return True
        time.sleep(0.0005)
    return False


def _threads() -> list[str]:
    """Return the names of this process's threads."""
    found = []
    for folder in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended
            found.append((folder / "comm").read_text(encoding="utf-8").strip())
    return found


def _open_files() -> set[str]:
    """Return what this process has open, but for its input and outputs."""
    found = set()
    for file in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"{file.name} {file.readlink()}")
        except OSError:  # the folder itself, which was open to be listed
            continue
    return found


def _share(loaded: "Loaded", source: socket.socket, supervisor: int) -> int:
    """Fork what is asked for, until neither the supervisor nor a worker is there to ask."""
    from mlflow_sealed.server.forks import ForkClient, ForkLoop  # noqa: PLC0415 # see _import_server
    from mlflow_sealed.server.run.worker import configure_log, work  # noqa: PLC0415 # likewise

    configure_log()
    # For good: a worker that is forked unblocks it once it can end in good order.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    prctl.signal_on_parents_end(0)  # the workers may need their subprocesses to the end

    def serve(client: ForkClient, listener: int, ready: int) -> int:
        return work(loaded, lambda: client, listener=listener, ready=ready, supervisor=supervisor)

    ForkLoop(loaded.scoring.score, serve).run(supervisor=source)
    return 0


def _work_alone(loaded: "Loaded", source: socket.socket, supervisor: int) -> int:
    """Become a worker once the supervisor asks for one."""
    from mlflow_sealed.server.forks import fork_server  # noqa: PLC0415 # see _import_server
    from mlflow_sealed.server.run.worker import configure_log, work  # noqa: PLC0415 # likewise

    configure_log()
    _, passed, _, _ = socket.recv_fds(source, 1, 2)
    if not passed:
        return 0
    source.close()
    listener, ready = passed
    connect = lambda: fork_server(loaded.scoring.score)  # noqa: E731
    return work(loaded, connect, listener=listener, ready=ready, supervisor=supervisor)


def _leave(number: int, frame: FrameType | None) -> None:
    del number, frame
    os._exit(0)  # an exception could be lost while modules are imported; nothing is open yet


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2]), alone=sys.argv[3] == "alone"))
