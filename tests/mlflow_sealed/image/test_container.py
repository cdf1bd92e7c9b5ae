"""What the container does: answer, refuse, replace, drain, end."""

import concurrent.futures
import json
import os
import re
import shutil
import signal
import sysconfig
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final, Self

import pytest
import requests

from mlflow_sealed.flavor import manifest
from mlflow_sealed.image import check, context, docker
from mlflow_sealed.server import settings
from mlflow_sealed.server.asgi.delayed_write import LAG_S
from mlflow_sealed.server.run.supervisor import CANNOT_START
from tests.conftest import CHAMPION, PROJECT, Server, Trained
from tests.environ import ROOT
from tests.mlflow_sealed.image.conftest import (
    NOWHERE_TO_WRITE,
    Built,
    Container,
    running,
    starting,
    until,
)
from tests.package import VERSION

pytestmark = pytest.mark.no_cover  # what is tested runs in containers

HEALTH: Final = ("python", "-S", "-m", "mlflow_sealed.server.run", "health")
"""The image's health check."""

DELAY_S: Final = 5
"""How long the image takes new connections after SIGTERM."""

REQUEST: Final = (ROOT / "examples" / "request.json").read_bytes()


def test_it_answers_as_mlflow_models_serve_does(container: Container, served: Server) -> None:
    ours, stock = container.post(REQUEST), served.post(REQUEST)
    assert ours.status_code == stock.status_code == requests.codes.ok
    assert ours.json() == stock.json()


def test_it_predicts_every_held_out_row_as_recorded(
    container: Container, served: Server, held_out: dict[str, Any]
) -> None:
    body = json.dumps({"inputs": held_out["inputs"]})
    ours, stock = (
        [row["probability"] for row in server.post(body).json()["predictions"]]
        for server in (container, served)
    )
    assert len(ours) == len(held_out["probabilities"]) > 100
    assert ours == pytest.approx(stock, abs=check.TOLERANCE)
    assert ours == pytest.approx(held_out["probabilities"], abs=check.TOLERANCE)


def test_it_runs_as_nobody_in_particular_and_writes_nothing(container: Container) -> None:
    identity = docker.ask("exec", container.name, "id", "-u").strip()
    assert identity == b"10001"
    changes = docker.ask("diff", container.name).decode().split()
    assert [change for change in changes if change not in {"C", "A", "D", "/tmp"}] == []  # noqa: S108


def test_it_serves_without_a_network(built: Built, held_out: dict[str, Any]) -> None:
    del built
    with check.running("diabetes") as name:
        found = check.probabilities(name, held_out["inputs"])
    check.compare(found, held_out["probabilities"])


def test_its_health_check_passes_and_fails_with_the_server(container: Container) -> None:
    docker.ask("exec", container.name, *HEALTH)
    wrong_port = ("exec", "--env", "PORT=1", container.name, *HEALTH)
    with pytest.raises(Exception, match="docker exec failed"):
        docker.ask(*wrong_port)


def test_it_has_as_many_workers_as_it_was_told(container: Container) -> None:
    until(lambda: len(container.pids()) == 3, timeout_s=30)


def test_it_has_a_worker_for_each_cpu_that_it_may_use(built: Built) -> None:
    del built
    options = ("--env", "MLFLOW_MODELS_WORKERS=", "--cpus", "0.5")
    with running("diabetes", *options) as started:
        time.sleep(1)
        assert len(started.pids()) == 2
        assert "workers: 1" in started.log()


def test_its_labels_say_where_it_comes_from(built: Built, trained: Trained) -> None:
    del built
    found = json.loads(docker.ask("inspect", "diabetes"))[0]["Config"]
    commit = trained.run.data.tags["mlflow.source.git.commit"]
    expected = {
        "org.opencontainers.image.title": "diabetes",
        "org.opencontainers.image.version": str(trained.version.version),
        "org.opencontainers.image.revision": commit,
        "mlflow.run.id": trained.run.info.run_id,
        "mypreprocessing.version": VERSION,
    }
    assert found["Labels"].items() >= expected.items()
    assert found["User"] == "10001:10001"
    assert found["ExposedPorts"] == {"8080/tcp": {}}
    assert found["Healthcheck"]["Test"][:2] == ["CMD", "python"]


