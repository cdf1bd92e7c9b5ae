"""The champion's run is gone, the rest of it is not: each command works, or says so in a line."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import mlflow.artifacts
import pytest
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from mlflow_sealed import process
from mlflow_sealed.batch.model import fetch
from mlflow_sealed.command import parse
from mlflow_sealed.image import commands as image
from mlflow_sealed.image import release
from mlflow_sealed.process import ProcessError
from mlflow_sealed.training import commands
from mlflow_sealed.training.measure.evaluate import evaluate
from mlflow_sealed.training.measure.results import Evaluation
from mlflow_sealed.training.register.champion import Champion, find_champion
from mlflow_sealed.training.register.cleanup import clear_versions
from mlflow_sealed.training.register.versions import PENDING, PROMOTION, RegisteredModel
from tests.conftest import QUICK
from training import __main__ as training_command
from training.__main__ import main
from training.dataset import read
from training.fit import fit
from training.options import XGBOOST, Options

pytestmark = pytest.mark.usefixtures("one_picture")

OTHER = [*QUICK, "--trees", "30"]
NOTHING = "there is nothing of version 1 to compare with"


@pytest.fixture(scope="module")
def collected(
    tmp_path_factory: pytest.TempPathFactory, empty_database: Path, one_picture: None
) -> Path:
    """A tracking database after a training whose run was deleted, and ``mlflow gc``."""
    del one_picture
    folder = tmp_path_factory.mktemp("collected")
    shutil.copy(empty_database, folder)
    uri = f"sqlite:///{folder}/mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
            patch.delenv(name, raising=False)
        mlflow.set_tracking_uri(uri)
        assert main(QUICK) == 0
    client = mlflow.MlflowClient(uri)
    client.delete_run(run_id(client))
    collect = (sys.executable, "-m", "mlflow", "gc", "--backend-store-uri", uri)
    subprocess.run(collect, check=True, capture_output=True)
    return folder / "mlflow.db"


@pytest.fixture
def lost(client: mlflow.MlflowClient, collected: Path, tmp_path: Path) -> mlflow.MlflowClient:
    """The same, and a user who runs commands by hand."""
    shutil.copy(collected, tmp_path / "mlflow.db")
    return client


def run_id(client: mlflow.MlflowClient, version: str = "1") -> str:
    return str(client.get_model_version("diabetes", version).run_id)


def aliases(client: mlflow.MlflowClient) -> dict[str, str]:
    found = client.get_registered_model("diabetes").aliases
    return {alias: str(version) for alias, version in found.items()}


def test_a_training_says_so_before_it_fits_and_ends_as_challenger(
    lost: mlflow.MlflowClient,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said_before = []

    def fitting(*given: Any) -> Any:
        said_before.append(capsys.readouterr().out)
        return fit(*given)

    monkeypatch.setitem(training_command.FIT, XGBOOST, fitting)
    assert main(OTHER) == 0
    why = f"its run {run_id(lost)} is gone"
    assert said_before == [
        (
            f"models:/diabetes/1 is the champion: {NOTHING}: {why}. The new version will be the "
            "challenger; mlflow-sealed model promote, with its number, makes it the champion\n"
        )
    ]
    assert aliases(lost) == {"champion": "1", "challenger": "2"}
    run = run_id(lost, "2")
    said = capsys.readouterr().out.splitlines()[-1]
    begins = f"run {run}: models:/diabetes/2 is the challenger: {NOTHING}: {why}; "
    assert said.startswith(begins)
    assert said.endswith("mlflow-sealed model promote 2 makes it the champion")
    assert mlflow.artifacts.load_dict(f"runs:/{run}/comparison.json") == {
        "champion": "1",
        "champion_predictions": f"none: {why}",
        "reasons_against": [f"{NOTHING}: {why}"],
    }
    tags = lost.get_run(run).data.tags
    assert tags["promotion.compared_with"] == f"version 1, none: {why}"


def test_the_very_model_gets_a_version_with_a_run_which_a_person_promotes(
    lost: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing would ever be compared again if it were not registered."""
    assert main(QUICK) == 0
    assert aliases(lost) == {"champion": "1", "challenger": "2"}
    assert main(QUICK) == 0
    assert aliases(lost) == {"champion": "1", "challenger": "2"}
    assert commands.main(["promote", "2"]) == 0
    assert main(OTHER) == 0
    assert aliases(lost) == {"champion": "3"}
    assert NOTHING not in capsys.readouterr().out.split("models:/diabetes/2 is")[-1]


