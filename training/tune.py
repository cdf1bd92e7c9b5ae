"""Choose the parameters of the trees: the command of MLproject's entry point ``tune``."""

import hashlib
import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import mlflow
import optuna
from mlflow.exceptions import MlflowException
from optuna.distributions import FloatDistribution, IntDistribution, distribution_to_json
from pydantic import Field

from mlflow_sealed import process, tracking_store
from mlflow_sealed.command import be_quiet, parse
from mlflow_sealed.training import liveness, log
from mlflow_sealed.training.measure.cross_validation import out_of_fold
from mlflow_sealed.training.measure.dataset import DataError, Dataset
from mlflow_sealed.training.measure.evaluate import split
from mlflow_sealed.training.measure.figures import figures
from mlflow_sealed.training.measure.options import DataFile, Measuring
from mlflow_sealed.training.measure.results import MODEL, Split
from training.dataset import read
from training.options import DATA, Options
from training.predictors import PREDICTORS
from training.project import NAME, PROJECT

SPACE: Final[dict[str, IntDistribution | FloatDistribution]] = {
    "trees": IntDistribution(25, 100, step=5),
    "depth": IntDistribution(1, 3),
    "learning_rate": FloatDistribution(0.02, 0.3, log=True),
    "subsample": FloatDistribution(0.4, 1, step=0.05),
    "colsample": FloatDistribution(0.375, 1, step=0.125),  # three features: one may be missing
    "min_child_weight": IntDistribution(1, 20),
    "reg_lambda": FloatDistribution(0.1, 30, log=True),
}
"""Where the options of `training.options.Options` are looked for: shallow, regularised trees.

Few of them: every request pays for each, and up to 400 gave no better figures than up to 100.
"""

OBJECTIVE: Final = "tuning/log_loss"
_SHOWN: Final = ("log_loss", "brier", "auc")
_DIGITS: Final = 3
_HEARTBEAT_S: Final = 20


class Settings(Measuring):
    """Choose the parameters of the trees on the training rows, by cross-validated log loss."""

    data: DataFile = DATA
    repeats: int = Field(default=3, ge=1, le=100, description="repeats of the cross-validation")
    trials: int = Field(default=100, ge=1, description="trials of the study, earlier ones too")
    minutes: float = Field(default=20, gt=0, description="most minutes that this run may take")
    storage: Path = Field(default=Path("tuning.db"), description="SQLite file to resume from")


@process.command(DataError, MlflowException, optuna.exceptions.OptunaError)
def main(arguments: list[str] | None = None) -> int:
    """Tune once and return the exit status; a failure is one line on standard error."""
    be_quiet()
    tune(parse(arguments, Settings, program="python -m training.tune"))
    return 0


def tune(settings: Settings) -> None:
    """Search until a budget is used up; log a run with one nested run a trial; print the best.

    Nothing leaks into what a training measures on held-out rows: with the same data, seed and
    test size they are held out here too, and no trial sees them. A trial is measured by
    cross-validation within the training rows. The best of many trials looks better than it is, by
    the luck of these folds: believe what a training measures on the held-out rows.
    The space itself was narrowed once by hand, after a first study whose best had two features a
    tree and did worse on all rows than on those that it was tuned on.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    data = read(settings.data)
    options = Options.model_validate(settings.model_dump(include=set(Measuring.model_fields)))
    rows = split(data, options)
    study = _study(settings, study_name(data, settings))
    with log.start_run(PROJECT) as run:
        log.log_tuning(run, PROJECT, data, rows, settings)
        mlflow.set_tag("study", study.study_name)
        missing = settings.trials - len(_complete(study))
        if missing > 0:
            study.optimize(
                _objective(data, rows, options),
                n_trials=missing,
                timeout=settings.minutes * 60,
                show_progress_bar=sys.stderr.isatty(),
            )
        best = rounded(study.best_params)
        mlflow.log_metrics({"trials": len(_complete(study)), OBJECTIVE: study.best_value})
        mlflow.log_dict(best, "best.json")
        _log_trials(study)
    chosen = " ".join(f"-P {name}={value:g}" for name, value in best.items())
    print(f"{len(_complete(study))} trials of study {study.study_name} in {settings.storage}")
    print(f"best log loss {study.best_value:.4f}: mlflow run . {chosen}")


def study_name(data: Dataset, settings: Settings) -> str:
    """Return a name that another problem does not have: other data, folds, or another space."""
    problem = {
        "data": data.sha256,
        **settings.model_dump(include=set(Measuring.model_fields) - {"data"}),
        "space": {name: json.loads(distribution_to_json(each)) for name, each in SPACE.items()},
    }
    text = json.dumps(problem, sort_keys=True)
    return f"{NAME}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def rounded(parameters: dict[str, Any]) -> dict[str, float]:
    """Return parameters with few digits: those that a trial is measured with."""
    return {name: float(f"{value:.{_DIGITS}g}") for name, value in parameters.items()}


def _study(settings: Settings, name: str) -> optuna.Study:
    """Open the study, which other tunings may do too, one at a time: each makes what is missing."""
    address = f"sqlite:///{settings.storage.resolve()}"
    with tracking_store.locked(address):
        return _opened(settings, name, address)


def _opened(settings: Settings, name: str, address: str) -> optuna.Study:
    """Open the study. A trial whose process died is found by its silence, and counts as failed."""
    with warnings.catch_warnings(category=optuna.exceptions.ExperimentalWarning, action="ignore"):
        storage = optuna.storages.RDBStorage(address, heartbeat_interval=_HEARTBEAT_S)
    study = optuna.create_study(
        storage=storage, study_name=name, direction="minimize", load_if_exists=True
    )
    # Not the same random numbers again after a resumption.
    study.sampler = optuna.samplers.TPESampler(
        seed=settings.seed + len(study.trials), multivariate=True
    )
    study.enqueue_trial(Options().model_dump(include=set(SPACE)), skip_if_exists=True)
    return study


def _complete(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])


def _objective(data: Dataset, rows: Split, options: Options) -> Callable[[optuna.Trial], float]:
    records, labels = data.records.iloc[rows.training], data.labels[rows.training]
    alone = {MODEL: PREDICTORS[MODEL]}

    def measure(trial: optuna.Trial) -> float:
        chosen = rounded({name: _suggest(trial, name) for name in SPACE})
        tried = Options.model_validate({**options.model_dump(), **chosen})
        name = f"trial {trial.number}"
        with mlflow.start_run(run_name=name, nested=True, tags=liveness.tag()):
            mlflow.log_params(chosen)
            predicted = out_of_fold(records, labels, tried, predictors=alone)[MODEL]
            repeats = [figures(labels, each, 0.5) for each in predicted]
            means = {
                f"tuning/{name}": sum(repeat[name] for repeat in repeats) / len(repeats)
                for name in _SHOWN
            }
            mlflow.log_metrics(means)
        return means[OBJECTIVE]

    return measure


def _suggest(trial: optuna.Trial, name: str) -> float:
    kind = SPACE[name]
    if isinstance(kind, IntDistribution):
        return trial.suggest_int(name, kind.low, kind.high, step=kind.step)
    return trial.suggest_float(name, kind.low, kind.high, step=kind.step, log=kind.log)


def _log_trials(study: optuna.Study) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trials.csv"
        study.trials_dataframe().to_csv(path, index=False)
        mlflow.log_artifact(str(path))


if __name__ == "__main__":
    sys.exit(main())
