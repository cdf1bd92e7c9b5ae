"""Save the pyfunc as an MLflow model; a flavor for `mlflow.models.Model.log`."""

import json
import tempfile
from pathlib import Path
from typing import Any, Final

import xgboost
from mlflow.models import Model
from mlflow.types import DataType
from mlflow.types.schema import Property

from mlflow_model.model import EXPLAIN, Patient, TrainingRecord, trained_with
from mlflow_sealed.flavor import save
from mlflow_sealed.flavor.save import Pyfunc

CODE: Final = Path(__file__).with_name("model.py")
REQUIREMENTS: Final = Path(__file__).with_name("requirements.txt")
ANSWER: Final = (
    Property("model", DataType.string),
    Property("pred", DataType.long),
    Property("probability", DataType.double),
)
"""What every `mlflow_model.model.Prediction` has, in MLflow's words."""


def input_example() -> tuple[list[Patient], dict[str, bool]]:
    """Return the one patient that the examples on the fields of `Patient` make up, and parameters.

    MLflow takes from here which parameters there are, and their defaults.
    """
    fields = Patient.model_fields.items()
    patient = Patient.model_validate({name: (field.examples or [])[0] for name, field in fields})
    return [patient], {EXPLAIN: False}


def save_model(
    path: str | Path,
    mlflow_model: Model | None = None,
    *,
    booster: xgboost.Booster,
    threshold: float,
    model_name: str,
    **options: Any,
) -> None:
    """Write the model to a folder, as `mlflow.models.Model.log` asks of a flavor.

    Parameters
    ----------
    path
        The folder to make.
    mlflow_model
        What MLflow knows about the model so far.
    booster
        Trained on the columns of `mypreprocessing.FEATURES`, with these names.
    threshold
        The probability from which a prediction is 1.
    model_name
        The model's name, in every prediction.
    options
        Handed to `mlflow.pyfunc.save_model`.
    """
    with tempfile.TemporaryDirectory() as folder:
        artifacts = {
            "booster": Path(folder, "booster.ubj"),
            "training": Path(folder, "training.json"),
        }
        booster.save_model(artifacts["booster"])
        record: TrainingRecord = {"threshold": threshold, "package": trained_with()}
        artifacts["training"].write_text(json.dumps(record, indent=2), encoding="utf-8")
        pyfunc = Pyfunc(
            name=model_name,
            code=CODE,
            requirements=REQUIREMENTS,
            artifacts=artifacts,
            input_example=input_example(),
            answer=ANSWER,
        )
        save.save_model(path, mlflow_model, pyfunc=pyfunc, **options)
