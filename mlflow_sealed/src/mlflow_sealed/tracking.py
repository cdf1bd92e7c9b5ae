"""The tracking server: which it is, and whether a run is gone or the server fails."""

import os

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from mlflow_sealed import drivers, tracking_store
from mlflow_sealed.project import Project


def use_default(project: Project) -> None:
    """Let MLflow use the project's tracking server where MLFLOW_TRACKING_URI names none.

    Raises
    ------
    mlflow_sealed.drivers.DriverError, OSError
        If its address cannot be used from here; `mlflow_sealed.tracking_store.check` says when.
    """
    os.environ.setdefault(tracking_store.URI, project.tracking.default)
    tracking_store.check(os.environ)


def prepare(experiment: str) -> None:
    """Prepare the tracking server that MLflow uses now, and the registry, for a run.

    Parameters
    ----------
    experiment
        The run's experiment; it is made if there is none.

    Raises
    ------
    mlflow_sealed.drivers.DriverError, OSError
        As `mlflow_sealed.tracking_store.prepare` says.
    """
    addresses = {
        tracking_store.URI: mlflow.get_tracking_uri(),
        tracking_store.REGISTRY_URI: mlflow.get_registry_uri(),
    }
    tracking_store.prepare(addresses, experiment=experiment)


def check_artifacts(uri: str) -> None:
    """Check that what is installed can read a model or a run's artifacts.

    Parameters
    ----------
    uri
        Any address that MLflow knows: ``models:/…``, ``runs:/…``, a folder.

    Raises
    ------
    mlflow_sealed.drivers.DriverError
        If they are stored where it cannot.
    mlflow.exceptions.MlflowException
        If there is no such model or run.
    """
    found = get_artifact_repository(uri)
    drivers.check_artifacts(getattr(found, "repo", found).artifact_uri)


def find_run(run_id: str | None) -> Run | None:
    """Return a run, or None if there is none.

    A version of a model outlives its run: ``mlflow gc`` removes a deleted run for good, and the
    version stays and loads. A version can also be registered without one. A run that is deleted,
    and not yet removed, is returned; its ``info.lifecycle_stage`` says so.

    Parameters
    ----------
    run_id
        Its id, or nothing for a version that was registered without one.

    Raises
    ------
    mlflow.exceptions.MlflowException
        If the tracking server answers with anything else than that the run does not exist.
    """
    if not run_id:
        return None
    try:
        return MlflowClient().get_run(run_id)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        return None
