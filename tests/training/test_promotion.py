"""Promotion: a new model gets the alias that it deserves, and its run says why."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import mlflow.artifacts
import pandas as pd
import pytest

from mlflow_sealed.command import parse
from mlflow_sealed.training.log import OUT_OF_FOLD
from mlflow_sealed.training.measure.evaluate import evaluate
from mlflow_sealed.training.measure.results import Evaluation
from mlflow_sealed.training.register.champion import Champion, find_champion
from mlflow_sealed.training.register.versions import PROMOTION, RegisteredModel
from tests import conftest
from tests.environ import ROOT
from training import __main__ as training_command
from training.__main__ import main
from training.dataset import read
from training.options import DATA, Options

pytestmark = pytest.mark.usefixtures("one_picture")

QUICK = [
    *("--data", str(ROOT / DATA), "--trees", "30", "--learning-rate", "0.2"),
    *("--folds", "3", "--repeats", "2"),
]


UNREADABLE = {
    "gone": None,
    "cut short": '{"folds": ',
    "a list": "[]",
    "of other rows": json.dumps({"folds": {}, "predicted": [[0.5]]}),
    "not numbers": json.dumps({"folds": {}, "predicted": [["x"] * 768]}),
    "NaN": json.dumps({"folds": {}, "predicted": [[float("nan")] * 768]}),
    "no probabilities": json.dumps({"folds": {}, "predicted": [[1.5] * 768]}),
}
"""What may be in the place of a run's predictions; the folds are those of the run."""


def train(*arguments: str) -> None:
    assert main([*QUICK, *arguments]) == 0


def run_of(client: mlflow.MlflowClient, version: str) -> mlflow.entities.Run:
    return client.get_run(str(client.get_model_version("diabetes", version).run_id))


def comparison_of(run: mlflow.entities.Run) -> dict[str, Any]:
    found: dict[str, Any] = mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/comparison.json")
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


def displaced(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of which every fourth has the label of another."""
    labels = rows["diabetes"].to_numpy(copy=True)
    labels[::4] = labels[::4][::-1]
    return rows.assign(diabetes=labels)


def cut(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.head(160)


@pytest.mark.parametrize("change", [displaced, cut])
def test_a_model_of_other_data_is_never_the_champion_unasked(
    client_with_champion: mlflow.MlflowClient,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[pd.DataFrame], pd.DataFrame],
) -> None:
    """The champion's parameters, fitted to the same bad data, would be no worse."""
    change(pd.read_csv(ROOT / DATA)).to_csv("other.csv", index=False)
    assert main([*conftest.QUICK, "--data", "other.csv"]) == 0
    run = is_challenger(client_with_champion, "version 1 was trained on other data", capsys)
    comparison = comparison_of(run)
    assert comparison["champion"] == "1"
    assert comparison["difference"] == run.data.metrics["promotion/log_loss_difference"] == 0


def test_a_model_of_other_folds_is_never_the_champion_unasked(
    client_with_champion: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--trees", "30", "--learning-rate", "0.2", "--folds", "3", "--repeats", "2")
    assert main([*conftest.QUICK, *options]) == 0
    why = "version 1 was measured with folds 2, not 3, and repeats 1, not 2"
    run = is_challenger(client_with_champion, why, capsys)
    assert comparison_of(run)["difference"] == run.data.metrics["promotion/log_loss_difference"] < 0


def test_a_model_is_not_the_champion_unasked_where_the_champions_predictions_are_unreadable(
    client_with_champion: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    with out_of_fold_for_a_while(run_of(client_with_champion, "1"), UNREADABLE["NaN"]):
        assert main([*conftest.QUICK, "--trees", "30"]) == 0
    is_challenger(client_with_champion, f"version 1 has no readable {OUT_OF_FOLD}", capsys)


def as_found(*arguments: str) -> Champion:
    """The champion as a training with these arguments meets it."""
    options = parse([*conftest.QUICK, *arguments], Options, program="train")
    found = find_champion(RegisteredModel("diabetes"), read(options.data), options)
    assert found is not None
    return found


@pytest.mark.usefixtures("client_with_champion")
def test_a_champion_of_the_same_data_and_folds_is_compared_as_it_is() -> None:
    """The control: nothing is held against a new model beforehand."""
    found = as_found("--trees", "30")
    assert (found.caveat, found.how) == ("", "logged by its run")


@pytest.mark.usefixtures("client_with_champion")
@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--seed", "8"), "was measured with seed 7, not 8"),
        (("--folds", "4"), "was measured with folds 2, not 4"),
        (("--repeats", "2"), "was measured with repeats 1, not 2"),
    ],
)
def test_a_champion_of_other_folds_is_known_before_anything_is_fitted(
    options: tuple[str, ...], why: str
) -> None:
    found = as_found(*options)
    assert found.caveat.startswith(f"version 1 {why}, so only its parameters were compared")
    assert found.logged is None


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE)
def test_a_champion_whose_predictions_are_unreadable_is_known_too(
    client_with_champion: mlflow.MlflowClient, content: str | None
) -> None:
    with out_of_fold_for_a_while(run_of(client_with_champion, "1"), content):
        found = as_found()
    assert found.caveat.startswith(f"version 1 has no readable {OUT_OF_FOLD}, so only")
    assert found.logged is None


