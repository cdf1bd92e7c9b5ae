"""Trainings that are ended in the middle, and two at once: the registry is whole each time."""

import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest

from mlflow_sealed.training.register.versions import RegisteredModel
from tests.conftest import QUICK
from tests.environ import ROOT, clean_environ, untraced
from tests.trainings import At, Trainings, trainings
from training import __main__ as command

# Not measured for coverage: what a training does, other tests see too, and it is slower then.
pytestmark = [pytest.mark.usefixtures("one_picture"), pytest.mark.no_cover]

OTHER = [*QUICK, "--trees", "6"]
VERSIONS = "mlflow_sealed.training.register.versions"


@dataclass(frozen=True)
class Store:
    """A tracking database in which version 1 is the champion."""

    folder: Path

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder}/mlflow.db"

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(self.uri)

    def statuses(self) -> list[str]:
        """Of the runs, the oldest first."""
        experiment = self.client.get_experiment_by_name("diabetes")
        assert experiment is not None
        runs = self.client.search_runs([experiment.experiment_id], order_by=["start_time"])
        return [run.info.status for run in runs]

    def aliases(self) -> dict[str, str]:
        found = self.client.get_registered_model("diabetes").aliases
        return {alias: str(version) for alias, version in found.items()}

    def versions(self) -> list[str]:
        found = self.client.search_model_versions("name='diabetes'")
        return sorted(str(version.version) for version in found)

    def train_here(self, arguments: list[str]) -> None:
        mlflow.set_tracking_uri(self.uri)
        assert command.main(arguments) == 0


@pytest.fixture(scope="module")
def forked() -> Iterator[Trainings]:
    with trainings({**untraced(clean_environ()), "PYTHONPATH": str(ROOT)}) as made:
        yield made


@pytest.fixture
def store(champion_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    shutil.copy(champion_database, tmp_path)
    return Store(tmp_path)


@pytest.mark.parametrize(
    ("at", "left"),
    [
        (At("training.__main__", "evaluate", "before", signal.SIGINT), "FAILED"),
        (At("mlflow_sealed.training.log", "log_model", "before", signal.SIGTERM), "FAILED"),
        (
            At(VERSIONS, "RegisteredModel.make_champion", "before", signal.SIGKILL),
            "RUNNING",
        ),
    ],
)
def test_a_training_that_is_ended_leaves_the_aliases_and_another_clears_away(
    store: Store, forked: Trainings, at: At, left: str
) -> None:
    ((status, output),) = forked.run(store.folder, OTHER, at=at)
    assert status == exit_status(at.number), output
    assert "Traceback" not in output
    assert store.statuses() == ["FINISHED", left]
    assert store.aliases() == {"champion": "1"}
    store.train_here(OTHER)
    ended = "KILLED" if left == "RUNNING" else left
    assert store.statuses() == ["FINISHED", ended, "FINISHED"]
    half = at.name == "RegisteredModel.make_champion"
    assert store.versions() == (["1", "3"] if half else ["1", "2"])
    assert store.aliases() == {"champion": store.versions()[-1]}


@pytest.mark.parametrize(
    ("at", "left"),
    [
        (
            At(VERSIONS, "RegisteredModel.add", "before", signal.SIGTERM),
            "FINISHED",
        ),
        (
            At(VERSIONS, "RegisteredModel.make_champion", "after", signal.SIGKILL),
            "RUNNING",
        ),
    ],
)
def test_a_training_that_has_decided_is_finished(
    store: Store, forked: Trainings, at: At, left: str
) -> None:
    """A signal waits; after a kill the next training completes the bookkeeping."""
    ((status, output),) = forked.run(store.folder, OTHER, at=at)
    assert status == exit_status(at.number), output
    assert store.statuses() == ["FINISHED", left]
    assert store.aliases() == {"champion": "2"}
    store.train_here(OTHER)
    assert store.statuses() == ["FINISHED"] * 3
    assert store.versions() == ["1", "2"]
    assert store.aliases() == {"champion": "2"}


def exit_status(number: int) -> int:
    """Return what a training ends with that got a signal: the signal itself where it is a kill."""
    return -number if number == signal.SIGKILL else 128 + number


def test_two_trainings_at_once_both_end_well_and_the_history_is_whole(
    store: Store, forked: Trainings
) -> None:
    ended = forked.run(store.folder, *([*QUICK, "--trees", trees] for trees in ("6", "7")))
    outputs = [output for _, output in ended]
    assert [status for status, _ in ended] == [0, 0], outputs
    assert store.versions() == ["1", "2", "3"]
    mlflow.set_tracking_uri(store.uri)
    model = RegisteredModel("diabetes")
    champion = model.champion()
    assert champion is not None
    said = [output.splitlines()[-1] for output in outputs]
    assert sum(f"models:/diabetes/{champion} is the champion" in line for line in said) == 1
    gone_back = []
    for version in store.client.get_registered_model("diabetes").tags["champions"].split()[1:]:
        gone_back.append(version)
        model.roll_back()
    assert gone_back[-1] == champion
    assert model.champion() == "1"