def test_it_has_no_pip_cache_no_build_tools_and_no_installer(built: Built) -> None:
    del built
    command = (
        "run",
        "--rm",
        "--user",
        "0",
        "--network",
        "none",
        "--entrypoint",
        "find",
        "diabetes",
    )
    unwanted = (
        "/ -xdev ( -path /opt/venv/*/pip -o -name *.whl -o -path */.cache/pip -o -path */bin/gcc )"
    )
    found = docker.ask(*command, *unwanted.split()).decode().split()
    assert [path for path in found if not path.startswith("/usr/local/lib/python")] == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_killed_worker_is_replaced_and_nobody_else_notices(
    container: Container, number: signal.Signals
) -> None:
    until(lambda: container.serving() == 2, timeout_s=60)
    _, first, second = container.pids()
    with _load(container, clients=4) as load:
        until(lambda: load.statuses[200] > 100, timeout_s=60)
        os.kill(first, number)
        until(lambda: first not in container.pids() and len(container.pids()) == 3, timeout_s=10)
        until(lambda: container.serving() == 2, timeout_s=60)
        answered = load.statuses[200]
        until(lambda: load.statuses[200] > answered + 100, timeout_s=60)
    assert second in container.pids()
    assert load.failures <= 4, "more requests failed than clients had one in the worker"
    assert set(load.statuses) == {200}


def test_a_dead_server_process_ends_the_container(built: Built) -> None:
    del built
    with running("diabetes") as started:
        os.kill(started.pids()[0], signal.SIGKILL)
        assert started.wait() == 128 + signal.SIGKILL


def test_workers_that_are_killed_again_and_again_end_the_container(built: Built) -> None:
    del built
    with running("diabetes") as started:
        ended = threading.Event()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            waiting = pool.submit(started.wait)
            waiting.add_done_callback(lambda _: ended.set())
            while not ended.wait(0.3):
                _kill_workers(started)
        assert waiting.result() == 1
        last = started.log().splitlines()[-1]
        said = r"error: worker \d+ was killed by SIGKILL; processes are killed again and again"
        assert re.fullmatch(said, last), last


def test_docker_stop_under_load_answers_every_accepted_request(built: Built) -> None:
    del built
    with running("diabetes", workers=2) as started:
        until(lambda: started.serving() == 2, timeout_s=60)
        with _load(started, clients=16) as load:
            until(lambda: load.statuses[200] > 200, timeout_s=60)
            begin = time.monotonic()
            docker.ask("stop", "--time", "30", started.name)
            took_s = time.monotonic() - begin
        assert started.wait() == 0
    assert DELAY_S < took_s < 30
    assert set(load.statuses) == {200}
    assert load.failures == 0, "a request was sent on an open connection and not answered"
    assert load.refused > 0, "the load ended before the server did"


def test_a_request_that_takes_long_is_answered_after_docker_stop(
    built: Built, held_out: dict[str, Any]
) -> None:
    del built
    rows = (held_out["inputs"] * 1400)[:200_000]
    body = json.dumps({"inputs": rows})
    settings_ = ("MAX_ROWS=200000", "MAX_BODY_BYTES=50000000", "DRAIN_DELAY_S=0")
    more = [part for setting in settings_ for part in ("--env", f"SCORING_{setting}")]
    with running("diabetes", *more) as started, concurrent.futures.ThreadPoolExecutor() as pool:
        before_s = started.cpu_s()
        answer = pool.submit(started.post, body)
        until(lambda: started.cpu_s() > before_s + 0.2, timeout_s=60)  # the worker has the request
        assert not answer.done(), "the request was over too soon to show anything"
        docker.ask("stop", "--time", "30", started.name)
        assert started.wait() == 0
        assert len(answer.result().json()["predictions"]) == len(rows)


def test_sagemakers_argument_and_port_any_user_and_a_read_only_file_system_will_do(
    built: Built,
) -> None:
    del built
    with running(
        "diabetes",
        *("--user", "54321:0"),
        port_variable="SAGEMAKER_BIND_TO_PORT",
        restricted=NOWHERE_TO_WRITE,
        arguments=["serve"],
    ) as started:
        assert started.post(REQUEST).status_code == 200
        time.sleep(10 * LAG_S)
        counted = requests.get(f"{started.url}/metrics", timeout=60).text
        assert "scoring_rows_total 1.0" in counted
        docker.ask("exec", started.name, *HEALTH)


