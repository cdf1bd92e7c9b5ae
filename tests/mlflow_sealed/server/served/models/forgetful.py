"""A model that answers when it is logged, and not afterwards."""

import os

import mlflow.models
from mlflow.pyfunc.model import PythonModel


class ForgetfulModel(PythonModel):
    def predict(self, model_input: list[str]) -> list[str]:  # type: ignore[override]
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            raise RuntimeError(f"forgot {model_input}")
        return model_input


mlflow.models.set_model(ForgetfulModel())
