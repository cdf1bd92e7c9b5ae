"""The registered model: its versions, which of them is the champion, and which was before."""

import hashlib
import json
import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.models.model import MLMODEL_FILE_NAME

from mlflow_sealed.flavor.download import download
from mlflow_sealed.flavor.manifest import MANIFEST
from mlflow_sealed.training import log
from mlflow_sealed.training.register.lock import locked

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"

PROMOTION: Final = log.OUTCOME
"""The tag of a version that says what became of it; the same as the run's."""

PENDING: Final = "pending"
"""Its value until an alias is set: a version that is left so was registered by half."""

ROLLED_BACK: Final = "rolled back"
"""Its value where a person took the alias away: the same model does not get it back by itself."""

_DIGEST: Final = "model.sha256"
_HISTORY: Final = "champions"


class RegistryError(RuntimeError):
    """The registry does not have what a command needs; the message says what it has."""


def digest(uri: str) -> str:
    """Return the SHA-256 of a model's files, but of the one that says when it was made.

    Training is deterministic, so the same commit, data and parameters give the same model.
    """
    with tempfile.TemporaryDirectory() as folder:
        manifest = download(uri, Path(folder)) / MANIFEST
        found: dict[str, str] = json.loads(manifest.read_text(encoding="utf-8"))
    kept = {name: sha256 for name, sha256 in found.items() if name != MLMODEL_FILE_NAME}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class RegisteredModel:
    """A registered model of the tracking server that MLflow uses."""

    name: str

    def locked(self) -> AbstractContextManager[None]:
        """Keep other trainings and promotions of this machine waiting for the length of a block."""
        return locked(self.name)

    def champion(self) -> str | None:
        """Return the version that has the alias `CHAMPION`."""
        return self.aliases().get(CHAMPION)

    def aliases(self) -> dict[str, str]:
        """Return the version of each alias."""
        found = MlflowClient().search_registered_models(f"name='{self.name}'")
        return {alias: str(version) for model in found for alias, version in model.aliases.items()}

    def versions(self) -> list[ModelVersion]:
        """Return all versions, the newest first."""
        found = MlflowClient().search_model_versions(f"name='{self.name}'")
        return sorted(found, key=lambda version: int(version.version), reverse=True)

    def same_model(self, sha256: str) -> ModelVersion | None:
        """Return the version of this very model that is champion, challenger or was rolled back."""
        kept = set(self.aliases().values())
        for version in self.versions():
            stays = str(version.version) in kept or version.tags.get(PROMOTION) == ROLLED_BACK
            if version.tags.get(_DIGEST) == sha256 and stays:
                return version
        return None

    def add(
        self, uri: str, sha256: str, tags: dict[str, str], description: str | None = None
    ) -> str:
        """Register a logged model as a version without an alias, and return its number."""
        marks = {_DIGEST: sha256, PROMOTION: PENDING}
        registered = mlflow.register_model(uri, self.name, tags={**tags, **marks})
        version = str(registered.version)
        if description is not None:
            MlflowClient().update_model_version(self.name, version, description)
        return version

    def make_champion(self, version: str) -> None:
        """Give a version the alias, and remember the one that had it. The alias is set last."""
        client, aliases = MlflowClient(), self.aliases()
        now = aliases.get(CHAMPION)
        history = [known for known in self._history() if known != version]
        if now is not None and now not in history and now != version:
            history.append(now)
        client.set_registered_model_tag(self.name, _HISTORY, " ".join([*history, version]))
        client.set_registered_model_alias(self.name, CHAMPION, version)
        if aliases.get(CHALLENGER) == version:
            client.delete_registered_model_alias(self.name, CHALLENGER)
        self.say(version, f"{CHAMPION} since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")

    def make_challenger(self, version: str) -> None:
        """Give a version the alias `CHALLENGER`."""
        MlflowClient().set_registered_model_alias(self.name, CHALLENGER, version)
        self.say(version, CHALLENGER)

    def promote(self, version: str) -> str | None:
        """Make an existing version the champion, and return the one before.

        Raises
        ------
        RegistryError
            If there is no such version, or it is the champion.
        """
        known = [str(each.version) for each in self.versions()]
        before = self.champion()
        if version not in known:
            has = ", ".join(known) or None
            raise RegistryError(f"{self.name} has no version {version!r}, it has {has}")
        if version == before:
            raise RegistryError(f"version {version} is the {CHAMPION} already")
        self.make_champion(version)
        return before

    def roll_back(self) -> tuple[str, str]:
        """Make the version the champion that was before; return the one that it was, then that one.

        Raises
        ------
        RegistryError
            If none was before, or none is left.
        """
        client, now, history = MlflowClient(), self.champion(), self._history()
        earlier = history[: history.index(now)] if now in history else history
        left = {str(version.version) for version in self.versions()}
        earlier = [version for version in earlier if version in left]
        if now is None or not earlier:
            raise RegistryError(
                f"{self.name} had no {CHAMPION} before version {now}: nothing to go back to"
            )
        client.set_registered_model_tag(self.name, _HISTORY, " ".join(earlier))
        self.say(now, ROLLED_BACK)
        client.set_registered_model_alias(self.name, CHAMPION, earlier[-1])
        self.say(earlier[-1], f"{CHAMPION} again since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
        return now, earlier[-1]

    def say(self, version: str, what: str) -> None:
        """Write down at a version what became of it."""
        MlflowClient().set_model_version_tag(self.name, version, PROMOTION, what)

    def _history(self) -> list[str]:
        found = MlflowClient().search_registered_models(f"name='{self.name}'")
        return [version for model in found for version in model.tags.get(_HISTORY, "").split()]
