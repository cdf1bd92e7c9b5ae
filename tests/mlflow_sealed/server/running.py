"""Servers that a test may end, kill and overload, and what there is of their processes."""

import json
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import requests
from prometheus_client.parser import text_string_to_metric_families

from mlflow_model import save
from mlflow_sealed import process
from mlflow_sealed.flavor import manifest as manifests
from mlflow_sealed.server.asgi.delayed_write import LAG_S
from tests.environ import ROOT, clean_environ, measured_forks, untraced
from tests.mlflow_sealed.server.slow_model import Task
from training.dataset import read
from training.fit import fit
from training.options import DATA, Options

JSON = "application/json"
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
OFFER = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
"""The lines of a head that offer to go on in another protocol."""

SLOW_S = 0.05
"""A model whose example takes this is not asked in the event loop."""


@dataclass(frozen=True)
class Running:
    """A server that answers: the supervisor of ours, or MLflow's."""

    pid: int
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def temporary(self) -> Path:
        """The server's own temporary folder."""
        return self.log.parent / "temporary"

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        return requests.get(f"{self.url}{path}", headers=headers, timeout=60)

    def post(
        self,
        body: bytes | str,
        content_type: str | None = JSON,
        *,
        path: str = "/invocations",
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send a body; with no Content-Type where it is None."""
        data = body.encode() if isinstance(body, str) else body
        sent = {**({"Content-Type": content_type} if content_type else {}), **(headers or {})}
        return requests.post(f"{self.url}{path}", data=data, headers=sent, timeout=60)

    def predict(self, content: Any) -> list[dict[str, Any]]:
        """Send JSON, and return the predictions of the answer."""
        return predictions(self.post(json.dumps(content)))

    def work(self, seconds: float, mark: Path | None = None) -> requests.Response:
        """Ask the slow model to work so long."""
        return self.post(task(seconds, mark))

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def workers(self) -> list[int]:
        return named("scoring-worker", self.processes())

    def loader(self) -> int:
        """The process that has loaded the model, and forks the others."""
        (found,) = named("scoring-loader", self.processes())
        return found

    def processes(self) -> list[int]:
        """The supervisor, its workers, and their subprocesses."""
        return tree(self.pid)

    def resident_kib(self) -> dict[int, int]:
        """The resident memory of each process."""
        return {pid: resident_kib(pid) for pid in self.processes()}

    def said(self) -> str:
        """Return all that the server has written so far: its whole stdout and stderr."""
        time.sleep(5 * LAG_S)
        return self.log.read_text(encoding="utf-8", errors="replace")

    def lines(self) -> list[dict[str, Any]]:
        """The log's lines about requests."""
        return [json.loads(line) for line in self.said().splitlines() if line.startswith("{")]

    def samples(self, *, settled: bool = True) -> dict[str, float]:
        """What /metrics says: ``name{label="value",…}``, the labels in their order, to value.

        With `settled`, of all that was answered until now, by whichever worker.
        """
        if settled:
            time.sleep(10 * LAG_S)
        return samples(self.get("/metrics").text)


def predictions(answer: requests.Response) -> list[dict[str, Any]]:
    """Return the predictions of an answer that has to have some."""
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["predictions"]
    return found


@contextmanager
def serving(
    model: Path, folder: Path, *, workers: int = 1, traced: bool = False, **settings: str
) -> Iterator[Running]:
    """Serve a model for the length of a block, once every worker answers.

    Parameters
    ----------
    model
        The model's folder.
    folder
        Gets the log, and a temporary folder of the server's own.
    traced
        Whether it is measured for coverage: it takes half as long again to start then, and answers
        more slowly.
    settings
        More environment variables.
    """
    running = Running(0, process.free_port(), folder / "log")
    running.temporary.mkdir()
    command = (sys.executable, "-m", "mlflow_sealed.server.run", str(model))
    environ = {
        **environment(traced=traced),
        "PYTHONPATH": python_path(folder),
        "HOST": "127.0.0.1",
        "PORT": str(running.port),
        "MLFLOW_MODELS_WORKERS": str(workers),
        "TMPDIR": str(running.temporary),
        **settings,
    }
    # Bytecode, left by a test that has loaded the model in place; the server rejects it.
    for bytecode in list(model.rglob("__pycache__")):
        shutil.rmtree(bytecode, ignore_errors=True)
    with process.background(
        command, port=running.port, timeout_s=60, env=environ, log=running.log
    ) as started:
        running = replace(running, pid=started.pid)
        until(lambda: sum(map(polls, running.workers())) == workers)
        yield running


@contextmanager
def serving_stock(model: Path, folder: Path) -> Iterator[Running]:
    """Serve a model with MLflow's own server, without its command line."""
    port, log = process.free_port(), folder / "log"
    environ = {**environment(), "__pyfunc_model_path__": str(model)}
    app = "mlflow.pyfunc.scoring_server.app:app"
    command = (sys.executable, "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", str(port))
    with process.background(command, port=port, timeout_s=60, env=environ, log=log) as server:
        yield Running(server.pid, port, log)


def environment(*, traced: bool = False) -> dict[str, str]:
    """Return the environment of a server on this machine, without a setting of its own."""
    environ = measured_forks(clean_environ()) if traced else untraced(clean_environ())
    kept = {name: value for name, value in environ.items() if not name.startswith("SCORING_")}
    return {**kept, "PYTHONPATH": str(ROOT)}


def python_path(folder: Path) -> str:
    """Return a path for Python that has the repository and, as the image, no scikit-learn.

    XGBoost imports it wherever it is: a third of the time that a server takes to start.
    """
    absent = folder / "absent"
    absent.mkdir(exist_ok=True)
    (absent / "sklearn.py").write_text("raise ImportError\n", encoding="utf-8")
    return os.pathsep.join((str(absent), str(ROOT)))


def task(seconds: float, mark: Path | None = None, *, rows: int = 1) -> bytes:
    """Return a request to the slow model."""
    row = {"seconds": seconds, **({"mark": str(mark)} if mark else {})}
    return json.dumps({"inputs": [row] * rows}).encode()


def save_slow_model(path: Path, *, example_s: float = SLOW_S) -> Path:
    """Save the slow model; how long its example takes says where small requests are answered."""
    mlflow.pyfunc.save_model(
        path,
        python_model=str(Path(__file__).with_name("slow_model.py")),
        input_example=[Task(seconds=example_s)],
        pip_requirements=[],
    )
    manifest = json.dumps(manifests.digests(path))
    (path / manifests.MANIFEST).write_text(manifest, encoding="utf-8")
    return path


def save_diabetes_model(path: Path) -> Path:
    """Save a small model of the project's own."""
    data = read(ROOT / DATA)
    booster = fit(data.records, data.labels, Options(trees=5)).get_booster()
    save.save_model(path, booster=booster, threshold=0.5, model_name="diabetes")
    return path


def until(holds: Callable[[], bool], *, timeout_s: float = 60) -> float:
    """Wait until a condition holds, and return how many seconds that took."""
    begin = time.monotonic()
    while not holds():
        assert time.monotonic() - begin < timeout_s, "it does not come true in time"
        time.sleep(0.02)
    return time.monotonic() - begin


def children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(child) for child in text.split()]


