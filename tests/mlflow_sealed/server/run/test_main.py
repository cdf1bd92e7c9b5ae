"""The container's arguments."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlflow_sealed.server.run import __main__ as entry
from mlflow_sealed.server.run.supervisor import CANNOT_START

NO_MANIFEST = "error: the model has no readable manifest.json: log it with mlflow_sealed.flavor\n"
"""What the supervisor says of an empty folder: it has looked for a model there."""


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Restore the handlers of signals: the supervisor sets its own."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("before", [[], ["serve"]], ids=["no argument", "serve, as SageMaker"])
@pytest.mark.parametrize("own", [True, False], ids=["the image's model", "a folder"])
def test_a_model_is_looked_for_in_the_folder(
    before: list[str],
    own: bool,  # noqa: FBT001 # a parameter of the test
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(entry, "MODEL", tmp_path)
    assert entry.main([*before, *([] if own else [str(tmp_path)])]) == CANNOT_START
    assert capsys.readouterr().err == NO_MANIFEST


@pytest.mark.parametrize("arguments", [["train"], ["serve", "--port=80"], ["serve", "serve"]])
def test_another_argument_is_one_line_that_names_it(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert entry.main(arguments) == CANNOT_START
    assert capsys.readouterr().err == (
        f"error: there is no folder {arguments[-1]!r}: expected serve, health, a model's folder, "
        "or no argument\n"
    )


def test_two_arguments_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["serve", "a", "b"]) == CANNOT_START
    said = "error: got 2 arguments, expected at most one, a model's folder\n"
    assert capsys.readouterr().err == said
