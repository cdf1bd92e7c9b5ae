"""What comes of a model that somebody has loaded where it is stored."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from mlflow_sealed.batch.model import fetch
from mlflow_sealed.flavor import manifest as manifests
from mlflow_sealed.flavor.download import download
from mlflow_sealed.training.register.versions import RegisteredModel, digest
from tests.conftest import CHAMPION


def stored(client: mlflow.MlflowClient) -> Path:
    """Where the champion's files are: the folder of a local artifact store."""
    return Path(client.get_model_version_download_uri("diabetes", "1"))


@pytest.fixture(scope="module")
def bytecode(champion_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What loading the champion where it is stored leaves there."""
    code = "import sys, mlflow.pyfunc; mlflow.pyfunc.load_model(sys.argv[1])"
    folder = stored(mlflow.MlflowClient(f"sqlite:///{champion_database}"))
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)
    for nested in list((folder / "code").rglob("__pycache__")):
        shutil.rmtree(nested)
    kept = tmp_path_factory.mktemp("bytecode") / "__pycache__"
    (folder / "__pycache__").rename(kept)
    for other in list(folder.rglob("__pycache__")):
        shutil.rmtree(other)
    return kept


@pytest.fixture
def loaded(client_with_champion: mlflow.MlflowClient, bytecode: Path) -> Iterator[Path]:
    """The store of a champion that was loaded there, as ``mlflow models serve`` does it."""
    folder = stored(client_with_champion)
    shutil.copytree(bytecode, folder / "__pycache__")
    nested = folder / "code" / "inner" / "__pycache__"  # what code_paths may bring
    nested.mkdir(parents=True)
    (nested / "part.cpython-311.pyc").touch()
    yield folder
    for each in list((folder / "code").rglob("__pycache__")):
        shutil.rmtree(each)
    nested.parent.rmdir()
    shutil.rmtree(folder / "__pycache__")


def test_loading_a_model_leaves_bytecode_that_its_manifest_refuses(loaded: Path) -> None:
    """The control: this is what the copy has to be rid of."""
    assert list(loaded.glob("__pycache__/model.*.pyc"))
    with pytest.raises(manifests.ManifestError, match="__pycache__/model"):
        manifests.check(loaded)


@pytest.mark.parametrize("address", [CHAMPION, "models:/diabetes/1", "{folder}"])
def test_a_download_has_the_files_that_were_logged(
    loaded: Path, tmp_path: Path, address: str
) -> None:
    model = download(address.format(folder=loaded), tmp_path / "model")
    manifests.check(model)
    assert list(loaded.glob("__pycache__/model.*.pyc"))  # the store is as it was


@pytest.mark.usefixtures("loaded")
def test_batch_scoring_takes_such_a_model(tmp_path: Path) -> None:
    assert fetch(CHAMPION, tmp_path).address == "models:/diabetes/1"


@pytest.mark.usefixtures("loaded")
def test_such_a_model_is_still_known_as_the_one_that_is_registered(
    client_with_champion: mlflow.MlflowClient,
) -> None:
    version = client_with_champion.get_model_version("diabetes", "1")
    same = RegisteredModel("diabetes").same_model(digest(CHAMPION))
    assert same is not None
    assert same.version == version.version
