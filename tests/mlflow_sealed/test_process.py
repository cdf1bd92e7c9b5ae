"""Running another program: its failures, and that nothing of it stays behind."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlflow_sealed import process
from mlflow_sealed.process import ProcessError
from tests.environ import ROOT

SERVER = """
import socket, sys, subprocess, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    print(child.pid, flush=True)
    time.sleep(600)
"""


def server(port: int, code: str = SERVER) -> list[str]:
    return [sys.executable, "-c", code, str(port)]


def lives(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_program_that_fails_ends_with_its_status_and_the_hint() -> None:
    with pytest.raises(ProcessError, match="ended with status 3: look here"):
        process.run([sys.executable, "-c", "raise SystemExit(3)"], hint="look here")


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ProcessError, match="no-such-program cannot be run: No such file"):
        process.run(["no-such-program"], hint="get it")


@pytest.mark.services
def test_a_server_and_its_children_are_gone_after_the_block(tmp_path: Path) -> None:
    port, log = process.free_port(), tmp_path / "log"
    with process.background(server(port), port=port, timeout_s=30, log=log) as running:
        child = int(log.read_text(encoding="utf-8"))
        assert lives(running.pid)
        assert lives(child)
    assert not lives(running.pid)
    assert not lives(child)


@pytest.mark.services
def test_a_server_is_gone_when_the_block_fails(tmp_path: Path) -> None:
    port = process.free_port()
    with (
        pytest.raises(ZeroDivisionError),
        process.background(server(port), port=port, timeout_s=30, log=tmp_path / "log") as running,
    ):
        raise ZeroDivisionError
    assert not lives(running.pid)


@pytest.mark.services
def test_a_server_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE_S", 0.3)
    port = process.free_port()
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVER
    with process.background(
        server(port, stubborn), port=port, timeout_s=30, log=tmp_path / "log"
    ) as running:
        pass
    assert running.returncode == -signal.SIGKILL


@contextlib.contextmanager
def collecting_orphans() -> Iterator[None]:
    """Be the process that orphans are left to, as process 1 is in a container."""
    option = 36  # PR_SET_CHILD_SUBREAPER
    assert ctypes.CDLL(None).prctl(option, 1) == 0
    yield
    ctypes.CDLL(None).prctl(option, 0)


@pytest.mark.services
def test_what_has_ended_and_nobody_collects_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, killpg = [], os.killpg

    def noted(group: int, number: int) -> None:
        sent.append(number)
        killpg(group, number)

    monkeypatch.setattr(os, "killpg", noted)
    port = process.free_port()
    with collecting_orphans():
        with process.background(
            server(port), port=port, timeout_s=30, log=tmp_path / "log"
        ) as running:
            pass
        killpg(running.pid, 0)  # the child of the server is still in the group, and dead
        os.waitpid(-running.pid, 0)
    assert [number for number in sent if number] == [signal.SIGTERM]


@pytest.mark.services
def test_a_taken_port_is_an_error_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(ProcessError, match=f"port {port} of 127.0.0.1 is in use"),
            process.background(["no-such-program"], port=port, timeout_s=1),
        ):
            pass


@pytest.mark.services
def test_a_server_that_ends_early_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    code = "print('disk full'); print(); raise SystemExit(4)"
    with (
        pytest.raises(ProcessError, match=r"ended with status 4: disk full \(see .*log\)"),
        process.background(
            server(0, code), port=process.free_port(), timeout_s=30, log=tmp_path / "log"
        ),
    ):
        pass


@pytest.mark.services
def test_a_server_that_never_listens_is_an_error_and_ended(tmp_path: Path) -> None:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    log = tmp_path / "log"
    with (
        pytest.raises(ProcessError, match=r"does not listen on .* after 5 s: \d+ \(see .*log\)"),
        process.background(server(0, code), port=process.free_port(), timeout_s=5, log=log),
    ):
        pass
    assert not lives(int(log.read_text(encoding="utf-8")))


LEAVES = """
import sys, time
from pathlib import Path
from mlflow_sealed import process
process.end_on_sigterm()
port = process.free_port()
code = Path(sys.argv[1]).read_text()
with process.background(
    [sys.executable, "-c", code, str(port)], port=port, timeout_s=30, log=Path(sys.argv[2])
) as server:
    print(server.pid, flush=True)
    time.sleep(600)