def test_vertex_ais_port_and_paths_will_do_and_without_counts_nothing_is_written(
    built: Built,
) -> None:
    del built
    routes = {"AIP_PREDICT_ROUTE": "/v1/endpoints/1:predict", "AIP_HEALTH_ROUTE": "/v1/endpoints/1"}
    environ = [part for item in routes.items() for part in ("--env", "{}={}".format(*item))]
    with running(
        "diabetes",
        *environ,
        *("--env", "SCORING_METRICS=0", "--ipc", "none"),
        port_variable="AIP_HTTP_PORT",
        restricted=NOWHERE_TO_WRITE,
    ) as started:
        answered = requests.post(
            f"{started.url}/v1/endpoints/1:predict",
            json={"instances": json.loads(REQUEST)["inputs"]},
            timeout=60,
        )
        assert answered.json() == started.post(REQUEST).json()
        assert requests.get(f"{started.url}/v1/endpoints/1", timeout=60).status_code == 200


def test_a_container_that_counts_and_has_no_place_for_it_is_one_line(built: Built) -> None:
    del built
    line = _refused("--ipc", "none", restricted=NOWHERE_TO_WRITE)
    assert line.startswith("error: no folder for temporary files can be written to (")
    assert line.endswith("--tmpfs /tmp, set TMPDIR, or count nothing with SCORING_METRICS=0")


def test_a_model_whose_files_were_changed_is_refused(
    built: Built, trained: Trained, tmp_path: Path
) -> None:
    del built
    model = _model(trained, tmp_path)
    booster = model / "artifacts" / "booster.ubj"
    booster.write_bytes(booster.read_bytes() + b"\0")
    line = _refused("--volume", f"{model}:/opt/model:ro")
    assert line.startswith("error: the model's files are not those that were logged; files that")
    assert "['artifacts/booster.ubj']" in line


@pytest.mark.parametrize("name", ["model.py", "MLmodel", "artifacts/training.json"])
def test_every_file_of_the_model_counts(trained: Trained, tmp_path: Path, name: str) -> None:
    model = _model(trained, tmp_path)
    manifest.check(model)
    with (model / name).open("a", encoding="utf-8") as file:
        file.write("\n")
    with pytest.raises(manifest.ManifestError, match=name):
        manifest.check(model)


def test_a_file_that_was_added_counts_too(trained: Trained, tmp_path: Path) -> None:
    model = _model(trained, tmp_path)
    (model / "__pycache__").mkdir()
    (model / "__pycache__" / "model.cpython-311.pyc").write_bytes(b"")
    with pytest.raises(manifest.ManifestError, match=r"__pycache__/model\.cpython-311\.pyc"):
        manifest.check(model)


def test_bytecode_that_was_left_in_the_model_stays_out_of_the_image(
    trained: Trained, tmp_path: Path
) -> None:
    """Whoever loads a model where it lies leaves some; it would be run instead of model.py."""
    folder = tmp_path / "build" / "model_dir"
    folder.mkdir(parents=True)
    model = _model(trained, folder)
    assert model == folder
    (model / "__pycache__").mkdir()
    (model / "__pycache__" / "model.cpython-311.pyc").write_bytes(b"")
    dockerfile = tmp_path / "build" / "Dockerfile"
    dockerfile.write_text("COPY model_dir /opt/ml/model\n", encoding="utf-8")
    build = context.Build((), tmp_path / "build", dockerfile)
    context.make(build, PROJECT.lock("server"), tmp_path)
    made = tmp_path / "model_dir"
    assert (made / "model.py").read_bytes() == (model / "model.py").read_bytes()
    assert not (made / "__pycache__").exists()


def test_the_image_has_our_package_though_an_impostor_is_searched_first(
    container: Container,
) -> None:
    """The control is the impostor test of pip: with its hash, the impostor is what is installed."""
    where = "import mypreprocessing as m; print(open(m.__file__, encoding='utf-8').read(), end='')"
    found = docker.ask("exec", container.name, "python", "-c", where)
    assert found == (ROOT / "mypreprocessing/src/mypreprocessing/__init__.py").read_bytes()


def test_a_model_without_a_manifest_is_refused(trained: Trained, tmp_path: Path) -> None:
    model = _model(trained, tmp_path)
    (model / manifest.MANIFEST).unlink()
    with pytest.raises(manifest.ManifestError, match="no readable manifest"):
        manifest.check(model)