def test_a_better_model_of_the_same_data_and_folds_is_the_champion(
    client_with_champion: mlflow.MlflowClient,
) -> None:
    assert main([*conftest.QUICK, "--trees", "30"]) == 0
    assert aliases(client_with_champion) == {"champion": "2"}
    run = run_of(client_with_champion, "2")
    assert run.data.tags["promotion"] == "version 2 is the champion"
    assert comparison_of(run)["reasons_against"] == []


def test_a_champion_that_changes_meanwhile_is_the_one_that_counts(
    client_with_champion: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main([*conftest.QUICK, "--trees", "30"]) == 0
    client_with_champion.set_registered_model_alias("diabetes", "champion", "1")

    def promoting(*given: Any, **named: Any) -> Evaluation:
        client_with_champion.set_registered_model_alias("diabetes", "champion", "2")
        return evaluate(*given, **named)

    monkeypatch.setattr(training_command, "evaluate", promoting)
    assert main([*conftest.QUICK, "--trees", "2"]) == 0
    assert aliases(client_with_champion) == {"champion": "2", "challenger": "3"}
    assert comparison_of(run_of(client_with_champion, "3"))["champion"] == "2"


def is_challenger(
    client: mlflow.MlflowClient, why: str, capsys: pytest.CaptureFixture[str]
) -> mlflow.entities.Run:
    """Look whether version 2 is the challenger, and line, tag and comparison say why."""
    assert aliases(client) == {"champion": "1", "challenger": "2"}
    run = run_of(client, "2")
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == f"run {run.info.run_id}: models:/diabetes/{run.data.tags['promotion'][8:]}"
    assert said.startswith(f"run {run.info.run_id}: models:/diabetes/2 is the challenger: {why}")
    assert said.endswith("mlflow-sealed model promote 2 makes it the champion")
    assert run.data.tags["promotion.compared_with"].startswith("version 1, refitted from its para")
    (reason, *_) = comparison_of(run)["reasons_against"]
    assert reason.startswith(why)
    assert client.get_model_version("diabetes", "2").tags[PROMOTION] == "challenger"
    return run


@contextmanager
def out_of_fold_for_a_while(run: mlflow.entities.Run, content: str | None) -> Iterator[None]:
    """Let a run's predictions be something else, or not be there; other tests use them."""
    path = Path(str(run.info.artifact_uri).removeprefix("file://")) / OUT_OF_FOLD
    kept = path.read_bytes()
    if content is None:
        path.unlink()
    else:
        folds = json.loads(kept)["folds"]
        path.write_text(content.replace("{}", json.dumps(folds)), encoding="utf-8")
    try:
        yield
    finally:
        path.write_bytes(kept)


def test_a_version_that_was_rolled_back_does_not_come_back_by_itself(
    client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    train("--trees", "2")
    train()
    assert aliases(client) == {"champion": "2"}
    RegisteredModel("diabetes").roll_back()
    train()
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.endswith(
        "/2 is this very model, which was rolled back: mlflow-sealed model promote 2"
    )
    assert aliases(client) == {"champion": "1"}
