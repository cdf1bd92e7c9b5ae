"""The command that MLproject's entry point runs: one training, from top to bottom."""

import sys
from typing import Final

import mlflow
from mlflow.exceptions import MlflowException
from xgboost import XGBClassifier

from mlflow_model import save
from mlflow_sealed import process
from mlflow_sealed.command import be_quiet, parse
from mlflow_sealed.training import log
from mlflow_sealed.training.measure.dataset import DataError, Dataset
from mlflow_sealed.training.measure.evaluate import evaluate, split, table
from mlflow_sealed.training.measure.results import Evaluation, Split
from mlflow_sealed.training.measure.tripwires import TripwireError, check, check_data
from mlflow_sealed.training.register.champion import find_champion, warning
from mlflow_sealed.training.register.cleanup import clear_away
from mlflow_sealed.training.register.decision import decide, register
from mlflow_sealed.training.register.versions import RegisteredModel, RegistryError
from mlflow_sealed.training.show import artifacts, card, descriptions, threshold_slider
from training.dataset import read
from training.fit import contributions, fit, probabilities
from training.fit_on_spark import SparkFitError, fit_on_spark
from training.options import SPARK, XGBOOST, Options
from training.project import NAME, PROJECT
from training.subject import SUBJECT

FIT: Final = {XGBOOST: fit, SPARK: fit_on_spark}

FAILURES: Final = (
    *(card.CardError, DataError, RegistryError, SparkFitError, TripwireError),
    MlflowException,
)


@process.command(*FAILURES)
def main(arguments: list[str] | None = None) -> int:
    """Train once and return the exit status; a failure is one line on standard error."""
    be_quiet()
    train(parse(arguments, Options, program="python -m training"))
    return 0


def train(options: Options) -> None:
    """Read, fit, evaluate, log and register, and print the figures."""
    model = RegisteredModel(NAME)
    data = read(options.data)
    check_data(SUBJECT, data)
    rows = split(data, options)
    with log.start_run(PROJECT) as run:
        for line in clear_away(model, run.info.experiment_id):
            print(line)
        champion = find_champion(model, data, options)
        if champion is not None and not champion.comparable:
            print(warning(model, champion))  # before minutes of work
        log.log_provenance(run, PROJECT, data, rows, options)
        records, labels = data.records.iloc[rows.training], data.labels[rows.training]
        classifier = FIT[options.engine](records, labels, options)
        evaluation = measure(data, rows, classifier, options)
        print(table(evaluation))
        log.log_figures(evaluation)
        check(evaluation)
        about = show(run.info.run_id, evaluation)
        log.log_predictions(evaluation)
        booster, threshold = classifier.get_booster(), evaluation.threshold.value
        logged = log.log_model(PROJECT, save, booster=booster, threshold=threshold)
        outcome = register(
            logged.model_uri,
            evaluation,
            decide(evaluation, champion),
            tags=log.version_tags(run, PROJECT, data),
            description=about,
        )
    log.describe(
        run,
        PROJECT,
        model=descriptions.of_model(PROJECT),
        experiment=descriptions.of_experiment(PROJECT),
    )
    print(f"run {run.info.run_id}: models:/{NAME}/{outcome.version} {outcome.said}")


def measure(data: Dataset, rows: Split, classifier: XGBClassifier, options: Options) -> Evaluation:
    """Evaluate a classifier that was fitted to the training rows."""
    return evaluate(
        SUBJECT,
        data,
        rows,
        options,
        held_out=probabilities(classifier, data.records.iloc[rows.held_out]),
        contributions=contributions(classifier, data.records),
    )


def show(run_id: str, evaluation: Evaluation) -> str:
    """Log what a person looks at, and return the description of a version: the model card."""
    files = artifacts.render(evaluation, card.provenance(mlflow.get_run(run_id), PROJECT))
    tables = {threshold_slider.TABLE: threshold_slider.table(evaluation)}
    log.log_shown(files, tables=tables, note=descriptions.of_run(evaluation))
    return descriptions.of_version(str(files[card.FILE]))


if __name__ == "__main__":
    sys.exit(main())
