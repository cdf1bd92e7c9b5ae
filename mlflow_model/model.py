"""The pyfunc: XGBoost behind the private preprocessing.

MLflow copies this file into the model and executes it there, so it imports installed distributions
only, and its last line names the model.
"""

from pathlib import Path
from typing import Annotated, Any, Final, NotRequired

import mlflow.models
import numpy as np
import numpy.typing as npt
import pandas as pd
import xgboost
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

import mypreprocessing
from mlflow_sealed_pyfunc.booster import Booster
from mlflow_sealed_pyfunc.package import PackageRecord, check_package, installed_package
from mypreprocessing import FEATURES, Patient, preprocess

__all__ = ["EXPLAIN", "DiabetesModel", "Patient", "Prediction", "TrainingRecord", "trained_with"]

EXPLAIN: Final = "explain"
"""The parameter that asks for a `Prediction` with its reasons: true or false, the default."""


class Prediction(TypedDict):
    """The answer for one patient.

    Asked to `EXPLAIN`, it also has what each feature contributes: ``base_value`` and
    ``contributions`` add up to the log-odds of ``probability``, log(probability /
    (1 - probability)).
    """

    # A dictionary: ten thousand objects that check themselves take longer than the trees.
    model: Annotated[str, Field(description="Name of the model")]
    pred: Annotated[int, Field(description="1: diabetes, 0: none", ge=0, le=1, examples=[1])]
    probability: Annotated[
        float,
        Field(
            description="Probability of diabetes; pred is 1 from the model's threshold on",
            ge=0,
            le=1,
            examples=[0.73],
        ),
    ]
    base_value: NotRequired[
        Annotated[
            float,
            Field(
                description=(
                    "Explained only: log-odds before any feature counts, which is what the trees "
                    "expect over the patients that they were fitted to; the same in every answer"
                ),
                json_schema_extra={"unit": "log-odds"},
                examples=[-0.63],
            ),
        ]
    ]
    contributions: NotRequired[
        Annotated[
            dict[str, float],
            Field(
                description=(
                    "Explained only: what each feature adds to the log-odds (its SHAP value), also "
                    "one that was not measured; above 0: towards diabetes"
                ),
                json_schema_extra={"unit": "log-odds", "propertyNames": {"enum": list(FEATURES)}},
                examples=[dict(zip(FEATURES, (-0.1, 0.9, 0, 0.02, 0.1, 0.4, 0, 0.3), strict=True))],
            ),
        ]
    ]


class TrainingRecord(TypedDict):
    """What a model remembers of its training, apart from the trees.

    ``threshold`` is the probability from which `Prediction.pred` is 1.
    """

    threshold: float
    package: PackageRecord


class FeatureMismatchError(RuntimeError):
    """The booster was trained on other columns, or in another order."""


def trained_with() -> PackageRecord:
    """Return what a model that is trained now has to remember of the private package."""
    return installed_package(mypreprocessing)


class DiabetesModel(PythonModel):
    """Predict diabetes from `Patient` records.

    It has two artifacts: ``booster``, XGBoost's UBJSON file, and ``training``, a `TrainingRecord`
    in JSON.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load the booster, after checking that training and serving preprocess alike.

        Raises
        ------
        pydantic.ValidationError
            If the training record is not one.
        PreprocessingMismatchError
            If mypreprocessing is not the one that the model was trained with.
        FeatureMismatchError
            If the booster's columns are not `FEATURES`, in this order.
        FeatureLayoutError
            If preprocess does not return what XGBoost takes.
        """
        record = Path(context.artifacts["training"]).read_bytes()
        training = TypeAdapter(TrainingRecord).validate_json(record)
        check_package(training["package"], trained_with())
        self._name = context.model_config["name"]
        self._threshold = training["threshold"]
        # One thread: for a small request more of XGBoost's cost more than they save, and they would
        # not survive a fork, so that it would deadlock. `Booster` divides a large request.
        booster = xgboost.Booster({"nthread": 1}, model_file=context.artifacts["booster"])
        if booster.feature_names != list(FEATURES):
            raise FeatureMismatchError(
                f"the booster has the columns {booster.feature_names}, "
                f"expected {list(FEATURES)}: train again"
            )
        self._booster = Booster(booster)
        # Two rows, which show the memory order. Nothing is predicted before the server has forked.
        example = Patient.model_construct(None, **dict.fromkeys(FEATURES, 1))
        self._booster.address(preprocess([example, example]))

    def predict(
        self,
        context: PythonModelContext,
        model_input: list[Patient],
        params: dict[str, Any] | None = None,
    ) -> list[Prediction]:
        """Return one prediction for each patient, in their order.

        All rows are predicted together, and explained together where ``params`` has `EXPLAIN`:
        then each has its reasons.
        """
        del context
        features = preprocess(model_input)
        # No numpy here: for one patient each of its calls costs more than all of this.
        name, threshold = self._name, self._threshold
        predictions: list[Prediction] = [
            {
                "model": name,
                "pred": 1 if probability >= threshold else 0,
                "probability": probability,
            }
            for probability in self._booster.probability_list(features)
        ]
        if params and params.get(EXPLAIN):
            for prediction, (*contributions, base_value) in zip(
                predictions, self._booster.contributions(features), strict=True
            ):
                prediction["base_value"] = base_value
                prediction["contributions"] = dict(zip(FEATURES, contributions, strict=True))
        return predictions

    def decide(self, records: pd.DataFrame) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]:
        """Return ``pred`` and ``probability`` of a table of records, both of shape (n,)."""
        # Wide before it is compared: numpy would round the threshold to float32.
        probabilities = self._booster.probabilities(preprocess(records)).astype(np.float64)
        return (probabilities >= self._threshold).view(np.int8), probabilities


mlflow.models.set_model(DiabetesModel())
