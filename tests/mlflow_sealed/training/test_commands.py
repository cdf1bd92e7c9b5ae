"""The commands of a person who decides on the champion."""

import mlflow
import pytest

from mlflow_sealed.training import commands
from mlflow_sealed.training.register.versions import CHAMPION, PROMOTION
from tests.mlflow_sealed.training.register.registry import MODEL, NAME, add


def test_a_person_promotes_and_goes_back(
    client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    add(client, 3)
    MODEL.make_champion("1")
    MODEL.make_challenger("3")
    assert commands.main(["promote", "3"]) == 0
    assert MODEL.aliases() == {CHAMPION: "3"}
    assert capsys.readouterr().out == (
        f"models:/{NAME}/3 is the champion (version 1 was; mlflow-sealed model rollback goes back "
        "to it)\n"
    )
    assert commands.main(["rollback"]) == 0
    assert MODEL.aliases() == {CHAMPION: "1"}
    said = f"models:/{NAME}/1 is the champion again, version 3 is not\n"
    assert capsys.readouterr().out == said
    assert client.get_model_version(NAME, "3").tags[PROMOTION] == "rolled back"


def test_going_back_goes_further_back_each_time_and_ends_with_one_line(
    client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    for version in add(client, 4):
        MODEL.make_champion(version)
    client.delete_model_version(NAME, "3")
    for version in ("2", "1"):
        assert commands.main(["rollback"]) == 0
        assert MODEL.aliases() == {CHAMPION: version}
    assert commands.main(["rollback"]) == 1
    said = capsys.readouterr().err
    assert said == f"error: {NAME} had no champion before version 1: nothing to go back to\n"
    assert MODEL.aliases() == {CHAMPION: "1"}


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("7", f"error: {NAME} has no version '7', it has 2, 1\n"),
        ("1", "error: version 1 is the champion already\n"),
    ],
)
def test_a_version_that_cannot_be_promoted_ends_with_one_line(
    client: mlflow.MlflowClient, capsys: pytest.CaptureFixture[str], version: str, said: str
) -> None:
    add(client, 2)
    MODEL.make_champion("1")
    assert commands.main(["promote", version]) == 1
    assert capsys.readouterr().err == said
    assert MODEL.aliases() == {CHAMPION: "1"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["promote"], "the following arguments are required: VERSION"),
        (["rollback", "3"], "unrecognized arguments: 3"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_the_command_wants_a_version_or_the_way_back(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        commands.main(arguments)
    assert capsys.readouterr().err == f"error: {said}\n"