"""


def test_sigterm_ends_the_servers_too(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(SERVER, encoding="utf-8")
    command = [sys.executable, "-c", LEAVES, str(tmp_path / "server.py"), str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as running:
        assert running.stdout is not None
        server_pid = int(running.stdout.readline())
        assert lives(server_pid)
        running.terminate()
        assert running.wait(timeout=30) == 128 + signal.SIGTERM
    assert not lives(server_pid)


STATUS = """
import sys
from mlflow_sealed import process
process.end_on_sigterm()
sys.exit(process.status(sys.argv[1:]))
"""

FAMILY = """
import subprocess, sys, time
code = "import time; time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", code])
print(child.pid, flush=True)
child.wait()
"""


def test_sigterm_ends_a_program_and_its_children() -> None:
    command = [sys.executable, "-c", STATUS, sys.executable, "-c", FAMILY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as running:
        assert running.stdout is not None
        grandchild = int(running.stdout.readline())
        assert lives(grandchild)
        running.terminate()
        assert running.wait(timeout=30) == 128 + signal.SIGTERM
    assert not lives(grandchild)


SLOW_TO_END = """
import os, signal, subprocess, sys, time
from mlflow_sealed import process
process.end_on_sigterm()
code = (
    "import os, signal, sys, time;"
    "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), sys.exit(0)));"
    "print(os.getpid(), flush=True);"
    "time.sleep(600)"
)
process.status([sys.executable, "-c", code])
"""


def test_a_second_sigterm_does_not_leave_the_program_behind() -> None:
    """Make sends one to its children, which the end of the whole group has sent them already."""
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_TO_END], stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as running:
        assert running.stdout
        program = int(running.stdout.readline())
        running.terminate()
        time.sleep(0.3)
        running.terminate()
        assert running.wait(timeout=30) == 128 + signal.SIGTERM
        assert not lives(program)


@pytest.mark.parametrize(
    ("code", "status"), [("sys.exit(5)", 5), ("os.kill(os.getpid(), 9)", 128 + 9)]
)
def test_the_status_of_a_program_is_returned(code: str, status: int) -> None:
    assert process.status([sys.executable, "-c", f"import os, sys; {code}"]) == status


@pytest.mark.services
def test_a_file_that_is_no_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="cannot be run: Permission denied"):
        process.status([str(tmp_path)])
    with (
        pytest.raises(ProcessError, match="cannot be run: Permission denied"),
        process.background([str(tmp_path)], port=process.free_port(), timeout_s=1),
    ):
        pass


COMMAND = """
import os, signal, sys
from mlflow_sealed import process
@process.command(LookupError, ProcessLookupError)
def main(code: str) -> int:
    exec(code)
    return 7
sys.exit(main(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("pass", 7, ""),
        ("raise KeyError('no such thing')", 1, "error: 'no such thing'\n"),
        ("raise KeyboardInterrupt", 130, ""),
        ("os.kill(os.getpid(), signal.SIGTERM)", 128 + 15, ""),
    ],
    ids=["done", "failure", "Ctrl-C", "SIGTERM"],
)
def test_a_command_ends_with_a_status_and_at_most_a_line(code: str, status: int, said: str) -> None:
    command = [sys.executable, "-c", COMMAND, code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, said)


def test_a_fault_of_a_command_is_not_taken_for_a_failure() -> None:
    command = [sys.executable, "-c", COMMAND, "1 / 0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError" in done.stderr
