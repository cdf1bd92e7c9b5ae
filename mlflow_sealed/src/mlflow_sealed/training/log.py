"""Log a training to MLflow: what it is made from, its figures, what it shows, and its model."""

import importlib
import importlib.metadata
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import mlflow
import numpy as np
import numpy.typing as npt
import pandas as pd
from mlflow import MlflowClient
from mlflow.data.pandas_dataset import from_pandas
from mlflow.data.sources import LocalArtifactDatasetSource  # type: ignore[attr-defined] # made on import
from mlflow.environment_variables import MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING
from mlflow.models import Model
from mlflow.models.model import ModelInfo
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE as NOTE  # an experiment's too

from mlflow_sealed import drivers, tracking
from mlflow_sealed.project import Project
from mlflow_sealed.training import liveness
from mlflow_sealed.training.measure.comparison import Comparison
from mlflow_sealed.training.measure.dataset import Dataset
from mlflow_sealed.training.measure.options import Measuring
from mlflow_sealed.training.measure.results import MODEL, Evaluation, Interval, Split
from mlflow_sealed_pyfunc.package import PackageRecord, installed_package

HELD_OUT: Final = "held_out.json"
OUT_OF_FOLD: Final = "out_of_fold.json"
COMPARISON: Final = "comparison.json"
"""The files of a run that later trainings, and the test of an image, read."""

OUTCOME: Final = "promotion"
"""The tag of a run that says what became of its model."""

DATA_SHA256: Final = "data_sha256"
_FOLDS: Final = frozenset(set(Measuring.model_fields) - {"data", "test_size"})
_KIND: Final = "mlflow.experimentKind"
_TRAINING: Final = "custom_model_development"  # the UI shows runs and models then, not chats
_SAMPLE_EVERY_S: Final = 2
_DEFAULT_EXPERIMENT_ID: Final = "0"
_KEPT_TAGS: Final = ("mlflow.source.", "mlflow.project.", "mlflow.user", "mlflow.gitRepoURL")


def start_run(project: Project) -> mlflow.ActiveRun:
    """Start the run that a training is logged to.

    That is the run that ``mlflow run`` has made, unless nobody named an experiment and it lies in
    MLflow's Default one: then the training gets a run in the project's experiment, and a note is
    left there.

    Raises
    ------
    mlflow_sealed.drivers.DriverError, OSError
        If the tracking server, or the artifacts' address, cannot be used from here.
    """
    tracking.prepare(project.names.experiment)
    mlflow.set_system_metrics_sampling_interval(_SAMPLE_EVERY_S)
    experiment, made = project.names.experiment, os.environ.get("MLFLOW_RUN_ID")
    if not made:
        drivers.check_artifacts(mlflow.set_experiment(experiment).artifact_location)
        return mlflow.start_run(tags=liveness.tag(), log_system_metrics=True)
    info = mlflow.get_run(made)
    drivers.check_artifacts(info.info.artifact_uri)
    del os.environ["MLFLOW_RUN_ID"]  # MLflow would take the first nested run for this one
    if info.info.experiment_id != _DEFAULT_EXPERIMENT_ID:
        return mlflow.start_run(run_id=made, tags=liveness.tag(), log_system_metrics=True)
    os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
    mlflow.set_experiment(experiment)
    tags = {key: value for key, value in info.data.tags.items() if key.startswith(_KEPT_TAGS)}
    run = mlflow.start_run(tags={**tags, **liveness.tag()}, log_system_metrics=True)
    note = f"The training is run {run.info.run_id} of the experiment {experiment}."
    MlflowClient().set_tag(made, NOTE, note)
    return run


def log_provenance(
    run: mlflow.ActiveRun, project: Project, data: Dataset, split: Split, options: Measuring
) -> None:
    """Log what the training is made from: parameters, data, and the private package."""
    _log_params(run, options)
    name, package = project.names.package, package_record(project)
    mlflow.set_tags(
        {
            "step": "training",
            "data.sha256": data.sha256,
            f"{name}.version": package["version"],
            f"{name}.installed_from": installed_from(name),
        }
    )
    mlflow.log_dict(dict(package), f"{name}.json")
    for context, rows in (("training", split.training), ("held-out", split.held_out)):
        _log_rows(project, data, rows, options.data, context)


def log_tuning(
    run: mlflow.ActiveRun, project: Project, data: Dataset, split: Split, settings: Measuring
) -> None:
    """Log what a tuning is made from: its parameters, and the rows that it sees."""
    _log_params(run, settings)
    mlflow.set_tags({"step": "tuning", "data.sha256": data.sha256})
    _log_rows(project, data, split.training, settings.data, "training")


def _log_params(run: mlflow.ActiveRun, options: Measuring) -> None:
    """Log those that mlflow run has not logged: those that it was not given."""
    parameters = options.model_dump(mode="json").items()
    mlflow.log_params({key: value for key, value in parameters if key not in run.data.params})


def _log_rows(
    project: Project, data: Dataset, rows: npt.NDArray[np.intp], path: Path, context: str
) -> None:
    label = project.data.label
    frame = data.records.iloc[rows].assign(**{label: data.labels[rows]}).astype("float64")
    source = LocalArtifactDatasetSource(str(path))
    name = f"{project.data.name} {context}"
    mlflow.log_input(from_pandas(frame, source=source, name=name, targets=label), context=context)


