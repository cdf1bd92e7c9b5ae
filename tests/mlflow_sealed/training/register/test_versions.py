"""The registry: aliases, the history of champions, and what commands and interruptions leave."""

import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from mlflow_sealed.training import commands as promote
from mlflow_sealed.training.register import versions as registry
from mlflow_sealed.training.register.interruption import deferred

from tests.conftest import ROOT

CHAMPION, CHALLENGER = registry.CHAMPION, registry.CHALLENGER


def add(client: mlflow.MlflowClient, number: int = 1) -> list[str]:
    """Register versions without a model behind them: what counts here is their names."""
    client.create_registered_model("diabetes")
    tags = {registry.PROMOTION: registry.PENDING}
    return [
        str(client.create_model_version("diabetes", "file:///none", tags=tags).version)
        for _ in range(number)
    ]


def aliases(client: mlflow.MlflowClient) -> dict[str, str]:
    found = client.get_registered_model("diabetes").aliases
    return {alias: str(version) for alias, version in found.items()}


def test_a_person_promotes_and_goes_back(
    client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    add(client, 3)
    registry.make_champion("1")
    registry.make_challenger("3")
    assert promote.main(["3"]) == 0
    assert aliases(client) == {CHAMPION: "3"}
    said = "models:/diabetes/3 is the champion (version 1 was; make rollback goes back to it)\n"
    assert capsys.readouterr().out == said
    assert promote.main(["--back"]) == 0
    assert aliases(client) == {CHAMPION: "1"}
    said = "models:/diabetes/1 is the champion again, version 3 is not\n"
    assert capsys.readouterr().out == said
    assert client.get_model_version("diabetes", "3").tags[registry.PROMOTION] == "rolled back"


def test_going_back_goes_further_back_each_time_and_ends_with_one_line(
    client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    for version in add(client, 4):
        registry.make_champion(version)
    client.delete_model_version("diabetes", "3")
    for version in ("2", "1"):
        assert promote.main(["--back"]) == 0
        assert aliases(client) == {CHAMPION: version}
    assert promote.main(["--back"]) == 1
    said = capsys.readouterr().err
    assert said == "error: diabetes had no champion before version 1: nothing to go back to\n"
    assert aliases(client) == {CHAMPION: "1"}


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("7", "error: diabetes has no version '7', it has 2, 1\n"),
        ("1", "error: version 1 is the champion already\n"),
    ],
)
def test_a_version_that_cannot_be_promoted_ends_with_one_line(
    client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str], version: str, said: str
) -> None:
    add(client, 2)
    registry.make_champion("1")
    assert promote.main([version]) == 1
    assert capsys.readouterr().err == said
    assert aliases(client) == {CHAMPION: "1"}


def test_an_alias_that_was_set_by_hand_is_remembered_all_the_same(
    client: mlflow.MlflowClient,
) -> None:
    add(client, 2)
    client.set_registered_model_alias("diabetes", CHAMPION, "1")
    registry.make_champion("2")
    assert registry.roll_back() == ("2", "1")


def test_a_version_that_a_killed_training_left_without_an_alias_is_deleted(
    client: mlflow.MlflowClient,
) -> None:
    champion, half = add(client, 2)
    registry.make_champion(champion)
    run = client.create_run("0")
    client.delete_model_version("diabetes", half)
    tags = {registry.PROMOTION: registry.PENDING}
    for _ in range(2):
        client.create_model_version("diabetes", "file:///n", run_id=run.info.run_id, tags=tags)
    assert registry.clear_away(set()) == (set(), [])  # it may be at work
    client.set_registered_model_alias("diabetes", CHALLENGER, "3")
    assert registry.clear_away({run.info.run_id}) == ({run.info.run_id}, ["4"])
    assert aliases(client) == {CHAMPION: champion, CHALLENGER: "3"}
    assert client.get_model_version("diabetes", "3").tags[registry.PROMOTION] == CHALLENGER
    assert registry.clear_away({run.info.run_id}) == ({run.info.run_id}, [])


def test_the_lock_keeps_others_waiting_and_goes_with_its_process(
    client: mlflow.MlflowClient, tmp_path: Path
) -> None:
    del client
    lock = tmp_path / "mlflow.db.lock"
    wait = ["flock", "--nonblock", str(lock), "true"]
    with registry.locked():
        assert subprocess.run(wait, check=False).returncode == 1
    assert subprocess.run(wait, check=False).returncode == 0


def test_a_server_has_a_lock_for_this_machine(tmp_path: Path) -> None:
    mlflow.set_tracking_uri("http://mlflow.invalid:5000")
    with registry.locked():
        pass
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")


def test_a_signal_waits_for_the_end_of_what_may_not_be_cut() -> None:
    code = """
import signal
from mlflow_sealed.training.register.interruption import deferred
with deferred():
    signal.raise_signal(signal.SIGTERM)
    print("done", flush=True)
print("never")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == "done\n"
    assert done.returncode == -signal.SIGTERM


def test_without_a_signal_the_handlers_are_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with deferred():
        assert signal.getsignal(signal.SIGTERM) is not before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize("arguments", [[], ["3", "--back"]])
def test_the_command_wants_a_version_or_the_way_back(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        promote.main(arguments)
    assert capsys.readouterr().err.startswith("error: expected a version, as in make promote")
