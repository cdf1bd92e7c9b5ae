"""A registered version of a model: download it and check that it can be used here."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlflow import MlflowClient

from mlflow_sealed.batch import score
from mlflow_sealed.batch.plan import Model
from mlflow_sealed.flavor import download, manifest

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
    numbers
        Those of them that are numbers.
    """

    address: str
    folder: Path
    features: tuple[str, ...]
    numbers: tuple[str, ...]

    @property
    def requirements(self) -> Path:
        """The lock of its environment."""
        return self.folder / "requirements.txt"

    @property
    def sha256(self) -> str:
        """The SHA-256 of its manifest, which has those of all of its files."""
        return manifest.digest(self.folder)

    @property
    def planned(self) -> Model:
        """What a plan has to know of it."""
        return Model(self.address, self.sha256, self.features, self.numbers)


def fetch(uri: str, folder: Path) -> RegisteredModel:
    """Download a registered model, check its files, and load it: `get`, then `load`."""
    return load(*get(uri, folder))


def get(uri: str, folder: Path) -> tuple[str, Path]:
    """Download a registered model and check that its files are those that were logged.

    Parameters
    ----------
    uri
        ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``.
    folder
        Where to put its files.

    Returns
    -------
    tuple
        The address with its version, and the folder of its files.

    Raises
    ------
    ModelError
        If the address is not that of a registered version.
    mlflow.exceptions.MlflowException
        If the registry does not have it.
    mlflow_sealed.flavor.manifest.ManifestError
        If its files were changed.
    """
    address = _address(uri)
    return address, download.fetch(address, folder / ARCHIVE)


def load(address: str, files: Path) -> RegisteredModel:
    """Load a downloaded model in this process, and return what a job has to know of it.

    Raises
    ------
    ModelError
        If it cannot be loaded here, has no method ``decide`` that scores a table, or its rows have
        no columns.
    """
    try:
        scorer = score.scorer(str(files), address.rpartition("/")[2])
    except RuntimeError as error:  # the model's own code raises it, for another package
        raise ModelError(f"{address} cannot be used here: {error}") from None
    except TypeError as error:
        raise ModelError(f"{address} cannot score a table: {error}") from None
    return RegisteredModel(
        address,
        files,
        tuple(rule.name for rule in scorer.rules),
        tuple(rule.name for rule in scorer.rules if rule.number),
    )


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
