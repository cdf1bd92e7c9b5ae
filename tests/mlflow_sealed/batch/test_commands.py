"""The command line: what it takes, and the entry point of MLproject that calls it."""

import re

import pytest
import yaml

from mlflow_sealed.batch.commands import main, parse
from mlflow_sealed.batch.options import ScoringOptions
from tests.conftest import PROJECT
from tests.environ import ROOT

NEEDED = ("--input", "table", "--output", "scored")


def test_names_and_locks_are_the_projects() -> None:
    assert parse(NEEDED, PROJECT) == ScoringOptions(
        input="table",
        output="scored",
        model=PROJECT.champion,
        experiment=PROJECT.names.experiment,
        executors=PROJECT.lock("executors"),
    )


def test_the_parameters_of_a_run_are_what_the_user_chooses() -> None:
    assert parse(NEEDED, PROJECT).parameters() == {
        "input": "table",
        "output": "scored",
        "model": PROJECT.champion,
        "engine": "auto",
        "master": "auto",
        "workers": 0,
        "partitions": 0,
        "max_bad_share": 0.05,
        "columns": "all",
        "explain": False,
    }


def test_the_entry_point_of_mlproject_has_the_same_options_and_defaults() -> None:
    entry = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))["entry_points"]
    scoring = entry["batch_score"]
    assert scoring["command"].startswith("mlflow-sealed score ")
    handed = dict(re.findall(r"--([a-z-]+) \{(\w+)\}", scoring["command"]))
    assert {flag.replace("-", "_"): name for flag, name in handed.items()} == {
        name: name for name in scoring["parameters"]
    }
    defaults = {
        name: each["default"] for name, each in scoring["parameters"].items() if "default" in each
    }
    expected = parse(NEEDED, PROJECT).parameters()
    defaults["explain"] = defaults["explain"] == "true"  # of MLflow's types none is a truth value
    assert {**defaults, "input": "table", "output": "scored"} == expected


@pytest.mark.parametrize(
    ("options", "master"),
    {
        (): None,
        ("--engine", "local"): None,
        ("--engine", "spark"): "local[*]",
        ("--master", "yarn"): "yarn",
        ("--engine", "spark", "--master", "local[2]"): "local[2]",
    }.items(),
)
def test_a_master_or_the_engine_takes_the_job_to_spark(
    options: tuple[str, ...], master: str | None
) -> None:
    found = parse([*NEEDED, *options], PROJECT)
    assert found.on_spark == (master is not None)
    assert master is None or found.spark_master == master


def test_columns_are_divided_by_commas() -> None:
    assert parse(NEEDED, PROJECT).kept is None
    assert parse([*NEEDED, "--columns", "id, site"], PROJECT).kept == ("id", "site")


def test_mlflow_writes_numbers_as_fractions() -> None:
    assert parse([*NEEDED, "--partitions", "4.0"], PROJECT).partitions == 4


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--partitions", "2.5"], "--partitions: expected a whole number from 0 on, got '2.5'"),
        (["--partitions", "-1"], "--partitions: expected a whole number from 0 on, got '-1'"),
        (["--partitions", "few"], "--partitions: expected a number, got 'few'"),
        (["--max-bad-share", "2"], "--max-bad-share: expected a share from 0 to 1, got '2'"),
        (["--max-bad-share", "nan"], "--max-bad-share: expected a share from 0 to 1, got 'nan'"),
        (["--colour", "x"], "unrecognized arguments: --colour x"),
        (["--explain", "maybe"], "--explain: expected true or false, got 'maybe'"),
        (
            ["--engine", "local", "--master", "yarn"],
            "--master is Spark's: leave out --engine",
        ),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else "",
)
def test_an_invalid_option_is_one_line(
    options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse([*NEEDED, *options], PROJECT)
    found = capsys.readouterr().err
    assert found.startswith("error: ")
    assert found.endswith(f"{told}\n")
    assert found.count("\n") == 1


def test_what_is_needed_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--partitions", "4.0"])
    assert "required: --input, --output" in capsys.readouterr().err
