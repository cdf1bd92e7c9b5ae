"""The whole path: what was trained, from what, and that serving answers like training."""

import json
import re
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import mlflow.artifacts
import pytest
import requests

from mlflow_model.model import trained_with
from mlflow_sealed import process
from mlflow_sealed.feed import publish
from mlflow_sealed.training.measure.evaluate import split
from mlflow_sealed.training.measure.figures import TITLES
from tests import services
from tests.conftest import CHAMPION, Feed, Server, Trained
from tests.environ import ROOT, clean_environ
from tests.package import VERSION
from tests.records import REQUEST
from training.dataset import read
from training.fit import fit
from training.options import DATA, Options

# Run by the Python of an environment that MLflow made, in the repository's root, where the
# sources' folder could be taken for the package.
WHERE = """
import importlib.metadata, json, mypreprocessing
distribution = importlib.metadata.distribution("mypreprocessing")
print(json.dumps({
    "file": mypreprocessing.__file__,
    "version": distribution.version,
    "direct_url": distribution.read_text("direct_url.json"),
    "record": distribution.read_text("RECORD"),
}))
"""


def activated(output: str, command: str) -> Path:
    """Return the Python of the environment in which MLflow says that it ran a command."""
    found = re.findall(rf"source (\S+)/bin/activate && (?:exec )?{command}", output)
    assert len(set(found)) == 1, output
    return Path(found[0]) / "bin" / "python"


