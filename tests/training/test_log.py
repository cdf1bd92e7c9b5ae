"""Logging a training, in this process: the run, the aliases, and what a failure leaves."""

import sys

import mlflow
import pytest

from mlflow_sealed.training import log
from tests.conftest import QUICK
from training import __main__ as command

pytestmark = pytest.mark.usefixtures("one_picture")


def test_a_training_by_hand_is_logged_to_our_experiment_and_says_where_the_package_is_from(
    client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(QUICK) == 0
    version = client.get_model_version_by_alias("diabetes", "champion")
    run = client.get_run(str(version.run_id))
    assert client.get_experiment(run.info.experiment_id).name == "diabetes"
    assert run.data.tags["mypreprocessing.installed_from"] == "editable sources"
    assert run.data.params["trees"] == "5"
    said = capsys.readouterr().out
    assert f"| AUC | {run.data.metrics['held_out/auc']:.3f} (" in said
    assert f"run {run.info.run_id}: models:/diabetes/1 is the champion" in said
    logged = mlflow.models.get_model_info("models:/diabetes/1").metadata
    assert logged is not None
    assert logged["mypreprocessing"] == run.data.tags["mypreprocessing.version"]
    held_out = mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/held_out.json")
    assert len(held_out["inputs"]) == len(held_out["probabilities"]) == 154


def test_nothing_is_compiled_into_the_model(
    client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The container would refuse it: its manifest does not have it."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    assert command.main(QUICK) == 0
    source = client.get_model_version("diabetes", "1").source
    files = [entry.path for entry in mlflow.artifacts.list_artifacts(source)]
    assert "model.py" in files
    assert "__pycache__" not in files
    assert not sys.dont_write_bytecode


def test_another_model_becomes_the_champion(client_with_champion: mlflow.MlflowClient) -> None:
    client = client_with_champion
    assert command.main([*QUICK, "--trees", "6"]) == 0
    assert _versions(client) == ["1", "2"]
    assert str(client.get_model_version_by_alias("diabetes", "champion").version) == "2"


def test_the_same_model_again_registers_nothing(
    client_with_champion: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    client = client_with_champion
    assert command.main(QUICK) == 0
    assert _versions(client) == ["1"]
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.endswith("models:/diabetes/1 is this very model and stays the champion")
    experiment = client.get_experiment_by_name("diabetes")
    assert experiment is not None
    assert len(client.search_runs([experiment.experiment_id])) == 2


def test_a_model_without_a_champion_beside_it_becomes_one(
    client_with_champion: mlflow.MlflowClient,
) -> None:
    client = client_with_champion
    client.delete_registered_model_alias("diabetes", "champion")
    assert command.main(QUICK) == 0
    assert str(client.get_model_version_by_alias("diabetes", "champion").version) == "2"


def test_a_training_that_fails_leaves_the_champion_and_a_failed_run(
    client_with_champion: mlflow.MlflowClient,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    client = client_with_champion

    def full(*_: object, **__: object) -> None:
        raise mlflow.MlflowException("no space left")

    monkeypatch.setattr(log, "log_model", full)
    assert command.main(QUICK) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "error: no space left"
    assert len(client.search_model_versions("name='diabetes'")) == 1
    experiment = client.get_experiment_by_name("diabetes")
    assert experiment is not None
    statuses = {run.info.status for run in client.search_runs([experiment.experiment_id])}
    assert statuses == {"FINISHED", "FAILED"}


def test_a_run_that_mlflow_run_made_in_an_experiment_is_used(
    client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = client.create_experiment("elsewhere")
    made = client.create_run(experiment)
    client.log_param(made.info.run_id, "trees", "5.0")
    monkeypatch.setenv("MLFLOW_RUN_ID", made.info.run_id)
    assert command.main(QUICK) == 0
    run = client.get_run(made.info.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["trees"] == "5.0"
    assert client.get_model_version_by_alias("diabetes", "champion").run_id == made.info.run_id


def test_a_run_in_the_default_experiment_is_left_with_a_note(
    client: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = client.create_run("0", tags={"mlflow.source.git.commit": "abc", "mlflow.other": "x"})
    monkeypatch.setenv("MLFLOW_RUN_ID", made.info.run_id)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    assert command.main(QUICK) == 0
    version = client.get_model_version_by_alias("diabetes", "champion")
    run = client.get_run(str(version.run_id))
    assert run.info.run_id != made.info.run_id
    assert run.data.tags["mlflow.source.git.commit"] == "abc"
    assert "mlflow.other" not in run.data.tags
    note = client.get_run(made.info.run_id).data.tags["mlflow.note.content"]
    assert note == f"The training is run {run.info.run_id} of the experiment diabetes."


def _versions(client: mlflow.MlflowClient) -> list[str]:
    found = client.search_model_versions("name='diabetes'")
    return sorted(str(version.version) for version in found)
