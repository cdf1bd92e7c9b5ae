"""A model that does not say what it takes."""

from typing import Any

import mlflow.models
from mlflow.pyfunc.model import PythonModel


class UntypedModel(PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        del context, params
        return model_input


mlflow.models.set_model(UntypedModel())
