"""The registered model: its versions, which of them is the champion, and which was before."""

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, RunStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.models.model import MLMODEL_FILE_NAME

from mlflow_sealed.flavor.download import download
from mlflow_sealed.flavor.manifest import MANIFEST
from mlflow_sealed.tracking import find_run
from training.project import NAME

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"

PROMOTION: Final = "promotion"
"""The tag of a version that says what became of it."""

PENDING: Final = "pending"
"""Its value until an alias is set: a version that is left so was registered by half."""

ROLLED_BACK: Final = "rolled back"
"""Its value where a person took the alias away: the same model does not get it back by itself."""

_DIGEST: Final = "model.sha256"
_HISTORY: Final = "champions"
_SQLITE: Final = "sqlite:///"


class RegistryError(RuntimeError):
    """The registry does not have what a command needs; the message says what it has."""


@contextmanager
def locked() -> Iterator[None]:
    """Keep other trainings and promotions of this machine waiting.

    MLflow sets an alias without looking at what it was. So whoever reads the champion, decides and
    sets it does so alone: beside a local SQLite database that is certain. With a server, processes
    on other machines are not kept waiting; there the alias is read again just before it is set.
    The lock goes with its process, however that ends.
    """
    with _lock_file().open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def champion() -> str | None:
    """Return the version that has the alias `CHAMPION`."""
    return _aliases().get(CHAMPION)


def digest(uri: str) -> str:
    """Return the SHA-256 of a model's files, but of the one that says when it was made.

    Training is deterministic, so the same commit, data and parameters give the same model.
    """
    with tempfile.TemporaryDirectory() as folder:
        manifest = download(uri, Path(folder)) / MANIFEST
        found: dict[str, str] = json.loads(manifest.read_text(encoding="utf-8"))
    kept = {name: sha256 for name, sha256 in found.items() if name != MLMODEL_FILE_NAME}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def same_model(sha256: str) -> ModelVersion | None:
    """Return the version of this very model that is champion, challenger or was rolled back."""
    kept = set(_aliases().values())
    for version in versions():
        alike = version.tags.get(_DIGEST) == sha256
        if alike and (str(version.version) in kept or version.tags.get(PROMOTION) == ROLLED_BACK):
            return version
    return None


def versions() -> list[ModelVersion]:
    """Return all versions of the model, the newest first."""
    found = MlflowClient().search_model_versions(f"name='{NAME}'")
    return sorted(found, key=lambda version: int(version.version), reverse=True)


def add(uri: str, sha256: str, tags: dict[str, str], description: str | None = None) -> str:
    """Register a logged model as a version without an alias, and return its number."""
    registered = mlflow.register_model(
        uri, NAME, tags={**tags, _DIGEST: sha256, PROMOTION: PENDING}
    )
    version = str(registered.version)
    if description is not None:
        MlflowClient().update_model_version(NAME, version, description)
    return version


def make_champion(version: str) -> None:
    """Give a version the alias, and remember the one that had it. The alias is set last."""
    client, now, aliases = MlflowClient(), champion(), _aliases()
    history = [known for known in _history() if known != version]
    if now is not None and now not in history and now != version:
        history.append(now)
    client.set_registered_model_tag(NAME, _HISTORY, " ".join([*history, version]))
    client.set_registered_model_alias(NAME, CHAMPION, version)
    if aliases.get(CHALLENGER) == version:
        client.delete_registered_model_alias(NAME, CHALLENGER)
    _say(version, f"{CHAMPION} since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")


def make_challenger(version: str) -> None:
    """Give a version the alias `CHALLENGER`."""
    MlflowClient().set_registered_model_alias(NAME, CHALLENGER, version)
    _say(version, CHALLENGER)


def promote(version: str) -> str | None:
    """Make an existing version the champion, and return the one before.

    Raises
    ------
    RegistryError
        If there is no such version, or it is the champion.
    """
    known = [str(each.version) for each in versions()]
    before = champion()
    if version not in known:
        raise RegistryError(f"{NAME} has no version {version!r}, it has {', '.join(known) or None}")
    if version == before:
        raise RegistryError(f"version {version} is the {CHAMPION} already")
    make_champion(version)
    return before


def roll_back() -> tuple[str, str]:
    """Make the version the champion that was before; return the two, the present one last.

    Raises
    ------
    RegistryError
        If none was before, or none is left.
    """
    client, now, history = MlflowClient(), champion(), _history()
    earlier = history[: history.index(now)] if now in history else history
    left = {str(version.version) for version in versions()}
    earlier = [version for version in earlier if version in left]
    if now is None or not earlier:
        raise RegistryError(f"{NAME} had no {CHAMPION} before version {now}: nothing to go back to")
    client.set_registered_model_tag(NAME, _HISTORY, " ".join(earlier))
    _say(now, ROLLED_BACK)
    client.set_registered_model_alias(NAME, CHAMPION, earlier[-1])
    _say(earlier[-1], f"{CHAMPION} again since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    return now, earlier[-1]


def clear_away(killed: set[str]) -> tuple[set[str], list[str]]:
    """Finish or undo what was registered by half; ``killed`` are runs whose process is dead.

    Returns
    -------
    set, list
        Those of the runs whose version had got its alias: they were done. And the versions that
        had none: they are deleted.
    """
    aliases = {version: alias for alias, version in _aliases().items()}
    done, deleted = set(), []
    for each in versions():
        version, run_id = str(each.version), each.run_id
        pending = each.tags.get(PROMOTION) == PENDING
        if version in aliases:
            done |= killed & {run_id}
            if pending:
                _say(version, aliases[version])
        elif pending and (run_id in killed or not _is_running(run_id)):
            MlflowClient().delete_model_version(NAME, version)
            deleted.append(version)
    return done, deleted


def _is_running(run_id: str | None) -> bool:
    """Return whether a training may still be at work; MLflow lets none go on in a deleted run."""
    run = find_run(run_id)
    if run is None or run.info.lifecycle_stage != LifecycleStage.ACTIVE:
        return False
    return bool(run.info.status == RunStatus.to_string(RunStatus.RUNNING))


def _aliases() -> dict[str, str]:
    found = MlflowClient().search_registered_models(f"name='{NAME}'")
    return {alias: str(version) for model in found for alias, version in model.aliases.items()}


def _history() -> list[str]:
    found = MlflowClient().search_registered_models(f"name='{NAME}'")
    return [version for model in found for version in model.tags.get(_HISTORY, "").split()]


def _say(version: str, what: str) -> None:
    MlflowClient().set_model_version_tag(NAME, version, PROMOTION, what)


def _lock_file() -> Path:
    uri = mlflow.get_tracking_uri()
    if uri.startswith(_SQLITE):
        return Path(f"{Path(uri.removeprefix(_SQLITE)).resolve()}.lock")
    name = hashlib.sha256(uri.encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"{NAME}-{os.getuid()}-{name}.lock"


@dataclass(frozen=True)
class RegisteredModel:
    """A registered model of the tracking server that MLflow uses."""

    name: str

    def champion(self) -> str | None:
        """Return the version that has the alias `CHAMPION`."""
        return champion()
