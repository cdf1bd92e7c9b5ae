"""What many workers take: memory, the time until all of them answer, and until one is replaced.

The server of these sources runs in turns with that of an earlier commit and with MLflow's own, each
with the same model. Memory is the proportional set size (PSS) of the whole tree of processes: a
page that several processes share counts once. It is measured at rest, after each worker has
answered a number of requests. Times depend on the machine, so what counts is their ratio.

    git clone . ../before && (cd ../before && git checkout -q COMMIT && setup/environment.sh)
    python -m benchmarks.workers --before ../before

It writes WORKERS.md. Without ``--before`` it prints what it finds about these sources alone.
"""

import argparse
import datetime as dt
import http.client
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import environments, machine
from benchmarks.project import NAME, PROJECT, ROOT
from benchmarks.table import markdown
from mlflow_model import save
from mlflow_sealed import process
from mlflow_sealed.feed import credential
from training.dataset import read
from training.fit import fit
from training.options import DATA, Options

WORK: Final = ROOT / ".cache" / "workers"
"""What a run leaves behind: the model, and a log of every server."""

NOW: Final = "these sources"
BEFORE: Final = "the commit before"
MLFLOW: Final = "mlflow models serve"
"""MLflow's own server, with the project's environment, as `make setup` makes it."""

LEAN: Final = "MLflow's application alone"
"""What that command runs, in an environment with mlflow-skinny and what it needs, by uvicorn."""

MIB: Final = 2**20

_REST_S: Final = 2
_TIMEOUT_S: Final = 120
_MAKE: Final = (
    "from benchmarks import environments; from benchmarks.project import PROJECT; "
    "print(environments.make([PROJECT.lock('model'), PROJECT.lock('server')]))"
)


@dataclass(frozen=True)
class Server:
    """A server that is measured: how it is started with so many workers on a port."""

    title: str
    binaries: Path
    command: Callable[[Path, int, int], Sequence[str]]
    environ: Callable[[Path, int, int], dict[str, str]]


@dataclass(frozen=True)
class Sample:
    """What one start of a server gave.

    Attributes
    ----------
    start_s
        From its start until all workers answer, in seconds.
    pss_mib
        The memory of the whole tree at rest, in MiB.
    replaced_s
        From the end of a worker that was killed until another one answers; None: not measured.
    """

    start_s: float
    pss_mib: float
    replaced_s: float | None


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the tables, and write the page if there is something to compare with."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--before", type=Path, help="a clone of the commit to compare with")
    parser.add_argument("--workers", type=int, default=8, help="the many (%(default)s)")
    parser.add_argument("--requests", type=int, default=1000, help="for each worker (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (%(default)s)")
    options = parser.parse_args(arguments)
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    model, bodies = _train()
    servers = _servers(options.before)
    samples: dict[tuple[str, int], list[Sample]] = {}
    for number in range(options.rounds):
        for server in servers if number % 2 == 0 else reversed(servers):
            for workers in (1, options.workers):
                if server.title in {MLFLOW, LEAN} and (workers == 1 or number):
                    continue  # its memory is all that counts, and it hardly varies
                print(f"round {number + 1}: {server.title}, {workers}", file=sys.stderr, flush=True)
                found = _measure(server, model, workers, bodies, options.requests)
                samples.setdefault((server.title, workers), []).append(found)
    page = _report(samples, options)
    print(page)
    if options.before:
        (Path(__file__).parent / "WORKERS.md").write_text(f"{page}\n", encoding="utf-8")
    return 0


def _train() -> tuple[Path, list[bytes]]:
    """Return the folder of a model, and requests of one row."""
    data = read(ROOT / DATA)
    booster = fit(data.records, data.labels, Options()).get_booster()
    save.save_model(WORK / "model", booster=booster, threshold=0.5, model_name=NAME)
    rows = json.loads(data.records.to_json(orient="records", double_precision=15))
    return WORK / "model", [json.dumps({"inputs": [row]}).encode() for row in rows]


