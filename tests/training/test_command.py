"""The command of the entry point: its options, and how it fails."""

import re
from pathlib import Path

import mlflow
import pytest
import yaml

from mlflow_sealed.command import parse
from tests.environ import ROOT
from training.__main__ import main
from training.options import Options
from training.tune import Settings

PROJECT = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))
POINTS = [("main", Options), ("tune", Settings)]


@pytest.mark.parametrize(("point", "kind"), POINTS)
def test_mlproject_offers_every_option_with_its_default(
    point: str, kind: type[Options | Settings]
) -> None:
    parameters = PROJECT["entry_points"][point]["parameters"]
    offered = {name: spec["default"] for name, spec in parameters.items()}
    assert kind.model_validate(offered) == kind()
    assert offered.keys() == kind.model_fields.keys()


@pytest.mark.parametrize(("point", "kind"), POINTS)
def test_mlproject_hands_every_option_over(point: str, kind: type[Options | Settings]) -> None:
    command = PROJECT["entry_points"][point]["command"]
    handed = re.findall(r"--([a-z-]+) \{(\w+)\}", command)
    assert {flag.replace("-", "_") for flag, _ in handed} == kind.model_fields.keys()
    assert all(flag.replace("-", "_") == name for flag, name in handed)


def test_the_environment_of_mlproject_is_the_lock() -> None:
    environment = yaml.safe_load((ROOT / PROJECT["conda_env"]).read_text(encoding="utf-8"))
    python, pip = environment["dependencies"]
    assert python.startswith("python>=")  # tests/test_lock.py looks at the range
    assert pip == {"pip": ["-r training/requirements.txt"]}


def test_the_options_are_read() -> None:
    given = ["--trees", "12", "--learning-rate", "0.5", "--data", "x.csv"]
    options = parse(given, Options, program="train")
    assert options == Options(trees=12, learning_rate=0.5, data=Path("x.csv"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--trees", "0"], "--trees: Input should be greater than or equal to 1, got '0'"),
        (["--threshold", "1"], "--threshold: Input should be less than 1, got '1'"),
        (
            ["--threshold-rule", "best"],
            "--threshold-rule: .* or 'youden', got 'best'",
        ),
        (["--learning-rate", "fast"], "--learning-rate: Input should be a valid number.*'fast'"),
        (["--folds", "2.5"], "--folds: Input should be a valid integer"),
        (["--nonsense", "1"], "unrecognized arguments: --nonsense"),
        (["--trees"], "argument --trees: expected one argument"),
    ],
)
def test_a_bad_option_ends_with_what_was_got_and_expected(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert re.fullmatch(f"error: {said}.*\n", capsys.readouterr().err)


def test_bad_data_ends_with_one_line_and_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    assert main(["--data", str(tmp_path / "none.csv")]) == 1
    said = capsys.readouterr().err
    assert re.fullmatch(r"error: .*none.csv: cannot be read \(No such file or directory\)\n", said)
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.services
def test_an_unreachable_tracking_server_ends_with_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    assert main(["--data", str(ROOT / Options().data)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("error: API request to http://127.0.0.1:9")
