"""Finish or undo what trainings left behind that were killed."""

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, RunStatus

from mlflow_sealed.tracking import find_run
from mlflow_sealed.training.liveness import left_running
from mlflow_sealed.training.register.interruption import deferred
from mlflow_sealed.training.register.versions import PENDING, PROMOTION, RegisteredModel


def clear_away(model: RegisteredModel, experiment_id: str) -> list[str]:
    """Finish or undo what trainings have left that were killed outright on this machine.

    Returns
    -------
    list
        A line on each run and version that this changed.
    """
    client = MlflowClient()
    with model.locked(), deferred():
        left = {each.info.run_id for each in left_running(client, experiment_id)}
        done, deleted = clear_versions(model, left)
        for run_id in left:
            client.set_terminated(run_id, "FINISHED" if run_id in done else "KILLED")
    return [
        *(
            f"run {run_id} was left by a process that is gone: it is KILLED now"
            for run_id in left - done
        ),
        *(
            f"models:/{model.name}/{version} was registered by half: it is deleted"
            for version in deleted
        ),
    ]


def clear_versions(model: RegisteredModel, killed: set[str]) -> tuple[set[str], list[str]]:
    """Finish or undo what was registered by half.

    Parameters
    ----------
    killed
        The runs whose process is dead.

    Returns
    -------
    set, list
        Those of the runs whose version had got its alias: they were done. And the versions that
        had none: they are deleted.
    """
    aliases = {version: alias for alias, version in model.aliases().items()}
    done, deleted = set(), []
    for each in model.versions():
        version, run_id = str(each.version), each.run_id
        pending = each.tags.get(PROMOTION) == PENDING
        if version in aliases:
            done |= killed & {run_id}
            if pending:
                model.say(version, aliases[version])
        elif pending and (run_id in killed or not _is_running(run_id)):
            MlflowClient().delete_model_version(model.name, version)
            deleted.append(version)
    return done, deleted


def _is_running(run_id: str | None) -> bool:
    """Return whether a training may still be at work; MLflow lets none go on in a deleted run."""
    run = find_run(run_id)
    if run is None or run.info.lifecycle_stage != LifecycleStage.ACTIVE:
        return False
    return bool(run.info.status == RunStatus.to_string(RunStatus.RUNNING))
