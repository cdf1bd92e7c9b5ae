"""The same model with a DataFrame signature, as MLflow's users mostly have it.

MLflow copies this file into the model and executes it there, so it imports installed distributions
only, and its last line names the model.
"""

import json
from pathlib import Path
from typing import Any

import mlflow.models
import pandas as pd
import xgboost
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from mypreprocessing import preprocess


class DiabetesModel(PythonModel):
    """Predict diabetes from a DataFrame; MLflow checks the types of its columns."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the booster and its threshold."""
        self._booster = xgboost.Booster({"nthread": 1}, model_file=context.artifacts["booster"])
        self._name = context.model_config["name"]
        training = Path(context.artifacts["training"]).read_bytes()
        self._threshold = json.loads(training)["threshold"]

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Return one prediction for each row."""
        del context, params
        found = self._booster.inplace_predict(preprocess(model_input)).tolist()
        return [
            {"model": self._name, "pred": int(one >= self._threshold), "probability": one}
            for one in found
        ]


mlflow.models.set_model(DiabetesModel())
