"""The run that an image's model comes from: it has what the image is tested with."""

from mlflow.entities import LifecycleStage, Run

from mlflow_sealed.process import ProcessError
from mlflow_sealed.tracking import find_run


def active_run(run_id: str | None, *, of: str) -> Run:
    """Return the run of a model or an image, which has its recorded predictions and takes its test.

    Parameters
    ----------
    of
        The model or the image, as the message names it.

    Raises
    ------
    mlflow_sealed.process.ProcessError
        If there is no such run, or nothing can be logged to it; the message says what to do.
    mlflow.exceptions.MlflowException
        If the tracking server fails.
    """
    run = find_run(run_id)
    if run is None:
        why = f"its run {run_id} is gone" if run_id else "it was logged without a run"
        raise ProcessError(
            f"{of}: {why}, so the predictions that an image is tested with are missing: make "
            "train, then make promote VERSION=… with the version that it made, then make image"
        )
    if run.info.lifecycle_stage != LifecycleStage.ACTIVE:
        raise ProcessError(
            f"{of}: its run {run_id} is deleted, so nothing can be logged to it: mlflow runs "
            f"restore --run-id {run_id}"
        )
    return run