def test_a_mypreprocessing_of_other_bytes_is_refused(built: Built, tmp_path: Path) -> None:
    del built
    source = ROOT / "mypreprocessing/src/mypreprocessing/features.py"
    changed = tmp_path / "features.py"
    shutil.copyfile(source, changed)
    with changed.open("a", encoding="utf-8") as file:
        file.write("# other bytes\n")
    changed.chmod(0o644)
    tmp_path.chmod(0o755)
    version = f"python{sysconfig.get_python_version()}"
    place = f"/opt/venv/lib/{version}/site-packages/mypreprocessing/features.py"
    line = _refused("--volume", f"{changed}:{place}:ro")
    assert "PreprocessingMismatchError" in line
    assert "['features.py']" in line


def test_memory_that_is_not_enough_to_load_the_model_is_one_line(built: Built) -> None:
    del built
    # No swap: with some, the process would not be killed but slow.
    line = _refused("--memory", "100m", "--memory-swap", "100m")
    assert line == (
        "error: the process that loads the model was killed by the kernel for lack of memory "
        "(it has 100 MiB): give the container more"
    )


@pytest.mark.parametrize("workers", ["0", "-1", "two", "1.5", "99999"])
def test_a_number_of_workers_that_is_none_is_refused(built: Built, workers: str) -> None:
    del built
    line = _refused("--env", f"MLFLOW_MODELS_WORKERS={workers}")
    assert line == (
        f"error: MLFLOW_MODELS_WORKERS is {workers!r}, expected a whole number from 1 to 1024"
    )


def test_a_port_that_is_taken_is_one_line(container: Container) -> None:
    port = container.url.rpartition(":")[2]
    line = _refused("--env", f"PORT={port}")
    assert line == f"error: cannot listen on 127.0.0.1 port {port}: Address already in use"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({"cpu.max": "150000 100000\n"}, 2, id="cgroup v2, rounded up"),
        pytest.param({"cpu.max": "5000 100000\n"}, 1, id="cgroup v2, at least one"),
        pytest.param(
            {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1, id="v1"
        ),
    ],
)
def test_cpus_are_those_of_the_quota(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="ascii")
    assert settings.cpus(tmp_path) == min(expected, len(os.sched_getaffinity(0)))


@pytest.mark.parametrize("text", ["max 100000\n", None])
def test_without_a_quota_cpus_are_those_of_the_affinity(tmp_path: Path, text: str | None) -> None:
    if text:
        (tmp_path / "cpu.max").write_text(text, encoding="ascii")
    assert settings.cpus(tmp_path) == len(os.sched_getaffinity(0))


class _Load:
    """Clients that send the example again and again, each request on a connection of its own."""

    def __init__(self, container: Container, clients: int) -> None:
        self.statuses: Counter[int] = Counter()
        self.failures = 0
        self.refused = 0
        self._url = container.url
        self._done = threading.Event()
        self._threads = [
            threading.Thread(target=self._client, args=(number % 2 == 0,))
            for number in range(clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _client(self, keep: bool) -> None:  # noqa: FBT001 # a thread's target
        session = requests.Session()
        while not self._done.is_set():
            try:
                answer = session.post(
                    f"{self._url}/invocations",
                    data=REQUEST,
                    headers={
                        "Content-Type": "application/json",
                        "Connection": "keep-alive" if keep else "close",
                    },
                    timeout=30,
                )
                self.statuses[answer.status_code] += 1
                time.sleep(0.005)  # more requests would show nothing more
            except requests.RequestException as error:
                if "Connection refused" in str(error):
                    self.refused += 1
                    time.sleep(0.05)
                else:
                    self.failures += 1


def _load(container: Container, *, clients: int) -> _Load:
    return _Load(container, clients)


def _kill_workers(container: Container) -> None:
    try:
        for pid in container.pids()[1:]:
            os.kill(pid, signal.SIGKILL)
    except (OSError, ValueError):
        return


def _refused(*options: str, **more: Any) -> str:
    """Return the only line of a container that does not start."""
    with starting("diabetes", *options, **more) as started:
        assert started.wait() == CANNOT_START
        lines = started.log().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def _model(trained: Trained, folder: Path) -> Path:
    path = trained.download(CHAMPION, folder)
    for bytecode in list(path.rglob("__pycache__")):  # of whoever loaded it where it lies
        shutil.rmtree(bytecode)
    folder.chmod(0o755)
    return path