def log_figures(evaluation: Evaluation) -> None:
    """Log the figures as metrics, and the threshold.

    ``held_out/…`` and ``cv/…`` are the model's, ``cv_NAME/…`` those of another predictor;
    ``…_low`` and ``…_high`` are the ends of the interval.
    """
    figures = {
        "held_out": evaluation.held_out_figures,
        **{
            "cv" if name == MODEL else f"cv_{name}": found
            for name, found in evaluation.cross_validated.items()
        },
    }
    metrics = {"threshold": evaluation.threshold.value}
    for group, intervals in figures.items():
        for name, interval in intervals.items():
            metrics |= _metrics(f"{group}/{name}", interval)
    mlflow.log_metrics(metrics)
    mlflow.set_tags(
        {
            "threshold.rule": evaluation.threshold.rule,
            "threshold.reason": evaluation.threshold.reason,
        }
    )


def _metrics(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def log_predictions(evaluation: Evaluation) -> None:
    """Log what a served model and the next training are compared with.

    `HELD_OUT` has the held-out rows with their predicted probabilities: a served model is compared
    with it. It holds records and stays with the run. `OUT_OF_FOLD` has the model's out-of-fold
    predictions, which the next training is compared with.
    """
    rows = evaluation.data.records.iloc[evaluation.split.held_out]
    inputs = json.loads(rows.to_json(orient="records", double_precision=15))
    held_out = evaluation.held_out.tolist()
    mlflow.log_dict({"inputs": inputs, "probabilities": held_out}, HELD_OUT)
    predicted = evaluation.out_of_fold[MODEL].tolist()
    folds = folds_of(evaluation.data, evaluation.options)
    mlflow.log_dict({"folds": folds, "predicted": predicted}, OUT_OF_FOLD)


def folds_of(data: Dataset, options: Measuring) -> dict[str, Any]:
    """Return all that the folds of a training depend on."""
    return {DATA_SHA256: data.sha256, **options.model_dump(include=set(_FOLDS))}


def log_shown(
    files: Mapping[str, bytes | str], *, tables: Mapping[str, pd.DataFrame], note: str
) -> None:
    """Log what a person looks at.

    Parameters
    ----------
    files
        The content of each file, by its path among the run's artifacts.
    tables
        The tables that MLflow's UI shows, likewise.
    note
        The run's overview, in Markdown.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        mlflow.log_artifacts(folder)
    for name, table in tables.items():
        mlflow.log_table(table, name)
    mlflow.set_tag(NOTE, note)


def log_model(project: Project, flavor: Any, **options: Any) -> ModelInfo:
    """Log the model that serves, with the package and the commit behind it.

    Parameters
    ----------
    flavor
        The module whose ``save_model`` writes it, as `mlflow.models.Model.log` asks for.
    options
        Handed to ``save_model``.
    """
    # It would rewrite a file of the model after the manifest was made.
    os.environ[MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING.name] = "false"
    with _no_bytecode():
        logged: ModelInfo = Model.log(
            artifact_path=None,
            name=project.names.model,
            flavor=flavor,
            metadata=_metadata(project),
            model_name=project.names.model,
            **options,
        )
    return logged


def log_comparison(
    report: Mapping[str, Any], comparison: Comparison | None, *, compared_with: str
) -> None:
    """Log what a new model was found to be next to the champion.

    Parameters
    ----------
    report
        The content of `COMPARISON`.
    comparison
        Nothing where the champion cannot be compared with.
    compared_with
        The champion, and where its predictions are from.
    """
    mlflow.log_dict(dict(report), COMPARISON)
    mlflow.set_tag("promotion.compared_with", compared_with)
    if comparison is not None:
        mlflow.log_metrics(
            {
                "promotion/log_loss_difference": comparison.difference,
                "promotion/log_loss_worst": comparison.worst,
            }
        )


def log_outcome(said: str) -> None:
    """Log what became of the model."""
    mlflow.set_tag(OUTCOME, said)


def describe(run: mlflow.entities.Run, project: Project, *, model: str, experiment: str) -> None:
    """Describe the registered model and a run's experiment, unless somebody has already."""
    client, name = MlflowClient(), project.names.model
    if not client.get_registered_model(name).description:
        client.update_registered_model(name, description=model)
    experiment_id = run.info.experiment_id
    tags = client.get_experiment(experiment_id).tags
    for key, value in {NOTE: experiment, _KIND: _TRAINING}.items():
        if key not in tags:
            client.set_experiment_tag(experiment_id, key, value)


def version_tags(run: mlflow.ActiveRun, project: Project, data: Dataset) -> dict[str, str]:
    """Return the tags that tell one version of the registered model from another."""
    package = {f"{project.names.package}.version": package_record(project)["version"]}
    commit = {"git.commit": commit} if (commit := _commit(run.info.run_id)) else {}
    return {"data.sha256": data.sha256, **package, **commit}


def package_record(project: Project) -> PackageRecord:
    """Return what a model remembers of the private package: its version and its files."""
    return installed_package(importlib.import_module(project.names.package))


def installed_from(package: str) -> str:
    """Return 'index', or the kind of place that PEP 610 records for anything else."""
    direct = importlib.metadata.distribution(package).read_text("direct_url.json")
    if direct is None:
        return "index"
    return "editable sources" if json.loads(direct).get("dir_info", {}).get("editable") else "file"


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """Keep Python from leaving bytecode in a model's folder, where MLflow tries the model out."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _metadata(project: Project) -> dict[str, str]:
    """Return what a served model says of itself, and an image's labels: no server is asked then.

    That is the version of the private package, and the commit where MLflow knows of one.
    """
    run = mlflow.active_run()
    commit = _commit(run.info.run_id) if run else None
    package = {project.names.package: package_record(project)["version"]}
    return {**package, "git_commit": commit} if commit else package


def _commit(run_id: str) -> str | None:
    found: str | None = mlflow.get_run(run_id).data.tags.get(MLFLOW_GIT_COMMIT)
    return found
