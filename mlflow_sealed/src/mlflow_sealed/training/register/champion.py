"""The champion as a new training meets it: what it predicted, and whether that can be compared."""

from dataclasses import dataclass
from typing import Annotated, Any

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from pydantic import BaseModel, Field, ValidationError

from mlflow_sealed.tracking import find_run
from mlflow_sealed.training.log import DATA_SHA256, OUT_OF_FOLD, folds_of
from mlflow_sealed.training.measure.cross_validation import out_of_fold
from mlflow_sealed.training.measure.dataset import Dataset
from mlflow_sealed.training.measure.options import Measuring
from mlflow_sealed.training.measure.results import MODEL, Floats
from mlflow_sealed.training.register.versions import CHALLENGER, CHAMPION, RegisteredModel
from mlflow_sealed.training.subject import Subject


@dataclass(frozen=True)
class Champion:
    """The version that is the champion, and what a new model is compared with.

    Attributes
    ----------
    version
        Its number.
    how
        Where its predictions are from, or why there are none.
    logged
        Its out-of-fold predictions for the folds of the new training, shape (repeats, n), if its
        run has them.
    options
        Its parameters, with the folds of the new training, if they have to be fitted again. With
        neither, the champion cannot be compared with.
    caveat
        Why a new model is not compared with the champion's model, so that only a person may promote
        it; empty if it is.
    """

    version: str
    how: str
    logged: Floats | None = None
    options: Measuring | None = None
    caveat: str = ""

    @property
    def comparable(self) -> bool:
        """Whether there are predictions, or parameters to be fitted again."""
        return self.logged is not None or self.options is not None

    def predictions(self, subject: Subject, data: Dataset) -> Floats:
        """Return its out-of-fold predictions for the rows of a new training.

        Its run has logged them, or its parameters are fitted again to this data, with today's code.

        Raises
        ------
        ValueError
            If it cannot be compared with.
        """
        if self.logged is not None:
            return self.logged
        if self.options is None:
            raise ValueError(self.caveat)
        alone = {MODEL: subject.predictors[MODEL]}
        return out_of_fold(data.records, data.labels, self.options, predictors=alone)[MODEL]


class _OutOfFold(BaseModel):
    """The content of `OUT_OF_FOLD`: what the folds depend on, and a probability for each row."""

    folds: dict[str, Any]
    predicted: list[list[Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]]]


def find_champion(model: RegisteredModel, data: Dataset, options: Measuring) -> Champion | None:
    """Return the champion, as a training with this data and these folds can be compared with it.

    Parameters
    ----------
    options
        Those of the training, of the class that the champion's parameters are read as.

    Raises
    ------
    mlflow.exceptions.MlflowException
        If the tracking server fails.
    """
    version = model.champion()
    if version is None:
        return None
    run_id = MlflowClient().get_model_version(model.name, version).run_id
    run = find_run(run_id)
    if run is None:
        why = f"its run {run_id} is gone" if run_id else "it was registered without a run"
        return _incomparable(version, why)
    logged = _logged(run.info.run_id)
    if logged is None or _is_damaged(logged, data, options):
        return _refitted(version, run, options, f"has no readable {OUT_OF_FOLD}")
    ours = folds_of(data, options)
    if logged.folds != ours:
        return _refitted(version, run, options, _difference(logged.folds, ours))
    return Champion(version, "logged by its run", logged=np.array(logged.predicted))


def _incomparable(version: str, why: str) -> Champion:
    caveat = f"there is nothing of version {version} to compare with: {why}"
    return Champion(version, f"none: {why}", caveat=caveat)


def warning(model: RegisteredModel, champion: Champion) -> str:
    """Return what to say, before anything is fitted, of a champion without anything to compare."""
    return (
        f"models:/{model.name}/{champion.version} is the {CHAMPION}: {champion.caveat}. The new "
        f"version will be the {CHALLENGER}; mlflow-sealed model promote, with its number, makes it "
        f"the {CHAMPION}"
    )


def _refitted(version: str, run: Run, options: Measuring, why: str) -> Champion:
    kind = type(options)
    names = sorted(set(kind.model_fields) - set(Measuring.model_fields))
    known = {name: run.data.params[name] for name in names if name in run.data.params}
    if not known:
        return _incomparable(version, f"it {why}, and its run {run.info.run_id} has no parameters")
    ours = options.model_dump(include=set(Measuring.model_fields))
    try:
        theirs = kind.model_validate({**known, **ours})
    except ValidationError as error:
        wrong = ", ".join(sorted({str(each["loc"][0]) for each in error.errors()}))
        invalid = f"its run {run.info.run_id} has invalid parameters ({wrong})"
        return _incomparable(version, f"it {why}, and {invalid}")
    caveat = (
        f"version {version} {why}, so only its parameters were compared, fitted again for this "
        "training"
    )
    return Champion(version, f"refitted from its parameters: it {why}", None, theirs, caveat)


def _logged(run_id: str) -> _OutOfFold | None:
    try:
        text = mlflow.artifacts.load_text(f"runs:/{run_id}/{OUT_OF_FOLD}")
        return _OutOfFold.model_validate_json(text)
    except (MlflowException, OSError, ValidationError):
        return None


def _is_damaged(logged: _OutOfFold, data: Dataset, options: Measuring) -> bool:
    """Return whether predictions are said to be for these rows and folds, and cannot be."""
    shape = [len(data.labels)] * options.repeats
    same = logged.folds == folds_of(data, options)
    return same and [len(row) for row in logged.predicted] != shape


def _difference(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """Return what another training was made with, as what its version did.

    Examples
    --------
    >>> _difference({"data_sha256": "a", "seed": 7}, {"data_sha256": "a", "seed": 8})
    'was measured with seed 7, not 8'
    """
    if theirs.get(DATA_SHA256) != ours[DATA_SHA256]:
        return "was trained on other data"
    names = sorted(name for name in {*theirs, *ours} if theirs.get(name) != ours.get(name))
    found = (f"{name} {theirs.get(name)}, not {ours.get(name)}" for name in names)
    return f"was measured with {', and '.join(found)}"
