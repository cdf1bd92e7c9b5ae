"""Fetch a model: a copy without the bytecode that an earlier load left, checked by its manifest."""

import shutil
from pathlib import Path

import mlflow.artifacts

from mlflow_sealed.flavor import manifest
from mlflow_sealed.tracking import check_artifacts


def fetch(uri: str, folder: Path) -> Path:
    """Copy a model to a folder, check that it is what was logged, and return where its files are.

    Every command that uses a model gets it here.

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
    mlflow_sealed.flavor.manifest.ManifestError
        If its files are not those that were logged.
    """
    model = download(uri, folder)
    manifest.check(model)
    return model


def download(uri: str, folder: Path) -> Path:
    """Copy a model to a folder as `fetch` does, unchecked."""
    check_artifacts(uri)
    model = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))
    drop_bytecode(model)
    return model


def drop_bytecode(model: Path) -> None:
    """Remove the bytecode from the copy of a model.

    Loading a model where it is stored, as `mlflow models serve` does on a local store, leaves
    ``__pycache__`` folders there. A manifest does not have them, and stale bytecode would shadow
    ``model.py``.
    """
    for bytecode in list(model.rglob("__pycache__")):
        shutil.rmtree(bytecode)