def test_a_champion_that_changes_meanwhile_to_one_without_a_run_stays(
    client_with_champion: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def promoting(*given: Any, **named: Any) -> Evaluation:
        client_with_champion.create_model_version("diabetes", "file:///none")
        client_with_champion.set_registered_model_alias("diabetes", "champion", "2")
        return evaluate(*given, **named)

    monkeypatch.setattr(training_command, "evaluate", promoting)
    assert main(OTHER) == 0
    assert aliases(client_with_champion) == {"champion": "2", "challenger": "3"}


def test_a_run_that_is_only_deleted_is_compared_with(
    client_with_champion: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    client_with_champion.delete_run(run_id(client_with_champion))
    assert main(OTHER) == 0
    assert aliases(client_with_champion) == {"champion": "2"}
    assert NOTHING not in capsys.readouterr().out


def test_a_champion_that_was_registered_without_a_run_cannot_be_compared_with(
    client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    crown(client, None)
    assert main(QUICK) == 0
    assert aliases(client) == {"champion": "1", "challenger": "2"}
    first, *_, last = capsys.readouterr().out.splitlines()
    why = f"{NOTHING}: it was registered without a run"
    assert first.startswith(f"models:/diabetes/1 is the champion: {why}. The new version will be")
    assert f"/2 is the challenger: {why}; " in last


def crown(client: mlflow.MlflowClient, run: str | None) -> None:
    """Make a champion of a run's, or of none."""
    client.create_registered_model("diabetes")
    client.create_model_version("diabetes", "file:///none", run_id=run)
    client.set_registered_model_alias("diabetes", "champion", "1")


def as_found() -> Champion:
    options = parse(QUICK, Options, program="train")
    found = find_champion(RegisteredModel("diabetes"), read(options.data), options)
    assert found is not None
    return found


@pytest.mark.parametrize("given", [None, ""], ids=["None", "empty"])
def test_no_run_is_no_run_however_it_is_stored(
    client: mlflow.MlflowClient, given: str | None
) -> None:
    crown(client, given)
    found = as_found()
    assert not found.comparable
    assert found.caveat == f"{NOTHING}: it was registered without a run"


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"trees": "many", "depth": "0", "seed": "x"}, "has invalid parameters (depth, trees)"),
        ({}, "has no parameters"),
    ],
    ids=["invalid", "none"],
)
def test_a_champion_with_unusable_parameters_cannot_be_compared_with(
    client: mlflow.MlflowClient, params: dict[str, str], why: str
) -> None:
    run = client.create_run("0").info.run_id
    for name, value in params.items():
        client.log_param(run, name, value)
    crown(client, run)
    found = as_found()
    assert not found.comparable
    assert (
        found.caveat == f"{NOTHING}: it has no readable out_of_fold.json, and its run {run} {why}"
    )


