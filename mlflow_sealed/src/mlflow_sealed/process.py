"""Run another program to its end, or keep one in the background and surely end it.

Every program gets its environment by way of `mlflow_sealed.surroundings`.
"""

import contextlib
import functools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final, ParamSpec

from mlflow_sealed import obstacles, surroundings

P = ParamSpec("P")

GRACE_S: Final = 10.0
"""How long a server has to end by itself before it is killed, in seconds."""


class ProcessError(Exception):
    """A program that was needed has failed; the message says what to do."""


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    hint: str,
) -> None:
    """Run a program to its end, with its output where ours goes, or at the end of `log`.

    Raises
    ------
    ProcessError
        If the program cannot be run or ends with another status than 0; the message ends with
        `hint`.
    """
    if code := status(command, env=env, log=log):
        raise ProcessError(f"{' '.join(command[:3])} … ended with status {code}: {hint}")


def status(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, log: Path | None = None
) -> int:
    """Run a program to its end and return its exit status, 128 + N for signal N.

    It gets a process group of its own. Whatever ends us, Ctrl-C and `end_on_sigterm` included, ends
    the whole group first.

    Raises
    ------
    ProcessError
        If the program cannot be run.
    """
    with _output(log) as output:
        child = _started(command, env, output)
        try:
            code = child.wait()
        finally:
            _end_group(child)
    return code if code >= 0 else 128 - code


def captured(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, errors: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return its exit status and what it printed.

    Parameters
    ----------
    errors
        Let its standard error go where ours goes, for a program that asks the user something.
    """
    stderr = None if errors else subprocess.PIPE
    return subprocess.run(
        command,
        env=_environment(env),
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        check=False,
    )


def end_on_sigterm() -> None:
    """Let SIGTERM end this program the way Ctrl-C does: every ``with`` block is left properly.

    A second SIGTERM must not interrupt that: make, for one, passes on to its children the SIGTERM
    that they have got already.
    """

    def leave(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def command(*failures: type[Exception]) -> Callable[[Callable[P, int]], Callable[P, int]]:
    """Make a function that does a command's work the command: it returns the exit status.

    What the work cannot do is one line on standard error and status 1, Ctrl-C is 130, and SIGTERM
    ends it as `end_on_sigterm` says. So is what the machine does not let it do: a full or
    read-only folder, or a driver that is not installed.

    Parameters
    ----------
    failures
        The exceptions whose messages are such lines; any other is a fault of ours, and is raised.
    """

    def decorate(work: Callable[P, int]) -> Callable[P, int]:
        @functools.wraps(work)
        def main(*args: P.args, **kwargs: P.kwargs) -> int:
            end_on_sigterm()
            try:
                obstacles.check_temporary_folder()
                return work(*args, **kwargs)
            except Exception as error:
                said = obstacles.explain(error)
                if said is None and not isinstance(error, failures):
                    raise
                print(f"error: {said or obstacles.first_line(error)}", file=sys.stderr)
                return 1
            except KeyboardInterrupt:
                return 130

        return main

    return decorate


@contextlib.contextmanager
def background(
    command: Sequence[str],
    *,
    port: int,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Keep a server running for the length of a ``with`` block.

    The block starts once 127.0.0.1:`port` takes connections. The server gets a process group of
    its own, and the whole group is gone when the block ends, however it ends.

    Raises
    ------
    ProcessError
        If the port is taken already, the server ends early, or it takes longer than `timeout_s`
        seconds to listen.
    """
    if _listens(port):
        raise ProcessError(
            f"port {port} of 127.0.0.1 is in use: end what listens there, or choose another port"
        )
    with _output(log) as output:
        process = _started(command, env, output)
        try:
            _wait(process, command, port=port, timeout_s=timeout_s, log=log)
            yield process
        finally:
            _end_group(process)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _started(
    command: Sequence[str], env: Mapping[str, str] | None, output: IO[bytes] | None
) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own; no file stands for our own output."""
    try:
        return subprocess.Popen(
            command,
            env=_environment(env),
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=True,
        )
    except OSError as error:
        raise ProcessError(f"{command[0]} cannot be run: {error.strerror}") from error


def _environment(env: Mapping[str, str] | None) -> dict[str, str]:
    return surroundings.environment(os.environ if env is None else env)


@contextlib.contextmanager
def _output(log: Path | None) -> Iterator[IO[bytes] | None]:
    if log is None:
        yield None
    else:
        with log.open("ab") as file:
            yield file


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait(
    process: subprocess.Popen[bytes],
    command: Sequence[str],
    *,
    port: int,
    timeout_s: float,
    log: Path | None,
) -> None:
    name = " ".join(command[:3])
    deadline = time.monotonic() + timeout_s
    while True:
        listens = _listens(port)
        # Looked at after the port: what listens there could be somebody else's.
        if process.poll() is not None:
            raise ProcessError(f"{name} … ended with status {process.returncode}: {_said(log)}")
        if listens:
            return
        if time.monotonic() > deadline:
            raise ProcessError(
                f"{name} … does not listen on {port} after {timeout_s:g} s: {_said(log)}"
            )
        time.sleep(0.05)


def _said(log: Path | None) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log else []
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f"{last} (see {log})" if last else "see its output above"


def _end_group(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not _group_lives(process):
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        deadline = time.monotonic() + GRACE_S
        while _group_lives(process) and time.monotonic() < deadline:
            time.sleep(0.02)
    process.wait()


def _group_lives(process: subprocess.Popen[bytes]) -> bool:
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    # Those that have ended count too until process 1 collects them, which in a container may be
    # never. Where there is no /proc, there is no such container.
    states = [_state(path, process.pid) for path in Path("/proc").glob("[0-9]*/stat")]
    return not states or any(state and state != "Z" for state in states)


def _state(path: Path, group: int) -> str:
    """Return the state of a process as Linux has it, nothing if it is none of the group's."""
    try:
        stat = path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # gone by now
        return ""
    # Its program's name is in parentheses, and may have some itself.
    state, _, its_group = stat.rpartition(")")[2].split()[:3]
    return state if int(its_group) == group else ""
