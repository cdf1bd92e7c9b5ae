"""The command that MLproject's entry point runs: one training, from top to bottom."""

import sys
from typing import Final

import numpy as np
import numpy.typing as npt
from mlflow import ActiveRun
from mlflow.exceptions import MlflowException
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
from xgboost import XGBClassifier

from mlflow_model import save
from mlflow_sealed import process
from training.dataset import read
from training.fit import contributions, fit, probabilities
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
    model = RegisteredModel(NAME)
    data = read(options.data)
    check_data(SUBJECT, data)
    rows = split(data, options)
    with log.start_run(PROJECT) as run:
        for line in clear_away(model, run.info.experiment_id):
            print(line)
        champion = find_champion(model, data, options)
        if champion is not None and not champion.comparable:
            print(warning(model, champion))
        log.log_provenance(run, PROJECT, data, rows, options)
        classifier = FIT[options.engine](*rows_of(data, rows.training), options)
        evaluation = measure(data, rows, classifier, options)
        print(table(evaluation))
        log.log_figures(evaluation)
        check(evaluation)
        ...
    log.describe(run, PROJECT, model=descriptions.of_model(PROJECT), experiment=descriptions.of_experiment(PROJECT))
    print(f"run {run.info.run_id}: models:/{NAME}/{outcome.version} {outcome.said}")


if __name__ == "__main__":
    sys.exit(main())
