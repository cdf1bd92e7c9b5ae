"""A model whose rows are no objects."""

import mlflow.models
from mlflow.pyfunc.model import PythonModel


class LengthModel(PythonModel):
    def predict(self, model_input: list[str]) -> list[int]:  # type: ignore[override]
        return [len(text) for text in model_input]


mlflow.models.set_model(LengthModel())
