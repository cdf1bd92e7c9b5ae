"""Load on a server of this machine: single rows with wrk, and large requests one by one."""

import http.client
import json
import shutil
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlflow_sealed import process

SCRIPT: Final = Path(__file__).with_name("post.lua")
_HEADERS: Final = {"Content-Type": "application/json"}
_TIMEOUT_S: Final = 60


@dataclass(frozen=True)
class Sample:
    """What one server did in one round.

    Attributes
    ----------
    rate
        Rows a second.
    p50_ms, p99_ms
        Quantiles of the time from sending a request to having its answer.
    """

    rate: float
    p50_ms: float
    p99_ms: float


def find_wrk() -> str:
    """Return the path of wrk.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If it is not installed.
    """
    found = shutil.which("wrk")
    if not found:
        raise process.ProcessError("wrk is not installed: apt-get install wrk")
    return found


def single_rows(url: str, bodies: Path, *, connections: int, seconds: int) -> Sample:
    """Post the lines of a file, one row each, as fast as the server answers.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If wrk fails, or any request is not answered with success.
    """
    options = ("--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s")
    arguments = ("--timeout", f"{_TIMEOUT_S}s", "--script", str(SCRIPT), url, "--", str(bodies))
    command = [find_wrk(), *options, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise process.ProcessError(f"wrk on {url} failed: {done.stderr.strip() or done.stdout}")
    return parse(done.stdout)


def parse(output: str) -> Sample:
    """Return what post.lua has printed below wrk's own report.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If there is no such line, no request was answered, or one was not answered with success.

    Examples
    --------
    >>> parse('{"requests": 600, "errors": 0, "duration_us": 3e6, "p50_us": 800, "p99_us": 2000}')
    Sample(rate=200.0, p50_ms=0.8, p99_ms=2.0)
    """
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise process.ProcessError(f"wrk has not printed what {SCRIPT.name} counts: {output!r}")
    found = json.loads(lines[-1])
    if found["errors"] or not found["requests"]:
        raise process.ProcessError(
            f"of {found['requests']} requests {found['errors']} were not answered with success: "
            "the comparison is void"
        )
    return Sample(
        rate=found["requests"] / found["duration_us"] * 1e6,
        p50_ms=found["p50_us"] / 1e3,
        p99_ms=found["p99_us"] / 1e3,
    )


def large_requests(port: int, path: str, body: bytes, *, rows: int, seconds: float) -> Sample:
    """Post one large request after the other on one connection, three at least.

    Parameters
    ----------
    rows
        How many rows the body has.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If a request is not answered with success.
    """
    times_s: list[float] = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        while sum(times_s) < seconds or len(times_s) < 3:  # noqa: PLR2004 # for a median
            begin = time.perf_counter()
            post(connection, path, body)
            times_s.append(time.perf_counter() - begin)
    finally:
        connection.close()
    return Sample(
        rate=rows * len(times_s) / sum(times_s),
        p50_ms=statistics.median(times_s) * 1e3,
        p99_ms=sorted(times_s)[int(len(times_s) * 0.99)] * 1e3,
    )


def post(connection: http.client.HTTPConnection, path: str, body: bytes) -> bytes:
    """Return the answer to one request.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If it is not answered with success.
    """
    try:
        connection.request("POST", path, body=body, headers=_HEADERS)
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise process.ProcessError(f"no answer from {path}: {type(error).__name__}") from error
    if response.status != http.client.OK:
        raise process.ProcessError(f"{path} answered with status {response.status}")
    return answer
