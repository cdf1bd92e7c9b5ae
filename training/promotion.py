"""Decide what becomes of a new model: champion, challenger, or nothing new."""

from dataclasses import dataclass
from typing import Any, Final

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from pydantic import ValidationError

from mlflow_model.model import NAME
from training import registry
from training.candidates import out_of_fold
from training.comparison import Comparison, compare
from training.evaluation import MODEL, Evaluation, Floats
from training.interruption import deferred
from training.options import Measuring, Options

OUT_OF_FOLD: Final = "out_of_fold.json"
COMPARISON: Final = "comparison.json"
_FOLDS: Final = tuple(sorted(set(Measuring.model_fields) - {"data", "test_size"}))


@dataclass(frozen=True)
class Outcome:
    """Which version stands for a trained model, and one phrase on what it is."""

    version: str
    said: str


def log_out_of_fold(evaluation: Evaluation) -> None:
    """Log the model's out-of-fold predictions: what the next training is compared with."""
    predicted = evaluation.out_of_fold[MODEL].tolist()
    mlflow.log_dict({"folds": _folds(evaluation), "predicted": predicted}, OUT_OF_FOLD)


def register(
    uri: str, evaluation: Evaluation, *, tags: dict[str, str], description: str | None = None
) -> Outcome:
    """Register a logged model, give it the alias that it deserves, and end the run.

    The first model is the champion. Another becomes it when the comparison has nothing against it,
    else it is the challenger. A model that is there already registers nothing. From the moment
    that a version is made, signals wait until it has its alias and the run has ended.
    """
    sha256 = registry.digest(uri)
    # What takes long comes first: others wait for the lock.
    comparison = _compare(registry.champion(), evaluation)
    with registry.locked():
        if (same := registry.same_model(sha256)) is not None:
            return _kept(str(same.version), same.tags[registry.PROMOTION])
        while (champion := registry.champion()) != (comparison and comparison.champion):
            comparison = _compare(champion, evaluation)
        with deferred():
            if comparison is not None:
                _log(comparison)
            version = registry.add(uri, sha256, tags, description)
            outcome = _place(version, comparison.reasons if comparison else [])
            mlflow.set_tag(registry.PROMOTION, f"version {version} {outcome.said}")
            mlflow.end_run()
    return outcome


def _place(version: str, reasons: list[str]) -> Outcome:
    if not reasons:
        registry.make_champion(version)
        return Outcome(version, f"is the {registry.CHAMPION}")
    registry.make_challenger(version)
    return Outcome(version, f"is the {registry.CHALLENGER}: {'; '.join(reasons)}")


def _kept(version: str, promotion: str) -> Outcome:
    if version == registry.champion():
        said = f"is this very model and stays the {registry.CHAMPION}"
    elif promotion == registry.ROLLED_BACK:
        said = f"is this very model, which was rolled back: make promote VERSION={version}"
    else:
        said = f"is this very model and stays the {registry.CHALLENGER}"
    mlflow.set_tag(registry.PROMOTION, f"version {version} {said}")
    return Outcome(version, said)


def _compare(champion: str | None, evaluation: Evaluation) -> Comparison | None:
    if champion is None:
        return None
    predicted, how = _champions_predictions(champion, evaluation)
    return compare(evaluation, predicted, champion=champion, how=how)


def _champions_predictions(champion: str, evaluation: Evaluation) -> tuple[Floats, str]:
    """Return the champion's out-of-fold predictions for the folds of another training.

    Its run logged them. Where that was for other data or other folds, its parameters are fitted
    anew on these, with today's code.
    """
    run_id = str(MlflowClient().get_model_version(NAME, champion).run_id)
    logged = _logged(run_id)
    if logged.get("folds") == _folds(evaluation):
        return np.array(logged["predicted"]), "logged by its run"
    ours = evaluation.options.model_dump(include=set(Measuring.model_fields))
    theirs = MlflowClient().get_run(run_id).data.params
    try:
        known = {name: theirs[name] for name in Options.model_fields if name in theirs}
        options = Options.model_validate({**known, **ours})
    except ValidationError as error:
        raise registry.RegistryError(
            f"version {champion}, the {registry.CHAMPION}, cannot be compared with: its run "
            f"{run_id} has parameters that are none ({error.error_count()} of them)"
        ) from error
    data = evaluation.data
    predicted = out_of_fold(data.records, data.labels, options, candidates=(MODEL,))[MODEL]
    return predicted, "refitted from its parameters: its run has other data or folds"


def _logged(run_id: str) -> dict[str, Any]:
    try:
        return dict(mlflow.artifacts.load_dict(f"runs:/{run_id}/{OUT_OF_FOLD}"))
    except (MlflowException, OSError):
        return {}


def _folds(evaluation: Evaluation) -> dict[str, Any]:
    """Return all that the folds depend on."""
    options = evaluation.options.model_dump(include=set(_FOLDS))
    return {"data_sha256": evaluation.data.sha256, **options}


def _log(comparison: Comparison) -> None:
    mlflow.log_dict(comparison.report(), COMPARISON)
    mlflow.log_metrics(
        {
            "promotion/log_loss_difference": comparison.difference,
            "promotion/log_loss_worst": comparison.worst,
        }
    )
    mlflow.set_tag("promotion.compared_with", f"version {comparison.champion}, {comparison.how}")
