"""Versions of the registered model without a model behind them: what counts is their names."""

from typing import Final

import mlflow

from mlflow_sealed.training.register.versions import PENDING, PROMOTION, RegisteredModel
from tests.conftest import PROJECT

NAME: Final = PROJECT.names.model
MODEL: Final = RegisteredModel(NAME)


def add(client: mlflow.MlflowClient, number: int = 1) -> list[str]:
    """Register versions, and return their numbers."""
    client.create_registered_model(NAME)
    tags = {PROMOTION: PENDING}
    return [
        str(client.create_model_version(NAME, "file:///none", tags=tags).version)
        for _ in range(number)
    ]
