"""What killed trainings left behind: it is finished, or undone."""

import mlflow

from mlflow_sealed.training.register.cleanup import clear_versions
from mlflow_sealed.training.register.versions import CHALLENGER, CHAMPION, PENDING, PROMOTION
from tests.mlflow_sealed.training.register.registry import MODEL, NAME, add


def test_a_version_that_a_killed_training_left_without_an_alias_is_deleted(
    client: mlflow.MlflowClient,
) -> None:
    champion, half = add(client, 2)
    MODEL.make_champion(champion)
    run = client.create_run("0")
    client.delete_model_version(NAME, half)
    tags = {PROMOTION: PENDING}
    for _ in range(2):
        client.create_model_version(NAME, "file:///n", run_id=run.info.run_id, tags=tags)
    assert clear_versions(MODEL, set()) == (set(), [])  # it may be at work
    client.set_registered_model_alias(NAME, CHALLENGER, "3")
    assert clear_versions(MODEL, {run.info.run_id}) == ({run.info.run_id}, ["4"])
    assert MODEL.aliases() == {CHAMPION: champion, CHALLENGER: "3"}
    assert client.get_model_version(NAME, "3").tags[PROMOTION] == CHALLENGER
    assert clear_versions(MODEL, {run.info.run_id}) == ({run.info.run_id}, [])