def test_a_server_that_fails_is_not_taken_for_a_run_that_is_gone(
    client_with_champion: mlflow.MlflowClient,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs, real = run_id(client_with_champion), mlflow.MlflowClient.get_run

    def refused(self: mlflow.MlflowClient, asked: str) -> mlflow.entities.Run:
        if asked == theirs:
            raise mlflow.MlflowException("you may not see it", error_code=PERMISSION_DENIED)
        return real(self, asked)

    monkeypatch.setattr(mlflow.MlflowClient, "get_run", refused)
    monkeypatch.setitem(training_command.FIT, XGBOOST, None)
    assert main(OTHER) == 1
    assert commands.main(["report"]) == 1
    assert capsys.readouterr().err.splitlines()[-2:] == ["error: you may not see it"] * 2
    assert aliases(client_with_champion) == {"champion": "1"}


def test_a_version_registered_by_half_whose_run_is_gone_is_deleted(
    lost: mlflow.MlflowClient,
) -> None:
    deleted = lost.create_run("0").info.run_id  # it was running
    lost.delete_run(deleted)
    tags = {PROMOTION: PENDING}
    for run in (run_id(lost), deleted, None, ""):
        lost.create_model_version("diabetes", "file:///none", run_id=run, tags=tags)
    assert clear_versions(RegisteredModel("diabetes"), set()) == (set(), ["5", "4", "3", "2"])


def test_a_person_promotes_and_goes_back_without_runs(
    lost: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    lost.create_model_version("diabetes", "file:///none", run_id=run_id(lost))
    assert commands.main(["promote", "2"]) == 0
    assert commands.main(["rollback"]) == 0
    assert aliases(lost) == {"champion": "1"}
    assert capsys.readouterr().err == ""


def test_the_report_of_a_champion_without_a_run_is_one_line(
    lost: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.main(["report"]) == 1
    assert capsys.readouterr().err == (
        f"error: models:/diabetes/1, the champion, has nothing to report: its run {run_id(lost)} "
        "is gone; name another run, as in mlflow-sealed model report RUN_ID\n"
    )
    assert commands.main(["report", run_id(lost)]) == 1
    assert capsys.readouterr().err.startswith("error: there is no run ")


def test_the_report_of_a_run_that_is_only_deleted_is_written(
    client_with_champion: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_id(client_with_champion)
    client_with_champion.delete_run(run)
    assert commands.main(["report"]) == 0
    assert capsys.readouterr().out.startswith(f"report.html: run {run}, ")


def test_the_model_is_still_scored_with_and_asked_for_its_image(
    lost: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert aliases(lost) == {"champion": "1"}
    assert fetch("models:/diabetes@champion", tmp_path).address == "models:/diabetes/1"
    assert image.main(["due", "registry.example/diabetes"]) == 0
    said = "an image is due: models:/diabetes/1 has no image in registry.example/diabetes\n"
    assert capsys.readouterr().out.endswith(said)


def test_an_image_is_not_built_where_nothing_is_left_to_test_it_with(
    lost: mlflow.MlflowClient,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "run", None)
    assert image.main(["build"]) == 1
    assert capsys.readouterr().err == (
        f"error: models:/diabetes@champion: its run {run_id(lost)} is gone, so the predictions "
        "that an image is tested with are missing: make train, then make promote VERSION=… with "
        "the version that it made, then make image\n"
    )


def test_an_image_is_not_built_of_a_model_without_a_run(
    client: mlflow.MlflowClient,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    mlflow.models.Model().save(str(tmp_path / "MLmodel"))
    client.create_registered_model("diabetes")
    client.create_model_version("diabetes", str(tmp_path))
    client.set_registered_model_alias("diabetes", "champion", "1")
    monkeypatch.setattr(process, "run", None)
    assert image.main(["build"]) == 1
    said = "error: models:/diabetes@champion: it was logged without a run, so the predictions "
    assert capsys.readouterr().err.startswith(said)


def test_an_image_is_not_built_where_its_test_could_not_be_recorded(
    client_with_champion: mlflow.MlflowClient,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = run_id(client_with_champion)
    client_with_champion.delete_run(run)
    monkeypatch.setattr(process, "run", None)
    assert image.main(["build"]) == 1
    assert capsys.readouterr().err == (
        f"error: models:/diabetes@champion: its run {run} is deleted, so nothing can be logged to "
        f"it: mlflow runs restore --run-id {run}\n"
    )


@pytest.mark.parametrize("command", [release.tag, release.record])
def test_an_image_whose_run_is_gone_is_neither_named_nor_recorded(
    lost: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch, command: Any
) -> None:
    labels = {"mlflow.run.id": run_id(lost), "mlflow.model.version": "1"}
    inspected = {"Id": "sha256:0", "Config": {"Labels": labels}}
    monkeypatch.setattr(release, "_inspect", lambda _: inspected)
    with pytest.raises(ProcessError, match=rf"^diabetes:latest: its run {run_id(lost)} is gone"):
        command("diabetes:latest", "registry.example/diabetes", Path("server.txt"))
