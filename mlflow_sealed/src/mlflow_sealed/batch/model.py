"""A registered version of a model: download it and check that it can be used here."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import mlflow.pyfunc
from mlflow import MlflowClient

from mlflow_sealed.batch import score
from mlflow_sealed.batch.rules import rules_of
from mlflow_sealed.flavor import manifest
from mlflow_sealed.flavor.download import download

ARCHIVE: Final = "model"
"""The name of the model's folder, here and in the executors."""

_ADDRESS: Final = re.compile(r"models:/([^/@]+)(?:/(\d+)|@([^/@]+))")


class ModelError(RuntimeError):
    """The model cannot be used; the message says why, in one line."""


@dataclass(frozen=True)
class RegisteredModel:
    """A registered version of a model.

    Attributes
    ----------
    address
        ``models:/NAME/VERSION``.
    folder
        Its downloaded files.
    features
        The names of the columns that it takes.
    """

    address: str
    folder: Path
    features: tuple[str, ...]

    @property
    def requirements(self) -> Path:
        """The lock of its environment."""
        return self.folder / "requirements.txt"

    @property
    def sha256(self) -> str:
        """The SHA-256 of its manifest, which has those of all of its files."""
        return manifest.digest(self.folder)


def fetch(uri: str, folder: Path) -> RegisteredModel:
    """Download a registered model, check that its files are those that were logged, and load it.

    Parameters
    ----------
    uri
        ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``.
    folder
        Where to put its files.

    Raises
    ------
    ModelError
        If the address is not that of a registered version, or the model cannot be loaded here, has
        no method ``decide`` that scores a table, or rows with rules that are not supported.
    mlflow.exceptions.MlflowException
        If the registry does not have it.
    mlflow_sealed.flavor.manifest.ManifestError
        If its files were changed.
    """
    address = _address(uri)
    files = download(address, folder / ARCHIVE)
    manifest.check(files)
    try:
        model = mlflow.pyfunc.load_model(str(files)).unwrap_python_model()
    except RuntimeError as error:  # the model's own code raises it, for another package
        raise ModelError(f"{address} cannot be used here: {error}") from None
    if not hasattr(model, "decide"):
        raise ModelError(f"{address} has no method decide, which scores a table: train again")
    try:
        rules = rules_of(score.row_type(model))
    except TypeError as error:
        raise ModelError(f"{address} cannot score a table: {error}") from None
    return RegisteredModel(address, files, tuple(rule.name for rule in rules))


def _address(uri: str) -> str:
    """Return the address of the version that an address stands for now."""
    found = _ADDRESS.fullmatch(uri)
    if found is None:
        raise ModelError(
            f"model {uri!r}: expected a registered one, models:/NAME@champion or models:/NAME/3"
        )
    name, version, alias = found.groups()
    if version is None:
        version = str(MlflowClient().get_model_version_by_alias(name, alias).version)
    return f"models:/{name}/{version}"
