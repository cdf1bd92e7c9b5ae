"""The context of a build: every form of a model's address that MLflow takes has its model there."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import mlflow
import pytest
from mlflow.models import Model
from mlflow.models.flavor_backend_registry import get_flavor_backend

from mlflow_sealed.flavor import manifest
from mlflow_sealed.image import context
from tests.conftest import PROJECT

LOCK: Final = PROJECT.lock("server")
CODE: Final = """
import mlflow.pyfunc

class Nothing(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str], params=None) -> list[str]:
        return model_input

mlflow.models.set_model(Nothing())
"""


@dataclass(frozen=True)
class Logged:
    """A model in a tracking database, and copies of it in folders."""

    run: str
    model: str
    folder: Path

    def address(self, form: str) -> str:
        return form.format(run=self.run, model=self.model, folder=self.folder)


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Logged:
    folder = tmp_path_factory.mktemp("logged")
    shutil.copy(empty_database, folder / "mlflow.db")
    (folder / "code.py").write_text(CODE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        client = mlflow.MlflowClient()
        experiment = client.create_experiment("small", artifact_location=str(folder / "store"))
        with mlflow.start_run(experiment_id=experiment) as run:
            info = mlflow.pyfunc.log_model(
                name="model", python_model="code.py", pip_requirements=[], artifacts={}
            )
    stored = next(path.parent for path in (folder / "store").rglob("MLmodel"))
    manifest.write(stored)
    client.create_registered_model("small")
    client.create_model_version("small", info.model_uri, run.info.run_id)
    client.set_registered_model_alias("small", "champion", "1")
    for name in ("model", "a model", "modèle"):
        shutil.copytree(stored, folder / "copies" / name)
    return Logged(run.info.run_id, info.model_id, folder / "copies")


@pytest.mark.parametrize(
    "form",
    [
        "models:/small@champion",
        "models:/small/1",
        "models:/small/latest",
        "models:/{model}",
        "runs:/{run}/model",
        "{folder}/model",
        "{folder}/model/",
        "file://{folder}/model",
        "model",
        "./model",
        "../copies/model",
        "{folder}/a model",
        "{folder}/modèle",
    ],
)
def test_a_model_is_found_whatever_the_form_of_its_address(
    logged: Logged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.chdir(logged.folder)
    mlflow.set_tracking_uri(f"sqlite:///{logged.folder.parent}/mlflow.db")
    address = logged.address(form)
    get_flavor_backend(address, env_manager="local").generate_dockerfile(
        model_uri=address, output_dir=str(tmp_path / "mlflows")
    )
    asked = context.parse([str(tmp_path / "mlflows")])
    assert asked
    assert context.is_mlflows(asked)
    assert context.base(asked).startswith("python:3.")
    (tmp_path / "ours").mkdir()
    context.make(asked, LOCK, tmp_path / "ours")
    made = tmp_path / "ours" / "model_dir"
    manifest.check(made)
    assert Model.load(str(made)).model_id == logged.model


@pytest.mark.parametrize(
    "source", [None, "elsewhere", "model_dir/../elsewhere", "model_dir/absent"]
)
def test_a_build_without_a_model_of_mlflow_is_refused(tmp_path: Path, source: str | None) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "MLmodel").touch()
    (tmp_path / "model_dir").mkdir()
    copy = f"COPY {source} /opt/ml/model\n" if source else ""
    (tmp_path / "Dockerfile").write_text(f"{context.HEADER}\n{copy}", encoding="utf-8")
    asked = context.parse([str(tmp_path)])
    assert asked
    with pytest.raises(context.BuildError, match="has no model: name one with .* -m MODEL"):
        context.model(asked)


def test_the_package_of_the_feed_is_the_first_that_pip_looks_for() -> None:
    text = LOCK.read_text(encoding="utf-8")
    changed = context.toolkit_first(text)
    assert changed.startswith("mlflow-sealed==")
    assert not text.startswith("mlflow-sealed==")
    assert _entries(changed) == _entries(text)


def test_a_lock_without_it_stays_as_it_is() -> None:
    text = "idna==3.20 \\\n    --hash=sha256:a\nmlflow-sealed-other==1 \\\n    --hash=sha256:b\n"
    assert context.toolkit_first(text) == text


def _entries(lock: str) -> dict[str, list[str]]:
    """Return the hashes of each requirement."""
    lines = [line.strip(" \\") for line in lock.splitlines() if not line.lstrip().startswith("#")]
    found: dict[str, list[str]] = {}
    for line in lines:
        if not line.startswith("--hash="):
            current = found.setdefault(line, [])
        else:
            current.append(line)
    assert json.dumps(found).count("sha256:") > len(found) > 1
    return found
