"""Log a training to MLflow: what it is made from, its figures and its model."""

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
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE as NOTE
from xgboost import XGBClassifier

from mlflow_model import save
from mlflow_model.model import trained_with
from mlflow_sealed.project import Project
from mlflow_sealed.training.measure.results import CANDIDATES, MODEL, Evaluation, Interval, Split
from mlflow_sealed.training.register import liveness
from training.dataset import Dataset
from training.options import Measuring, Options
from training.project import EXPERIMENT, LABEL, NAME

_KIND: Final = "mlflow.experimentKind"
_TRAINING: Final = "custom_model_development"
_SAMPLE_EVERY_S: Final = 2
_DEFAULT_EXPERIMENT_ID: Final = "0"
_KEPT_TAGS: Final = ("mlflow.source.", "mlflow.project.", "mlflow.user", "mlflow.gitRepoURL")


def start_run() -> mlflow.ActiveRun:
    """Start the run that a training is logged to.

    That is the run that ``mlflow run`` has made, unless nobody named an experiment and it lies in
    MLflow's Default one: then the training gets a run in `EXPERIMENT`, and a note is left there.
    """
    mlflow.set_system_metrics_sampling_interval(_SAMPLE_EVERY_S)
    made = os.environ.get("MLFLOW_RUN_ID")
    if not made:
        mlflow.set_experiment(EXPERIMENT)
        return mlflow.start_run(tags=liveness.tag(), log_system_metrics=True)
    info = mlflow.get_run(made)
    del os.environ["MLFLOW_RUN_ID"]  # MLflow would take the first nested run for this one
    if info.info.experiment_id != _DEFAULT_EXPERIMENT_ID:
        return mlflow.start_run(run_id=made, tags=liveness.tag(), log_system_metrics=True)
    os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
    mlflow.set_experiment(EXPERIMENT)
    tags = {key: value for key, value in info.data.tags.items() if key.startswith(_KEPT_TAGS)}
    run = mlflow.start_run(tags={**tags, **liveness.tag()}, log_system_metrics=True)
    note = f"The training is run {run.info.run_id} of the experiment {EXPERIMENT}."
    MlflowClient().set_tag(made, "mlflow.note.content", note)
    return run


def log_provenance(run: mlflow.ActiveRun, data: Dataset, split: Split, options: Options) -> None:
    """Log what the training is made from: parameters, data, and the private package."""
    _log_params(run, options)
    package = trained_with()
    mlflow.set_tags(
        {
            "step": "training",
            "data.sha256": data.sha256,
            "mypreprocessing.version": package["version"],
            "mypreprocessing.installed_from": installed_from(),
        }
    )
    mlflow.log_dict(dict(package), "mypreprocessing.json")
    for context, rows in (("training", split.training), ("held-out", split.held_out)):
        _log_rows(data, rows, options.data, context)


def log_tuning(
    run: mlflow.ActiveRun, data: Dataset, split: Split, settings: Measuring, study: str
) -> None:
    """Log what a tuning is made from: its parameters, the rows that it sees, and its study."""
    _log_params(run, settings)
    mlflow.set_tags({"step": "tuning", "data.sha256": data.sha256, "study": study})
    _log_rows(data, split.training, settings.data, "training")


def _log_params(run: mlflow.ActiveRun, options: Measuring) -> None:
    """Log those that mlflow run has not logged: those that it was not given."""
    parameters = options.model_dump(mode="json").items()
    mlflow.log_params({key: value for key, value in parameters if key not in run.data.params})


def _log_rows(data: Dataset, rows: npt.NDArray[np.intp], path: Path, context: str) -> None:
    frame = data.records.iloc[rows].assign(**{LABEL: data.labels[rows]}).astype("float64")
    source = LocalArtifactDatasetSource(str(path))
    dataset = from_pandas(frame, source=source, name=f"pima {context}", targets=LABEL)
    mlflow.log_input(dataset, context=context)


def log_figures(evaluation: Evaluation) -> None:
    """Log the figures as metrics, and the threshold.

    ``held_out/…`` and ``cv/…`` are the model's, ``cv_logistic_regression/…`` and ``cv_article/…``
    those beside it; ``…_low`` and ``…_high`` are the ends of the interval.
    """
    figures = {
        "held_out": evaluation.held_out_figures,
        **{
            "cv" if name == MODEL else f"cv_{name}": evaluation.cross_validated[name]
            for name in CANDIDATES
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


def log_held_out(evaluation: Evaluation) -> None:
    """Log the held-out rows with their predicted probabilities as ``held_out.json``.

    It is what a served model is compared with. It holds patients' records and stays with the run.
    """
    rows = evaluation.data.records.iloc[evaluation.split.held_out]
    inputs = json.loads(rows.to_json(orient="records", double_precision=15))
    predicted = evaluation.held_out.tolist()
    mlflow.log_dict({"inputs": inputs, "probabilities": predicted}, "held_out.json")


def log_model(classifier: XGBClassifier, threshold: float) -> ModelInfo:
    """Log the pyfunc that serves a classifier, with the package and the commit behind it."""
    flavor: Any = save
    # It would rewrite a file of the model after the manifest was made.
    os.environ[MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING.name] = "false"
    with _no_bytecode():
        logged: ModelInfo = Model.log(
            artifact_path=None,
            name=NAME,
            flavor=flavor,
            metadata=_metadata(),
            booster=classifier.get_booster(),
            threshold=threshold,
            model_name=NAME,
        )
    return logged


def version_tags(run: mlflow.ActiveRun, data: Dataset) -> dict[str, str]:
    """Return the tags that tell one version of the registered model from another."""
    tags = mlflow.get_run(run.info.run_id).data.tags
    commit = {"git.commit": tags[MLFLOW_GIT_COMMIT]} if MLFLOW_GIT_COMMIT in tags else {}
    package = {"mypreprocessing.version": trained_with()["version"]}
    return {"data.sha256": data.sha256, **package, **commit}


def installed_from() -> str:
    """Return 'index', or the kind of place that PEP 610 records for anything else."""
    direct = importlib.metadata.distribution("mypreprocessing").read_text("direct_url.json")
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


def _metadata() -> dict[str, str]:
    """Return what a served model says of itself, and an image's labels: no server is asked then.

    That is the version of the private package, and the commit where MLflow knows of one.
    """
    run = mlflow.active_run()
    tags = mlflow.get_run(run.info.run_id).data.tags if run else {}
    commit = {"git_commit": tags[MLFLOW_GIT_COMMIT]} if MLFLOW_GIT_COMMIT in tags else {}
    return {"mypreprocessing": trained_with()["version"], **commit}


def log_shown(
    files: Mapping[str, bytes | str], *, tables: Mapping[str, pd.DataFrame], note: str
) -> None:
    """Log what a person looks at."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        mlflow.log_artifacts(folder)
    for name, table in tables.items():
        mlflow.log_table(table, name)
    mlflow.set_tag(NOTE, note)


def describe(run: mlflow.ActiveRun, project: Project, *, model: str, experiment: str) -> None:
    """Describe the registered model and a run's experiment, unless somebody has already."""
    client, name = MlflowClient(), project.names.model
    if not client.get_registered_model(name).description:
        client.update_registered_model(name, description=model)
    experiment_id = run.info.experiment_id
    tags = client.get_experiment(experiment_id).tags
    for key, value in {NOTE: experiment, _KIND: _TRAINING}.items():
        if key not in tags:
            client.set_experiment_tag(experiment_id, key, value)