def _servers(before: Path | None) -> list[Server]:
    locks = (PROJECT.lock("model"), PROJECT.lock("server"))
    found = [_ours(NOW, environments.make(locks))]
    if before:
        command = [str(before / ".venv" / "bin" / "python"), "-c", _MAKE]
        done = subprocess.run(command, cwd=before, capture_output=True, text=True, check=True)
        found.append(_ours(BEFORE, Path(done.stdout.split("\n")[-2])))
        found += [_mlflow(), _lean(environments.make((PROJECT.lock("peer_mlflow"),)))]
    return found


def _ours(title: str, binaries: Path) -> Server:
    return Server(
        title,
        binaries,
        lambda model, _, __: ("python", "-m", "mlflow_sealed.server.run", str(model)),
        lambda _, port, workers: {
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "MLFLOW_MODELS_WORKERS": str(workers),
        },
    )


def _mlflow() -> Server:
    return Server(
        MLFLOW,
        Path(sys.executable).parent,
        lambda model, port, workers: (
            *("mlflow", "models", "serve", "--model-uri", str(model), "--env-manager", "local"),
            *("--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)),
        ),
        lambda _, __, ___: {"PYTHONDONTWRITEBYTECODE": "1"},  # the model's folder stays as it is
    )


def _lean(binaries: Path) -> Server:
    app = "mlflow.pyfunc.scoring_server.app:app"
    quiet = ("--no-access-log", "--log-level", "warning", app)
    return Server(
        LEAN,
        binaries,
        lambda _, port, workers: (
            *("uvicorn", "--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)),
            *quiet,
        ),
        lambda model, _, __: {
            "__pyfunc_model_path__": str(model),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )


def _measure(
    server: Server, model: Path, workers: int, bodies: Sequence[bytes], requests: int
) -> Sample:
    begin = time.monotonic()
    with _running(server, model, workers) as (pid, port):
        _await_workers(pid, workers)
        start_s = time.monotonic() - begin
        _ask_each(pid, port, workers, bodies, requests)
        time.sleep(_REST_S)
        pss_mib = sum(map(_pss_bytes, _tree(pid))) / MIB
        is_ours = server.title in {NOW, BEFORE}
        replaced_s = _replace(pid) if is_ours and workers > 1 else None
    return Sample(start_s, pss_mib, replaced_s)


@contextmanager
def _running(server: Server, model: Path, workers: int) -> Iterator[tuple[int, int]]:
    port = process.free_port()
    program, *arguments = server.command(model, port, workers)
    environ = {
        **credential.removed(os.environ),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **server.environ(model, port, workers),
    }
    environ.pop("PYTHONPATH", None)
    with process.background(
        [str(server.binaries / program), *arguments],
        port=port,
        timeout_s=_TIMEOUT_S,
        env=environ,
        log=WORK / f"{server.title.replace(' ', '-')}.log",
    ) as started:
        yield started.pid, port


def _await_workers(pid: int, workers: int) -> None:
    _until(lambda: len(_waiting(pid)) >= workers)


def _waiting(pid: int) -> set[int]:
    """Return the processes whose event loop runs."""
    return {found for found in _tree(pid) if "anon_inode:[eventpoll]" in _files(found)}


def _ask_each(pid: int, port: int, workers: int, bodies: Sequence[bytes], requests: int) -> None:
    """Send each worker its requests, on one connection each."""
    asked: set[int] = set()
    deadline = time.monotonic() + _TIMEOUT_S
    while len(asked) < workers and time.monotonic() < deadline:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)) as one:
            try:
                _post(one, bodies[0])
            except (OSError, http.client.HTTPException):  # MLflow's server loads the model first
                time.sleep(0.1)
                continue
            owner = _owner(pid, one.sock.getsockname()[1])
            if owner not in asked:
                for number in range(requests):
                    _post(one, bodies[number % len(bodies)])
                asked.add(owner)
    if len(asked) < workers:
        raise process.ProcessError(f"{len(asked)} of {workers} workers answer")


def _post(connection: http.client.HTTPConnection, body: bytes) -> None:
    connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    if b"probability" not in answer.read():
        raise process.ProcessError(f"the server answers {answer.status} without a prediction")


def _owner(pid: int, client_port: int) -> int:
    """Return the process that has accepted the connection from a port."""
    table = Path("/proc/net/tcp").read_text(encoding="ascii")
    for line in table.splitlines()[1:]:
        _, _, remote, *rest = line.split()
        if int(remote.partition(":")[2], 16) == client_port:
            inode = rest[6]
            return next(one for one in _tree(pid) if f"socket:[{inode}]" in _files(one))
    raise process.ProcessError("the connection is gone")


def _replace(pid: int) -> float:
    """Kill a worker, and return how long it takes until another one waits for requests."""
    before = _waiting(pid)
    os.kill(max(before), signal.SIGKILL)
    begin = time.monotonic()
    _until(lambda: bool(_waiting(pid) - before), pause_s=0.001)
    return time.monotonic() - begin


def _tree(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return [pid]
    return [pid, *(found for child in text.split() for found in _tree(int(child)))]


def _files(pid: int) -> set[str]:
    try:
        return {str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        return set()


def _pss_bytes(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _until(holds: Callable[[], bool], *, pause_s: float = 0.01) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while not holds():
        if time.monotonic() > deadline:
            raise process.ProcessError("the server does not get ready in time")
        time.sleep(pause_s)


def _report(samples: dict[tuple[str, int], list[Sample]], options: argparse.Namespace) -> str:
    day = dt.datetime.now(tz=dt.UTC).date()
    header = ["", "workers", "PSS, MiB", "start, s", "replaced, ms"]
    rows = [
        [title, str(workers), *_cells(title, found)]
        for (title, workers), found in sorted(samples.items())
    ]
    made = (
        f"Made on {day} with `python -m benchmarks.workers --before FOLDER --workers "
        f"{options.workers} --requests {options.requests} --rounds {options.rounds}` on "
        f"{machine.describe()}, in turns. PSS is that of all processes, at rest after "
        f"{options.requests} requests to each worker; start is until all workers answer; replaced "
        "is from a worker's end to the next one's event loop. Figures are medians over the rounds, "
        f"ratios are taken round by round. `{MLFLOW}` runs in the project's own environment, which "
        f"has all of MLflow; {LEAN}, in one with mlflow-skinny."
    )
    parts = ["# One load, many workers", made]
    if options.before:
        parts += ["## Targets", markdown(["target", "measured", ""], _targets(samples, options))]
    return "\n\n".join([*parts, "## Figures", markdown(header, rows)])


def _cells(title: str, found: Sequence[Sample]) -> list[str]:
    replaced = [one.replaced_s for one in found if one.replaced_s is not None]
    return [
        f"{statistics.median(one.pss_mib for one in found):.0f}",
        # MLflow's workers load the model when their event loop runs already.
        f"{statistics.median(one.start_s for one in found):.2f}" if title in {NOW, BEFORE} else "",
        f"{statistics.median(replaced) * 1000:.0f}" if replaced else "",
    ]


def _targets(
    samples: dict[tuple[str, int], list[Sample]], options: argparse.Namespace
) -> list[list[str]]:
    many = options.workers

    def ratio(size: Callable[[Sample], float], workers: int, other: str = BEFORE) -> float:
        ours, theirs = samples[NOW, workers], samples[other, workers]
        theirs = theirs if len(theirs) == len(ours) else theirs * len(ours)
        pairs = zip(ours, theirs, strict=True)
        return statistics.median(size(one) / size(two) for one, two in pairs)

    def row(target: str, found: float, most: float) -> list[str]:
        return [
            f"{target} at most {most:g}",
            f"{found:.2f}",
            "met" if found <= most else "**missed**",
        ]

    replaced = statistics.median(one.replaced_s or 0 for one in samples[NOW, many])
    return [
        row(f"{many} workers: memory, by the commit before,", ratio(_pss, many), 0.4),
        row(f"{many} workers: memory, by `{MLFLOW}`,", ratio(_pss, many, MLFLOW), 0.15),
        row(f"{many} workers: time to start, by the commit before,", ratio(_start, many), 0.35),
        row("1 worker: memory, by the commit before,", ratio(_pss, 1), 1),
        row("1 worker: time to start, by the commit before,", ratio(_start, 1), 1),
        row("a killed worker is replaced, in seconds,", replaced, 0.1),
    ]


def _pss(sample: Sample) -> float:
    return sample.pss_mib


def _start(sample: Sample) -> float:
    return sample.start_s


if __name__ == "__main__":
    sys.exit(main())
