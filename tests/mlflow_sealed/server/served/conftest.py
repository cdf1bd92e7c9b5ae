"""A saved model, and the scoring server on it as a process here: no image, no MLflow command."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlflow_model import save
from tests.environ import ROOT
from tests.mlflow_sealed.server.running import Running, serving, serving_stock
from training.dataset import read
from training.fit import fit
from training.options import DATA, Options


@pytest.fixture(autouse=True)
def _unmeasured(no_cover: None) -> None:
    """Measure no coverage of the clients; servers that are traced have their own."""


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's model, from a small booster."""
    data = read(ROOT / DATA)
    booster = fit(data.records, data.labels, Options(trees=20)).get_booster()
    path = tmp_path_factory.mktemp("saved") / "model"
    save.save_model(path, booster=booster, threshold=0.4, model_name="diabetes")
    return path


@pytest.fixture(scope="session")
def server(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The project's model behind the scoring server, with the default settings."""
    with serving(model_folder, tmp_path_factory.mktemp("server"), traced=True) as running:
        yield running


@pytest.fixture(scope="session")
def stock(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The same model behind MLflow's own server."""
    with serving_stock(model_folder, tmp_path_factory.mktemp("stock")) as running:
        yield running
