"""Forks processes from the one that has loaded the model, so that they share its memory.

A worker asks for the subprocess of its slow requests by way of a `ForkClient`. The `ForkLoop` is at
the other end. It runs in a process that has loaded the model and never predicted: threads do not
survive a fork, so a library that predicts with threads of its own would deadlock.
"""

import contextlib
import os
import selectors
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, NoReturn, cast

from mlflow_sealed.server import log_output, prctl
from mlflow_sealed.server.result import Score
from mlflow_sealed.server.subprocess_loop import read, score_all

_PID: Final = struct.Struct("!I")

Work = Callable[["ForkClient", int, int], int]
"""Serves on a listening socket until SIGTERM, and returns the exit status.

It gets the socket's file descriptor, and that of a pipe for what it tells the supervisor.
"""


class ForkClient:
    """Asks for subprocesses.

    Parameters
    ----------
    control
        The socket to the process that forks them.
    on_lost
        Called when that process has ended.
    """

    def __init__(self, control: socket.socket, *, on_lost: Callable[[], None]) -> None:
        self._control = control
        self._on_lost = on_lost

    def fileno(self) -> int:
        """Return the socket's file descriptor."""
        return self._control.fileno()

    def spawn(self) -> tuple[socket.socket, int]:
        """Return a socket to a new subprocess, and its process id.

        Raises
        ------
        ConnectionError
            If there is none: the process that forks has ended, or the kernel refuses a fork.
        """
        ours, theirs = socket.socketpair()
        found = b""
        with theirs, contextlib.suppress(ConnectionError):
            socket.send_fds(self._control, [b"+"], [theirs.fileno()])
            found = read(self._control, _PID.size)
        if not found:
            self._on_lost()
        pid = read_pid(found)
        if not pid:
            ours.close()
            raise ConnectionResetError
        ours.setblocking(False)  # noqa: FBT003 # the socket's own signature
        return ours, pid

    def close(self) -> None:
        """Ask for nothing more: the subprocesses that are left are killed."""
        self._control.close()


def fork_server(score: Score) -> ForkClient:
    """Start a process that does nothing but fork the subprocesses of this process.

    It ends when this process ends, and so do the subprocesses. This process ends when that one has
    ended: it could not answer slow requests any more, and is replaced as a whole.

    Parameters
    ----------
    score
        What the subprocesses do with a request.
    """
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        run_forked(lambda: _run_loop(score, theirs), keep=[theirs.fileno()])
    theirs.close()
    return ForkClient(ours, on_lost=lambda: os.kill(os.getpid(), signal.SIGTERM))


