"""The command that MLproject's entry point runs."""

import sys
from typing import Final

import mlflow
from mlflow import ActiveRun, MlflowClient
from mlflow.exceptions import MlflowException
from mlflow_sealed.command import be_quiet, parse
from mlflow_sealed.training import log
from mlflow_sealed.training.measure.evaluate import evaluate, split, table
from mlflow_sealed.training.measure.results import Evaluation
from mlflow_sealed.training.measure.tripwires import TripwireError, check, check_data
from mlflow_sealed.training.register import decision as promotion
from mlflow_sealed.training.register import versions as registry
from mlflow_sealed.training.register.champion import Champion, find_champion, log_out_of_fold
from mlflow_sealed.training.register.interruption import deferred
from mlflow_sealed.training.register.liveness import left_running
from mlflow_sealed.training.register.versions import RegistryError
from mlflow_sealed.training.show import artifacts, card, descriptions, threshold_slider

from mlflow_sealed import process
from training.dataset import DataError, read
from training.fit import fit
from training.fit_on_spark import SparkFitError, fit_on_spark
from training.options import SPARK, XGBOOST, Options
from training.project import NAME, PROJECT
from training.subject import SUBJECT

FIT: Final = {XGBOOST: fit, SPARK: fit_on_spark}


@process.command(DataError, RegistryError, SparkFitError, TripwireError, MlflowException)
def main(arguments: list[str] | None = None) -> int:
    """Train once and return the exit status; a failure is one line on standard error."""
    be_quiet()
    train(parse(arguments, Options, program="python -m training"))
    return 0


def train(options: Options) -> None:
    """Read, fit, evaluate, log and register, and print the figures."""
    data = read(options.data)
    check_data(data)
    rows = split(data, options)
    with log.start_run() as run:
        clear_away(run)
        before = find_champion(data, options)
        if before is not None and not before.comparable:
            print(incomparable(before))
        log.log_provenance(run, data, rows, options)
        records, labels = data.records.iloc[rows.training], data.labels[rows.training]
        classifier = FIT[options.engine](records, labels, options)
        evaluation = evaluate(data, rows, classifier, options, subject=SUBJECT)
        print(table(evaluation))
        log.log_figures(evaluation)
        check(evaluation)
        about = log_artifacts(run, evaluation)
        model = log.log_model(classifier, evaluation.threshold.value)
        tags = log.version_tags(run, data)
        outcome = promotion.register(
            model.model_uri, evaluation, champion=before, tags=tags, description=about
        )
    log.describe(
        run,
        PROJECT,
        model=descriptions.of_model(PROJECT),
        experiment=descriptions.of_experiment(PROJECT),
    )
    print(f"run {run.info.run_id}: models:/{NAME}/{outcome.version} {outcome.said}")


def log_artifacts(run: ActiveRun, evaluation: Evaluation) -> str:
    """Log what a reader, a served model and the next training look at: all before registering.

    Returns
    -------
    str
        The model card, as the description of a version.
    """
    log.log_held_out(evaluation)
    log_out_of_fold(evaluation)
    origin = card.provenance(mlflow.get_run(run.info.run_id), PROJECT)
    files = artifacts.render(evaluation, origin)
    tables = {threshold_slider.TABLE: threshold_slider.table(evaluation)}
    log.log_shown(files, tables=tables, note=descriptions.of_run(evaluation))
    return descriptions.of_version(str(files[card.FILE]))


def incomparable(champion: Champion) -> str:
    """Return what to say, before anything is fitted, of a champion without anything to compare."""
    return (
        f"models:/{NAME}/{champion.version} is the {registry.CHAMPION}: {champion.caveat}. The new "
        f"version will be the {registry.CHALLENGER}; make promote VERSION=… with its number makes "
        f"it the {registry.CHAMPION}"
    )


def clear_away(run: ActiveRun) -> None:
    """Finish or undo what trainings have left that were killed outright on this machine."""
    client = MlflowClient()
    with registry.locked(), deferred():
        left = {each.info.run_id for each in left_running(client, run.info.experiment_id)}
        done, deleted = registry.clear_away(left)
        for run_id in left:
            client.set_terminated(run_id, "FINISHED" if run_id in done else "KILLED")
    for run_id in left - done:
        print(f"run {run_id} was left by a process that is gone: it is KILLED now")
    for version in deleted:
        print(f"models:/{NAME}/{version} was registered by half: it is deleted")


if __name__ == "__main__":
    sys.exit(main())
