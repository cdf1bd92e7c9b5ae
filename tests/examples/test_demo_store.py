"""The demo serves a copy of the model: the store stays as it was."""

from pathlib import Path

import mlflow
import pytest

from examples import demo
from mlflow_sealed.tracking_store import URI
from tests.conftest import PROJECT
from tests.environ import clean_environ, untraced


@pytest.mark.services
def test_the_demo_leaves_no_bytecode_in_the_store(
    client_with_champion: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "UV", ("--env-manager", "local"))
    monkeypatch.setenv(URI, client_with_champion.tracking_uri)
    environ = {**untraced(clean_environ()), URI: client_with_champion.tracking_uri}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # it would hide what a server leaves
    store = Path(client_with_champion.get_model_version_download_uri(PROJECT.names.model, "1"))
    before = {path.relative_to(store) for path in store.rglob("*")}
    answer = demo._served_answer(PROJECT, environ, None)  # noqa: SLF001 # the demo's last step
    assert '"predictions"' in answer
    assert {path.relative_to(store) for path in store.rglob("*")} == before