class ForkLoop:
    """Forks subprocesses for the workers, and the workers for the supervisor.

    When a worker ends, its subprocesses are killed.

    Parameters
    ----------
    score
        What a subprocess does with a request.
    work
        What a worker does.
    on_killed
        Called when a subprocess was killed by SIGKILL.
    """

    def __init__(
        self, score: Score, work: Work | None = None, *, on_killed: Callable[[], None] | None = None
    ) -> None:
        self._score = score
        self._work = work
        self._on_killed = on_killed
        self._sources = selectors.PollSelector()  # it has no file that a fork would share
        self._owners: dict[int, socket.socket] = {}  # of each subprocess, its worker's socket

    def run(
        self, *, client: socket.socket | None = None, supervisor: socket.socket | None = None
    ) -> None:
        """Fork what is asked for, until nothing is left that could ask."""
        ended, tell = socket.socketpair()
        tell.setblocking(False)  # noqa: FBT003 # the socket's own signature
        signal.set_wakeup_fd(tell.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # without one, nothing wakes this process
        for source in filter(None, (ended, client, supervisor)):
            self._sources.register(source, selectors.EVENT_READ)
        while len(self._sources.get_map()) > 1:  # `ended`
            for key, _ in self._sources.select():
                source = cast("socket.socket", key.fileobj)
                if source is ended:
                    ended.recv(4096)
                    self._reap()
                elif source is supervisor:
                    self._answer_supervisor(source)
                else:
                    self._answer_client(source)

    def _forget(self, source: socket.socket) -> None:
        """Close a socket whose other side has ended, and kill the subprocesses of that worker."""
        self._sources.unregister(source)
        for pid in [pid for pid, owner in self._owners.items() if owner is source]:
            os.kill(pid, signal.SIGKILL)  # it is no other process: this one was not reaped
        source.close()

    def _answer_client(self, client: socket.socket) -> None:
        """Fork a subprocess for a worker."""
        asked, passed = _receive(client, 1)
        if not asked:
            self._forget(client)
            return
        with socket.socket(fileno=passed[0]) as requests:
            pid = _fork(lambda: score_all(requests, self._score), keep=[requests.fileno()])
        if pid:
            self._owners[pid] = client
        with contextlib.suppress(ConnectionError):  # the worker has ended: see above
            client.sendall(_PID.pack(pid))

    def _answer_supervisor(self, supervisor: socket.socket) -> None:
        """Fork a worker. It is forked twice, so that it is the supervisor's child."""
        asked, passed = _receive(supervisor, 2)
        if not asked:
            self._forget(supervisor)
            return
        ours, theirs = socket.socketpair()
        told, tell = os.pipe()
        between = _fork(
            lambda: self._fork_worker(theirs, passed, tell), keep=[theirs.fileno(), *passed, tell]
        )
        for descriptor in (*passed, tell):
            os.close(descriptor)
        theirs.close()
        with os.fdopen(told, "rb") as source:
            found = source.read(_PID.size)
        if between:
            os.waitpid(between, 0)
        if read_pid(found):
            self._sources.register(ours, selectors.EVENT_READ)
        else:
            ours.close()
        with contextlib.suppress(ConnectionError):  # the supervisor has ended
            supervisor.sendall(found or _PID.pack(0))

    def _fork_worker(self, theirs: socket.socket, passed: list[int], tell: int) -> None:
        between = os.getpid()

        def work() -> int:
            while os.getppid() == between:
                time.sleep(0.0002)
            client = ForkClient(theirs, on_lost=lambda: None)  # the supervisor replaces this worker
            return self._work(client, *passed) if self._work else 0

        pid = _fork(work, keep=[theirs.fileno(), *passed])
        os.write(tell, _PID.pack(pid))

    def _reap(self) -> None:
        """Collect the subprocesses that have ended."""
        for pid in list(self._owners):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                del self._owners[pid]
                if self._on_killed and status == signal.SIGKILL:
                    self._on_killed()


def read_pid(found: bytes) -> int:
    """Return the process id in a message, 0 if there is none."""
    return int(_PID.unpack(found)[0]) if len(found) == _PID.size else 0


def run_forked(task: Callable[[], int | None], *, keep: Collection[int]) -> NoReturn:
    """Run the task of a forked process and end it, without the exit handlers of its parent.

    Parameters
    ----------
    task
        Returns the exit status, None for 0.
    keep
        The file descriptors that it needs. It holds no copy of another: connections and listening
        sockets are closed by their owners.
    """
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _reseed()
        _let_go(keep)
        for output in log_output.outputs():
            output.renew()
        status = task() or 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        raise
    finally:
        for stream in (sys.stdout, sys.stderr):
            if log_output.of(stream):
                stream.flush()
        os._exit(status)


def _let_go(keep: Collection[int]) -> None:
    """Put the null device in the place of every other file but the standard input and outputs.

    Their numbers stay open, because a library may close its own ones at the next fork: Arrow ends
    the process if it cannot.
    """
    null = os.open(os.devnull, os.O_RDWR)
    kept = {0, 1, 2, null, *keep}
    for descriptor in {int(each.name) for each in Path("/proc/self/fd").iterdir()} - kept:
        with contextlib.suppress(OSError):  # that of the list itself, which is closed
            os.fstat(descriptor)
            os.dup2(null, descriptor, inheritable=False)
    os.close(null)


def _fork(task: Callable[[], int | None], *, keep: Collection[int]) -> int:
    """Fork a process for a task; return its id, 0 if the kernel refuses."""
    try:
        pid = os.fork()
    except OSError:
        return 0
    if pid == 0:
        run_forked(task, keep=keep)
    return pid


def _reseed() -> None:
    """Give numpy's random numbers another start, as Python does for its own after a fork."""
    if random := sys.modules.get("numpy.random"):
        random.seed()


def _run_loop(score: Score, client: socket.socket) -> None:
    prctl.set_name("scoring-forks")
    prctl.signal_on_parents_end(signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # its parent ends it, once work is done
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ForkLoop(score).run(client=client)


def _receive(source: socket.socket, descriptors: int) -> tuple[bytes, list[int]]:
    try:
        asked, passed, _, _ = socket.recv_fds(source, 1, descriptors)
    except ConnectionError:
        return b"", []
    return asked, passed
