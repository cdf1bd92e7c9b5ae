"""Promotion: a new model gets the alias that it deserves, and its run says why."""

from pathlib import Path

import mlflow
import mlflow.artifacts
import pytest

from tests.conftest import ROOT
from training import registry
from training.__main__ import main
from training.options import DATA

pytestmark = pytest.mark.usefixtures("one_picture")

QUICK = [
    *("--data", str(ROOT / DATA), "--trees", "30", "--learning-rate", "0.2"),
    *("--folds", "3", "--repeats", "2"),
]


def train(*arguments: str) -> None:
    assert main([*QUICK, *arguments]) == 0


def run_of(client: mlflow.MlflowClient, version: str) -> mlflow.entities.Run:
    return client.get_run(str(client.get_model_version("diabetes", version).run_id))


def comparison_of(run: mlflow.entities.Run) -> dict[str, object]:
    found: dict[str, object] = mlflow.artifacts.load_dict(
        f"runs:/{run.info.run_id}/comparison.json"
    )
    return found


def aliases(client: mlflow.MlflowClient) -> dict[str, str]:
    found = client.get_registered_model("diabetes").aliases
    return {alias: str(version) for alias, version in found.items()}


def test_a_worse_model_is_the_challenger_and_its_run_says_why(
    client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    train()
    train("--trees", "2")
    assert aliases(client) == {"champion": "1", "challenger": "2"}
    said = capsys.readouterr().out.splitlines()[-1]
    assert "models:/diabetes/2 is the challenger: its log loss is +0." in said
    run = run_of(client, "2")
    assert run.info.status == "FINISHED"
    assert run.data.tags["promotion"].startswith("version 2 is the challenger: its log loss")
    assert run.data.tags["promotion.compared_with"] == "version 1, logged by its run"
    comparison = comparison_of(run)
    assert comparison["difference"] == run.data.metrics["promotion/log_loss_difference"]
    assert comparison["reasons_against"]
    train("--trees", "2")
    assert "is this very model and stays the challenger" in capsys.readouterr().out
    assert aliases(client) == {"champion": "1", "challenger": "2"}


def test_a_model_of_other_folds_is_compared_with_the_champion_refitted(
    client: mlflow.MlflowClient,
) -> None:
    train("--trees", "2")
    train("--folds", "4")
    assert aliases(client) == {"champion": "2"}
    tag = run_of(client, "2").data.tags["promotion.compared_with"]
    assert tag.startswith("version 1, refitted from its parameters")
    assert comparison_of(run_of(client, "2"))["champion"] == "1"


def test_a_version_that_was_rolled_back_does_not_come_back_by_itself(
    client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    train("--trees", "2")
    train()
    assert aliases(client) == {"champion": "2"}
    registry.roll_back()
    train()
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.endswith("/2 is this very model, which was rolled back: make promote VERSION=2")
    assert aliases(client) == {"champion": "1"}


def test_a_champion_that_cannot_be_compared_with_ends_with_one_line(
    client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = client.create_run("0")
    client.log_param(run.info.run_id, "trees", "many")
    client.create_registered_model("diabetes")
    client.create_model_version("diabetes", str(tmp_path), run_id=run.info.run_id)
    client.set_registered_model_alias("diabetes", "champion", "1")
    assert main(QUICK) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: version 1, the champion, cannot be compared with: its run")
    assert aliases(client) == {"champion": "1"}
