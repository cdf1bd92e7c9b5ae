"""The entry point of the image, outside of it: the supervisor and its workers as processes here."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from mlflow_model import save
from mlflow_sealed import process
from mlflow_sealed.flavor import manifest as manifests
from mlflow_sealed.server.run import supervisor
from mlflow_sealed.server.run.health import health
from tests.environ import ROOT, measured_forks, untraced
from tests.mlflow_sealed.server.running import named, python_path, tree
from tests.package import VERSION
from tests.records import REQUEST
from training.dataset import read
from training.fit import fit
from training.options import DATA, Options

SUPERVISE = """
import os, sys
from pathlib import Path
from mlflow_sealed.server.run import __main__ as entry
entry.MODEL = Path(sys.argv[1])
sys.exit(entry.main([]))
"""


@dataclass(frozen=True)
class Running:
    """A supervisor that serves."""

    process: subprocess.Popen[str]
    port: int

    def post(self, *, rows: int = 1) -> requests.Response:
        url = f"http://127.0.0.1:{self.port}/invocations"
        content = json.loads(REQUEST.read_bytes())
        return requests.post(url, json={"inputs": content["inputs"] * rows}, timeout=60)

    def pings(self) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/ping", timeout=60).ok
        except requests.ConnectionError:
            return False

    def workers(self) -> set[int]:
        return set(named("scoring-worker", tree(self.process.pid)))

    def health(self) -> int:
        command = [sys.executable, "-m", "mlflow_sealed.server.run", "health"]
        ours = {"HOST": "0.0.0.0", "PORT": str(self.port)}  # noqa: S104 # it is asked, not bound
        environ = {**untraced(os.environ), **ours}
        return subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = read(ROOT / DATA)
    booster = fit(data.records, data.labels, Options(trees=5)).get_booster()
    path = tmp_path_factory.mktemp("saved") / "model"
    save.save_model(path, booster=booster, threshold=0.5, model_name="diabetes")
    return path


def start(
    model: Path,
    port: int,
    settings: Mapping[str, str],
    *,
    traced: bool = True,
    code: str = SUPERVISE,
) -> subprocess.Popen[str]:
    ours = {"HOST": "127.0.0.1", "PORT": str(port), "PYTHONPATH": python_path(model.parent)}
    environ = measured_forks(os.environ) if traced else untraced(os.environ)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(model)],
        cwd=ROOT,
        env={**environ, **ours, **settings},
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running(model: Path, *, workers: int) -> Iterator[Running]:
    port = process.free_port()
    # The tests in ../served measure a server for coverage; it takes half as long again to start.
    supervisor = start(model, port, {"MLFLOW_MODELS_WORKERS": str(workers)}, traced=False)
    try:
        found = Running(supervisor, port)
        until(lambda: found.pings() and len(found.workers()) == workers)
        assert found.health() == 0
        yield found
    finally:
        supervisor.terminate()
        supervisor.communicate(timeout=40)


def until(holds: Callable[[], bool], *, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it does not come true in time"
        time.sleep(0.05)


def start_error(model: Path, code: str = SUPERVISE, **settings: str) -> tuple[int, str]:
    supervisor = start(model, process.free_port(), settings, code=code)
    try:
        _, said = supervisor.communicate(timeout=60)
    finally:
        supervisor.terminate()  # where it serves after all
    return supervisor.returncode, said


@pytest.mark.services
def test_a_model_that_is_served_stays_as_it_was_logged(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    with running(model, workers=1) as server:
        assert server.post().status_code == 200
    manifests.check(model)


RETIRE = f"""
from mlflow_sealed.server.settings import RETIRED
RETIRED["SCORING_OLD"] = "the server decides that itself"
{SUPERVISE}"""


def test_a_setting_that_is_gone_is_one_line_at_the_start(model: Path) -> None:
    environ = {"SCORING_OLD": "7", "SCORING_MAX_ROWS": "many"}
    status, lines = start_error(model, RETIRE, **environ)
    assert status == supervisor.CANNOT_START
    assert lines.splitlines() == [
        "warning: SCORING_OLD is not a setting any more: the server decides that itself",
        "error: SCORING_MAX_ROWS is 'many', expected a whole number from 1 to 10000000",
    ]


@pytest.mark.services
def test_a_killed_worker_is_replaced_and_sigterm_ends_with_status_0(model: Path) -> None:
    with running(model, workers=2) as server:
        assert server.post().json()["predictions"][0]["model"] == "diabetes"
        before = server.workers()
        os.kill(min(before), signal.SIGKILL)
        until(lambda: len(server.workers() - before) == 1)
        assert server.post().status_code == 200
        server.process.terminate()
        assert server.process.wait(timeout=40) == 0
        assert server.health() == 1


@pytest.mark.services
def test_workers_that_are_killed_again_and_again_end_it(model: Path) -> None:
    with running(model, workers=1) as server:
        until(lambda: killed(server))
        assert server.process.wait(timeout=40) == 1


def killed(server: Running) -> bool:
    """Kill what there is of workers, and return whether the supervisor has ended."""
    if not ended(server):
        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)
    return ended(server)


def ended(server: Running) -> bool:
    return server.process.poll() is not None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"MLFLOW_MODELS_WORKERS": "two"},
            "MLFLOW_MODELS_WORKERS is 'two', expected a whole number",
        ),
        ({"PORT": "0"}, "PORT is '0', expected a whole number from 1 to 65535"),
        ({"HOST": "192.0.2.1"}, "cannot listen on 192.0.2.1 port"),
    ],
)
def test_a_setting_that_is_none_is_one_line(
    model: Path, settings: dict[str, str], said: str
) -> None:
    status, line = start_error(model, **settings)
    assert status == supervisor.CANNOT_START
    assert line.startswith(f"error: {said}")
    assert line.count("\n") == 1


def test_a_model_that_was_trained_with_another_package_is_one_line(
    model: Path, tmp_path: Path
) -> None:
    subprocess.run(["cp", "-r", str(model), str(tmp_path / "model")], check=True)
    changed = tmp_path / "model"
    file = changed / "artifacts" / "training.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    record["package"]["version"] = "1.0.0"
    file.write_text(json.dumps(record), encoding="utf-8")
    status, line = start_error(changed)
    assert (status, line.count("\n")) == (supervisor.CANNOT_START, 1)
    assert "files that differ: ['artifacts/training.json']" in line
    manifest = json.dumps(manifests.digests(changed))
    (changed / manifests.MANIFEST).write_text(manifest, encoding="utf-8")
    status, line = start_error(changed)
    assert (status, line.count("\n")) == (supervisor.CANNOT_START, 1)
    assert f"trained with mypreprocessing 1.0.0, installed is {VERSION}" in line


def with_preprocess(model: Path, path: Path, returned: str) -> Path:
    """Return a copy of a model whose preprocess returns something else, made of ``features``."""
    shutil.copytree(model, path)
    file, marked = path / "model.py", "EXPLAIN: Final ="
    text = file.read_text(encoding="utf-8")
    assert marked in text
    change = (
        f"def preprocess(patients):\n"
        f"    features = mypreprocessing.preprocess(patients)\n"
        f"    return {returned}\n\n\n"
    )
    file.write_text(text.replace(marked, change + marked, 1), encoding="utf-8")
    (path / manifests.MANIFEST).unlink()
    manifest = json.dumps(manifests.digests(path))
    (path / manifests.MANIFEST).write_text(manifest, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("features.astype(np.float64)", "an array of float64 in C order, shape (2, 8)"),
        ("np.asfortranarray(features)", "an array of float32 in another order, shape (2, 8)"),
    ],
    ids=["float64", "Fortran order"],
)
def test_a_preprocess_that_returns_other_features_is_one_line_at_the_start(
    model: Path, tmp_path: Path, returned: str, said: str
) -> None:
    expected = (
        f"error: the model cannot be loaded: FeatureLayoutError: got {said} from preprocess, "
        "expected an array of float32 in C order, shape (n, 8): mend the preprocessing, or use the "
        "version before\n"
    )
    status, line = start_error(with_preprocess(model, tmp_path / "model", returned))
    assert (status, line) == (supervisor.CANNOT_START, expected)


@pytest.mark.services
def test_features_that_turn_wrong_later_are_an_error_and_no_prediction(
    model: Path, tmp_path: Path
) -> None:
    returned = "features if len(features) < 3 else features.astype(np.float64)"
    with running(with_preprocess(model, tmp_path / "model", returned), workers=1) as server:
        assert server.post().status_code == 200
        answer = server.post(rows=3)
        assert answer.status_code == 500
        assert answer.json()["message"] == "the model failed with FeatureLayoutError"


@pytest.mark.services
def test_the_health_check_fails_where_nothing_listens() -> None:
    assert health({"HOST": "127.0.0.1", "PORT": str(process.free_port())}) == 1
    assert health({"HOST": "::", "PORT": str(process.free_port())}) == 1
