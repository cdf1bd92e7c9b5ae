"""Download a model without the bytecode that an earlier load left in its folder."""

import shutil
from pathlib import Path

import mlflow.artifacts

from mlflow_sealed.tracking import check_artifacts


def download(uri: str, folder: Path) -> Path:
    """Copy a model to a folder and return where its files are.

    Loading a model where it is stored, as `mlflow models serve` does on a local store, leaves
    ``__pycache__`` folders there. A manifest does not have them, and stale bytecode would shadow
    ``model.py``: the copy has none.

    Parameters
    ----------
    uri
        Any address that MLflow knows: ``models:/NAME@ALIAS``, ``runs:/…``, a folder.
    folder
        An empty folder, or one that is not there yet.

    Raises
    ------
    mlflow.exceptions.MlflowException
        If there is no such model.
    mlflow_sealed.drivers.DriverError
        If it is stored where it cannot be read with what is installed.
    """
    check_artifacts(uri)
    model = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))
    for bytecode in list(model.rglob("__pycache__")):
        shutil.rmtree(bytecode)
    return model