def tree(pid: int) -> list[int]:
    return [pid, *(found for child in children(pid) for found in tree(child))]


def named(name: str, pids: Iterable[int]) -> list[int]:
    """Return the processes that have a name of the server's."""
    return [pid for pid in pids if lives(pid) and process_name(pid) == name]


def process_name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def lives(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def polls(pid: int) -> bool:
    """Whether a process has an event loop that waits; a worker's model is loaded by then."""
    try:
        files = [str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return "anon_inode:[eventpoll]" in files


def resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) if found else 0


def samples(page: str) -> dict[str, float]:
    """Return the samples of a page in Prometheus' text format."""
    return {
        _series(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def raw(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """Return a request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: test"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def post(body: bytes, path: str = "/invocations") -> bytes:
    """Return a request with a JSON body as it goes over the wire."""
    return raw("POST", path, {"Content-Type": JSON, "Content-Length": str(len(body))}, body)


def answers(connection: socket.socket) -> list[tuple[int, bytes]]:
    """Return the statuses and bodies of all that comes until the other side closes."""
    received = bytearray()
    while part := connection.recv(65536):
        received += part
    return list(split(bytes(received)))


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Return the status and the body of one answer."""
    received = b""
    while not (found := list(split(received))):
        part = connection.recv(65536)
        assert part, "the connection was closed before an answer"
        received += part
    return found[0]


def split(received: bytes) -> Iterator[tuple[int, bytes]]:
    """Give the complete answers in what was received."""
    while received:
        head, separator, rest = received.partition(b"\r\n\r\n")
        found = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        size = int(found[1]) if found else 0
        if not separator or len(rest) < size:
            return
        yield int(head.split(b" ", 2)[1]), rest[:size]
        received = rest[size:]


def median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _series(name: str, labels: Mapping[str, str]) -> str:
    shown = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{shown}}}" if shown else name
