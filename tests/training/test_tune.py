"""Tuning: resumable, on the training rows alone, and readable in MLflow."""

import re
import threading
from pathlib import Path

import mlflow
import numpy as np
import optuna
import pytest

from mlflow_sealed import tracking_store
from mlflow_sealed.training.measure.dataset import Dataset
from mlflow_sealed.training.measure.evaluate import split
from tests.environ import ROOT
from training import tune
from training.dataset import read
from training.options import DATA, Options

QUICK = ["--data", str(ROOT / DATA), "--folds", "2", "--repeats", "1"]


def test_a_study_is_resumed_and_its_trials_are_nested_runs(
    client: mlflow.MlflowClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*QUICK, "--storage", str(tmp_path / "t.db")]
    for trials in ("2", "3", "3"):
        assert tune.main([*arguments, "--trials", trials]) == 0
    said = capsys.readouterr().out.splitlines()
    assert re.match(r"3 trials of study diabetes-\w{12} in ", said[-2])
    assert said[-2:] == said[-4:-2], "nothing is left to do, and the best is told again"
    experiment = client.get_experiment_by_name("diabetes")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    nested = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert len(runs) == 3 + 3
    assert len(nested) == 3
    for run in nested:
        assert run.data.params.keys() == tune.SPACE.keys()
        assert run.data.metrics.keys() == {"tuning/log_loss", "tuning/brier", "tuning/auc"}
    best = min(run.data.metrics["tuning/log_loss"] for run in nested)
    (last, *_) = (run for run in runs if run not in nested)
    assert last.data.metrics["tuning/log_loss"] == best
    assert client.search_registered_models() == []
    chosen = dict(re.findall(r"-P (\w+)=(\S+)", said[-1]))
    assert chosen.keys() == tune.SPACE.keys()
    Options.model_validate(chosen)


def test_a_run_that_mlflow_run_made_has_every_trial_below_it(
    client: mlflow.MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = client.create_run(client.create_experiment("elsewhere"), run_name="tuning")
    monkeypatch.setenv("MLFLOW_RUN_ID", made.info.run_id)
    assert tune.main([*QUICK, "--storage", str(tmp_path / "t.db"), "--trials", "2"]) == 0
    runs = client.search_runs([made.info.experiment_id], order_by=["start_time"])
    parents = {run.info.run_name: run.data.tags.get("mlflow.parentRunId") for run in runs}
    below = dict.fromkeys(("trial 0", "trial 1"), made.info.run_id)
    assert parents == {"tuning": None, **below}


def test_no_trial_sees_a_held_out_row(
    client: mlflow.MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With other labels in the held-out rows, every trial measures the same."""
    del client
    data = read(ROOT / DATA)
    labels = data.labels.copy()
    held_out = split(data, Options()).held_out
    labels[held_out] = np.random.default_rng(0).permutation(labels[held_out])
    found: list[list[float | None]] = []
    for given in (data, Dataset(data.records, labels, data.sha256)):
        monkeypatch.setattr(tune, "read", lambda _, given=given: given)
        monkeypatch.setattr(tune, "split", lambda *_: split(data, Options()))
        storage = tmp_path / f"{len(found)}.db"
        settings = tune.Settings(folds=2, repeats=1, trials=2, storage=storage)
        tune.tune(settings)
        url = f"sqlite:///{storage}"
        study = optuna.load_study(study_name=tune.study_name(given, settings), storage=url)
        found.append([trial.value for trial in study.trials])
    assert found[0] == found[1]


@pytest.mark.parametrize("change", [{"folds": 3}, {"seed": 8}, {"repeats": 2}, {"test_size": 0.3}])
def test_another_problem_is_another_study(change: dict[str, float]) -> None:
    data = read(ROOT / DATA)
    settings = tune.Settings()
    changed = tune.Settings.model_validate({**settings.model_dump(), **change})
    assert tune.study_name(data, changed) != tune.study_name(data, settings)
    budget = settings.model_copy(update={"trials": 7, "minutes": 1})
    assert tune.study_name(data, budget) == tune.study_name(data, settings)
    other = Dataset(data.records, data.labels, "other")
    assert tune.study_name(other, settings) != tune.study_name(data, settings)


def test_bad_data_ends_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert tune.main(["--data", "none.csv"]) == 1
    assert capsys.readouterr().err.startswith("error: none.csv: cannot be read")


def test_tunings_that_start_beside_a_new_file_make_its_tables_one_at_a_time(tmp_path: Path) -> None:
    """Two that make them at the same time both fail, now and then."""
    settings = tune.Settings(storage=tmp_path / "t.db")
    thread = threading.Thread(target=tune._study, args=(settings, "example"))  # noqa: SLF001 # the step
    with tracking_store.locked(f"sqlite:///{settings.storage}"):
        thread.start()
        thread.join(0.3)
        assert not settings.storage.exists()
    thread.join()
    assert settings.storage.exists()
