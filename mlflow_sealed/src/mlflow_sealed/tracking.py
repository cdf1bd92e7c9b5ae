"""The tracking server: which it is, and whether a run is gone or the server fails."""

import os

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from mlflow_sealed.project import Project


def use_default(project: Project) -> None:
    """Let MLflow use the project's tracking server where MLFLOW_TRACKING_URI names none."""
    os.environ.setdefault("MLFLOW_TRACKING_URI", project.tracking.default)


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
