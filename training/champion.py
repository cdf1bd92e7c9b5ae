"""The champion as a new training meets it: what it predicted, and whether that can be compared."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from pydantic import BaseModel, Field, ValidationError

from mlflow_model.model import NAME
from training import registry
from training.candidates import out_of_fold
from training.dataset import Dataset
from training.evaluation import MODEL, Evaluation, Floats
from training.options import Measuring, Options

OUT_OF_FOLD: Final = "out_of_fold.json"
_DATA: Final = "data_sha256"
_FOLDS: Final = tuple(sorted(set(Measuring.model_fields) - {"data", "test_size"}))


@dataclass(frozen=True)
class Champion:
    """The version that is the champion, and what a new model is compared with.

    Attributes
    ----------
    version
        Its number.
    logged
        Its out-of-fold predictions for the folds of the new training, shape (repeats, n), or None
        if its run has none for them.
    options
        Its parameters, with the folds of the new training: they are fitted again where its run has
        no predictions.
    caveat
        Why the comparison is not one of the two models, so that only a person may promote the new
        one; empty if it is one.
    """

    version: str
    logged: Floats | None
    options: Options
    caveat: str

    @property
    def how(self) -> str:
        """Where its predictions are from."""
        if self.logged is not None:
            return "logged by its run"
        return f"refitted from its parameters: {self.caveat}"

    def predictions(self, data: Dataset) -> Floats:
        """Return its out-of-fold predictions for the rows of a new training.

        Its run has logged them, or its parameters are fitted again to this data, with today's code.
        """
        if self.logged is not None:
            return self.logged
        return out_of_fold(data.records, data.labels, self.options, candidates=(MODEL,))[MODEL]


class _OutOfFold(BaseModel):
    """The content of `OUT_OF_FOLD`: what the folds depend on, and a probability for each row."""

    folds: dict[str, Any]
    predicted: list[list[Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]]]


def log_out_of_fold(evaluation: Evaluation) -> None:
    """Log the model's out-of-fold predictions: what the next training is compared with."""
    predicted = evaluation.out_of_fold[MODEL].tolist()
    folds = _folds(evaluation.data, evaluation.options)
    mlflow.log_dict({"folds": folds, "predicted": predicted}, OUT_OF_FOLD)


def find_champion(data: Dataset, options: Options) -> Champion | None:
    """Return the champion, as a training with this data and these folds can be compared with it.

    Raises
    ------
    training.registry.RegistryError
        If it has to be fitted again, and its run has invalid parameters.
    """
    version = registry.champion()
    if version is None:
        return None
    run_id = str(MlflowClient().get_model_version(NAME, version).run_id)
    folds, logged = _folds(data, options), _logged(run_id)
    if logged is None:
        return _refitted(version, run_id, options, f"has no readable {OUT_OF_FOLD}")
    if logged.folds != folds:
        return _refitted(version, run_id, options, _difference(logged.folds, folds))
    if [len(row) for row in logged.predicted] != [len(data.labels)] * options.repeats:
        return _refitted(version, run_id, options, f"has no readable {OUT_OF_FOLD}")
    return Champion(version, np.array(logged.predicted), options, caveat="")


def _refitted(version: str, run_id: str, options: Options, why: str) -> Champion:
    caveat = (
        f"version {version} {why}, so only its parameters were compared, fitted again for this "
        "training"
    )
    return Champion(version, None, _parameters(version, run_id, options), caveat)


def _parameters(version: str, run_id: str, options: Options) -> Options:
    ours = options.model_dump(include=set(Measuring.model_fields))
    theirs = MlflowClient().get_run(run_id).data.params
    known = {name: theirs[name] for name in Options.model_fields if name in theirs}
    try:
        return Options.model_validate({**known, **ours})
    except ValidationError as error:
        raise registry.RegistryError(
            f"version {version}, the {registry.CHAMPION}, cannot be compared with: its run "
            f"{run_id} has invalid parameters ({error.error_count()} of them)"
        ) from error


def _logged(run_id: str) -> _OutOfFold | None:
    try:
        text = mlflow.artifacts.load_text(f"runs:/{run_id}/{OUT_OF_FOLD}")
        return _OutOfFold.model_validate_json(text)
    except (MlflowException, OSError, ValidationError):
        return None


def _difference(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """Return what another training was made with, as what its version did.

    Examples
    --------
    >>> _difference({"data_sha256": "a", "seed": 7}, {"data_sha256": "a", "seed": 8})
    'was measured with seed 7, not 8'
    """
    if theirs.get(_DATA) != ours[_DATA]:
        return "was trained on other data"
    names = sorted(name for name in {*theirs, *ours} if theirs.get(name) != ours.get(name))
    found = (f"{name} {theirs.get(name)}, not {ours.get(name)}" for name in names)
    return f"was measured with {', and '.join(found)}"


def _folds(data: Dataset, options: Options) -> dict[str, Any]:
    """Return all that the folds depend on."""
    return {_DATA: data.sha256, **options.model_dump(include=set(_FOLDS))}
