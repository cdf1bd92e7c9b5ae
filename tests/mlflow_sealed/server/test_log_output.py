"""Standard output and error that never wait: nothing is torn, and what is dropped is counted."""

import fcntl
import os
import re
import select
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mlflow_sealed.server import log_output
from mlflow_sealed.server.log_output import KEPT_BYTES, LogOutput

Pair = tuple[int, int]

LINE = b"line %06d " + b"x" * 100 + b"\n"


def dropped(count: int) -> bytes:
    return b"dropped %d\n" % count


def connected() -> Pair:
    ours, theirs = socket.socketpair()
    return theirs.detach(), ours.detach()


PAIRS: dict[str, Callable[[], Pair]] = {
    "pipe": os.pipe,
    "socket": connected,
    "terminal": os.openpty,
}


def read_all(source: int, output: LogOutput) -> bytes:
    """Read what there is, while the output writes what it has kept."""
    found = bytearray()
    while select.select([source], [], [], 0.05)[0]:
        found += os.read(source, 65536)
        output.flush()
    return bytes(found).replace(b"\r\n", b"\n")  # a terminal's


@pytest.fixture(params=list(PAIRS.values()), ids=list(PAIRS))
def pair(request: pytest.FixtureRequest) -> Pair:
    made: Pair = request.param()
    return made


def test_nothing_waits_for_a_reader_and_each_line_is_there_or_counted(pair: Pair) -> None:
    source, target = pair
    count = 3 * KEPT_BYTES // len(LINE % 0)
    output = LogOutput(target, dropped)
    for number in range(count):
        output.write(LINE % number)
    assert output.is_late
    lines = read_all(source, output).splitlines(keepends=True)
    output.write(LINE % count)
    lines += read_all(source, output).splitlines(keepends=True)
    (told,) = (line for line in lines if line.startswith(b"dropped"))
    kept = lines.index(told)
    assert lines[:kept] == [LINE % number for number in range(kept)]
    assert int(told.split()[1]) == count - kept > 0
    assert lines[kept + 1 :] == [LINE % count]
    assert not output.is_late


def test_control_a_pipe_that_nothing_reads_is_full_long_before() -> None:
    source, target = os.pipe()
    os.set_blocking(target, False)
    assert os.write(target, LINE * 100_000) < KEPT_BYTES
    with pytest.raises(BlockingIOError):
        os.write(target, LINE)
    assert not select.select([], [target], [], 0)[1]
    os.close(source)


def test_whether_others_wait_for_the_same_output_stays_as_it_was(pair: Pair) -> None:
    _, target = pair
    before = fcntl.fcntl(target, fcntl.F_GETFL)
    output = LogOutput(target, dropped)
    for number in range(2000):
        output.write(LINE % number)
    assert fcntl.fcntl(target, fcntl.F_GETFL) == before


def test_lines_of_two_writers_stay_whole() -> None:
    source, target = os.pipe()
    one, two = LogOutput(target, dropped), LogOutput(target, dropped)
    for number in range(2000):
        for output in (one, two):
            output.write(LINE % number * 50)
    found = (read_all(source, one) + read_all(source, two)).splitlines(keepends=True)
    torn = set(found) - {LINE % number for number in range(2000)}
    assert len(found) > 1000
    assert all(line.startswith(b"dropped ") for line in torn)


def test_a_line_that_is_longer_than_a_pipe_takes_at_once_is_whole() -> None:
    source, target = os.pipe()
    output = LogOutput(target, dropped)
    long = b"y" * 300_000 + b"\n"
    output.write(long)
    assert read_all(source, output) == long


def test_an_output_that_may_not_be_opened_again_does_not_wait_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    source, target = os.pipe()
    monkeypatch.setattr(os, "open", refuse)
    output = LogOutput(target, dropped)
    for number in range(2000):
        output.write(LINE % number)
    assert output.is_late
    assert read_all(source, output) == b"".join(LINE % number for number in range(2000))


def test_a_reader_that_has_gone_is_no_error(pair: Pair) -> None:
    source, target = pair
    output = LogOutput(target, dropped)
    os.close(source)
    output.write(LINE % 1)
    assert not output.is_late


def test_a_file_gets_everything_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"before\n")
    with path.open("ab") as file:
        LogOutput(file.fileno(), dropped).write(LINE % 1)
    assert path.read_bytes() == b"before\n" + LINE % 1


PRINT = """
from mlflow_sealed.server.log_output import never_wait
import logging, sys
never_wait()
for number in range(15_000):
    print("out", number, "x" * 80)
    print("err", number, "x" * 80, file=sys.stderr)
logging.warning("logged")
print("the end of standard error", file=sys.stderr)
"""


def test_what_python_prints_does_not_wait() -> None:
    """Nothing reads either pipe while it prints."""
    with subprocess.Popen(
        [sys.executable, "-c", PRINT], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.wait(60) == 0
        assert process.stdout
        assert process.stderr
        for stream, name in ((process.stdout, b"out"), (process.stderr, b"err")):
            lines = stream.read().splitlines()
            assert len(lines) > 100
            assert all(re.fullmatch(name + rb" \d+ x{80}", line) for line in lines)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_without_an_output_nothing_fails(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    log_output.never_wait()
    assert getattr(sys, stream) is None
    assert log_output.outputs() == []
