"""The registered model: its aliases, and the history of its champions."""

import mlflow

from mlflow_sealed.training.register.versions import CHAMPION
from tests.mlflow_sealed.training.register.registry import MODEL, NAME, add


def test_an_alias_that_was_set_by_hand_is_remembered_all_the_same(
    client: mlflow.MlflowClient,
) -> None:
    add(client, 2)
    client.set_registered_model_alias(NAME, CHAMPION, "1")
    MODEL.make_champion("2")
    assert MODEL.roll_back() == ("2", "1")