@pytest.fixture(scope="module")
def model(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The registered model, downloaded."""
    return trained.download(CHAMPION, tmp_path_factory.mktemp("model"))


@dataclass(frozen=True)
class HeldOut:
    """The held-out rows of the run, and the training process's probabilities."""

    inputs: list[dict[str, float | None]]
    probabilities: list[float]


@pytest.fixture(scope="module")
def held_out(trained: Trained) -> HeldOut:
    mlflow.set_tracking_uri(trained.tracking_uri)
    uri = f"runs:/{trained.version.run_id}/held_out.json"
    return HeldOut(**mlflow.artifacts.load_dict(uri))


def test_the_training_environment_has_the_package_from_the_feed(
    trained: Trained, feed: Feed
) -> None:
    assert_from_feed(activated(trained.output, "python -m training"), trained, feed)
    assert trained.run.data.tags["mypreprocessing.installed_from"] == "index"


def test_the_serving_environment_has_the_package_from_the_feed(
    served: Server, trained: Trained, feed: Feed
) -> None:
    python = activated(served.log.read_text(encoding="utf-8"), "uvicorn")
    assert python != activated(trained.output, "python -m training")
    assert_from_feed(python, trained, feed)


def assert_from_feed(python: Path, trained: Trained, feed: Feed) -> None:
    done = subprocess.run(
        [python, "-c", WHERE], cwd=ROOT, env=clean_environ(), capture_output=True, check=True
    )
    where = json.loads(done.stdout)
    assert Path(where["file"]).is_relative_to(trained.folder / "envs")
    assert Path(where["file"]).is_relative_to(python.parent.parent)
    assert where["version"] == VERSION
    assert where["direct_url"] is None
    (wheel,) = feed.local.packages.glob("mypreprocessing-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        record = archive.read(f"mypreprocessing-{VERSION}.dist-info/RECORD").decode()
    ours = {line for line in record.splitlines() if line.startswith("mypreprocessing/")}
    assert ours <= set(where["record"].splitlines())
    assert len(ours) == 4


def test_the_run_has_what_a_reader_looks_for(trained: Trained) -> None:
    run = trained.run
    assert run.info.status == "FINISHED"
    assert trained.client.get_experiment(run.info.experiment_id).name == "diabetes"
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, check=True)
    assert run.data.tags["mlflow.source.git.commit"] == head.stdout.decode().strip()
    assert run.data.tags["mypreprocessing.version"] == VERSION
    assert run.data.tags["data.sha256"] == publish.sha256(ROOT / DATA)
    assert run.data.params.keys() >= Options.model_fields.keys()
    for name in TITLES:
        for group in ("held_out", "cv", "cv_logistic_regression", "cv_article"):
            value, low, high = (
                run.data.metrics[f"{group}/{name}{end}"] for end in ("", "_low", "_high")
            )
            assert 0 < low < value < high < 1
    assert run.data.tags["threshold.rule"] == "sensitivity"
    assert run.data.metrics["system/cpu_utilization_percentage"] > 0
    assert run.inputs is not None
    rows = {
        use.tags[0].value: json.loads(str(use.dataset.profile))["num_rows"]
        for use in run.inputs.dataset_inputs
    }
    assert rows == {"training": 614, "held-out": 154}


def test_the_model_is_as_good_as_the_readme_says_and_better_than_those_beside_it(
    trained: Trained,
) -> None:
    figures = trained.run.data.metrics
    assert figures["cv/auc"] >= max(0.84, figures["cv_logistic_regression/auc"])
    assert figures["cv/brier"] <= min(0.155, figures["cv_logistic_regression/brier"])
    assert figures["cv_article/auc"] == pytest.approx(0.79, abs=0.01)
    assert figures["cv_article/brier"] == pytest.approx(0.2, abs=0.01)


def test_the_model_is_registered_as_the_champion(trained: Trained) -> None:
    assert trained.version.name == "diabetes"
    assert trained.version.status == "READY"
    assert trained.version.tags["promotion"].startswith("champion since ")
    assert trained.version.tags["data.sha256"] == publish.sha256(ROOT / DATA)
    assert trained.run.outputs is not None
    assert len(trained.run.outputs.model_outputs) == 1


def test_the_model_remembers_the_package_and_the_threshold(model: Path, trained: Trained) -> None:
    record = json.loads((model / "artifacts" / "training.json").read_text(encoding="utf-8"))
    threshold = trained.run.data.metrics["threshold"]
    assert record == {"threshold": threshold, "package": trained_with()}


def test_the_logged_environment_is_the_lock(model: Path) -> None:
    lock = (ROOT / "mlflow_model" / "requirements.txt").read_bytes()
    assert (model / "requirements.txt").read_bytes() == lock


def test_a_run_and_another_process_with_one_seed_give_the_same_model_file(
    model: Path, tmp_path: Path
) -> None:
    data, options = read(ROOT / DATA), Options()
    rows = split(data, options).training
    booster = fit(data.records.iloc[rows], data.labels[rows], options).get_booster()
    booster.save_model(tmp_path / "booster.ubj")
    assert (model / "artifacts" / "booster.ubj").read_bytes() == (
        tmp_path / "booster.ubj"
    ).read_bytes()


def test_a_run_without_an_experiment_lands_in_ours_and_gives_the_same_model_file(
    trained: Trained, model: Path, tmp_path: Path
) -> None:
    before = trained.version
    # Other folds may give another threshold, and so another model.
    threshold = f"threshold={trained.run.data.metrics['threshold']}"
    quick = ("-P", "folds=2", "-P", "repeats=1")
    done = subprocess.run(
        [*("mlflow", "run", str(ROOT), "--env-manager", "uv"), *quick, "-P", threshold],
        cwd=trained.folder,
        env=trained.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert trained.version.version == before.version
    experiment = trained.client.get_experiment_by_name("diabetes")
    assert experiment is not None
    run, *_ = trained.client.search_runs([experiment.experiment_id])
    assert run.info.run_id != trained.run.info.run_id
    assert run.data.params["repeats"] == "1"
    assert run.data.tags["mlflow.source.git.commit"]
    (left,) = trained.client.search_runs(["0"])
    assert left.info.status == "FINISHED"
    assert left.data.tags["mlflow.note.content"].startswith(
        f"The training is run {run.info.run_id}"
    )
    (logged,) = trained.client.search_logged_models(
        [experiment.experiment_id], filter_string=f"source_run_id = '{run.info.run_id}'"
    )
    again = trained.download(f"models:/{logged.model_id}", tmp_path)
    booster = again / "artifacts" / "booster.ubj"
    assert booster.read_bytes() == (model / "artifacts" / "booster.ubj").read_bytes()


def test_the_figures_in_the_documentation_are_those_of_the_run(trained: Trained) -> None:
    table = re.search(r"^\| \| held out .*(\n\|.*)+", trained.output, re.MULTILINE)
    assert table is not None
    assert table[0].count("\n") == 1 + len(TITLES)
    assert table[0] in (ROOT / "docs" / "model.md").read_text(encoding="utf-8")


def test_the_held_out_rows_in_one_request_get_the_training_processs_answers(
    served: Server, held_out: HeldOut, trained: Trained
) -> None:
    answer = served.post(json.dumps({"inputs": held_out.inputs}))
    assert answer.status_code == 200
    predictions = answer.json()["predictions"]
    assert len(predictions) == len(held_out.probabilities) == 154
    assert [p["probability"] for p in predictions] == pytest.approx(
        held_out.probabilities, abs=1e-6
    )
    threshold = trained.run.data.metrics["threshold"]
    assert [p["pred"] for p in predictions] == [int(p >= threshold) for p in held_out.probabilities]


def test_the_held_out_rows_one_by_one_get_the_training_processs_answers(
    served: Server, held_out: HeldOut
) -> None:
    rows = [{"inputs": [row]} for row in held_out.inputs]
    with requests.Session() as session:
        answers = [
            session.post(f"{served.url}/invocations", json=row, timeout=60).json()["predictions"]
            for row in rows
        ]
    assert [answer[0]["probability"] for answer in answers] == pytest.approx(
        held_out.probabilities, abs=1e-6
    )


@pytest.fixture
def running(request: pytest.FixtureRequest, trained: Trained, tmp_path: Path) -> Iterator[int]:
    """A make target that serves, on the port that it is known for."""
    target, port = request.param
    with process.background(
        ["make", "-C", str(ROOT), target],
        port=port,
        timeout_s=120,
        env=trained.environ,
        log=tmp_path / "log",
    ):
        yield port


@pytest.mark.parametrize("running", [("serve", 5000)], indirect=True)
def test_make_serve_answers_the_curl_line_of_the_readme_and_holds_no_credential(
    running: int, trained: Trained
) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    line = re.search(r"^ *(curl .*\n.*/invocations)$", readme, re.MULTILINE)
    assert line is not None
    assert f"127.0.0.1:{running}/" in line[1]
    services.need("curl")
    done = subprocess.run(
        ["bash", "-c", line[1]], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (prediction,) = json.loads(done.stdout)["predictions"]
    assert prediction.keys() == {"model", "pred", "probability"}
    assert_serves_without_a_credential(trained.environ)
    assert prediction["model"] == "diabetes"
    assert REQUEST.name in line[1]


def assert_serves_without_a_credential(environ: dict[str, str]) -> None:
    """Look into every process of the serving environment."""
    servers = environs(b"mlflow_sealed.server.run\0") + environs(
        b"mlflow_sealed.server.run.loader\0"
    )
    servers = [server for server in servers if b"PORT=5000\0" in server]
    assert len(servers) >= 2, "the supervisor, and a worker"
    for server in servers:
        assert b"MLFLOW_TRACKING" not in server
        assert environ["UV_INDEX"].encode() not in server
        assert b"INDEX" not in server


def environs(arguments: bytes) -> list[bytes]:
    """The environments of the running processes whose commands have these arguments."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if arguments in (folder / "cmdline").read_bytes():
                found.append((folder / "environ").read_bytes())
        except OSError:
            continue
    return found


@pytest.mark.parametrize("running", [("ui", 5001)], indirect=True)
def test_make_ui_shows_the_runs(running: int, trained: Trained) -> None:
    url = f"http://127.0.0.1:{running}"
    assert "<title>MLflow</title>" in requests.get(url, timeout=60).text
    run = requests.get(
        f"{url}/api/2.0/mlflow/runs/get", params={"run_id": trained.run.info.run_id}, timeout=60
    )
    assert run.json()["run"]["info"]["status"] == "FINISHED"
