"""What twine says of an upload that fails becomes one line, whatever the width of a terminal."""

import json
from pathlib import Path
from urllib.parse import quote

import certifi
import pytest

from mlflow_sealed import process
from mlflow_sealed.feed import upload
from mlflow_sealed.feed.answers import AnswerError, FeedError
from mlflow_sealed.feed.connection import Connection
from mlflow_sealed.feed.credential import Index
from mlflow_sealed.feed.upload_address import Target
from tests.mlflow_sealed.feed.answering import (
    PASSWORD,
    Answer,
    Running,
    answering,
    certificate,
    trusted,
)

pytestmark = pytest.mark.services

LACKING = (
    "User 'build' lacks permission to complete this action. You need to have 'AddPackage' on the "
    "feed of the project, which is a long reason that no terminal shows in one line."
)


def failure(wheel: Path, target: Target) -> FeedError:
    """Return what uploading a wheel ends with: one line without the password."""
    with pytest.raises(FeedError) as error:
        upload.upload(wheel, target)
    line = str(error.value)
    assert target.upload_url in line
    assert "\n" not in line
    for secret in (PASSWORD, quote(PASSWORD, safe="")):
        assert secret not in line
    return error.value


def target(server: Running) -> Target:
    return Target(server.index.url, server.index)


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        (
            Answer(403, f"Forbidden - {LACKING}", json.dumps({"message": LACKING})),
            403,
            f"(status 403, Forbidden - {LACKING}), or does not let this user publish: check them",
        ),
        (Answer(403, "Forbidden", f"not with {PASSWORD}"), 403, "(status 403, not with …), or"),
        (
            Answer(400, "Bad Request", json.dumps({"message": "taken already"})),
            400,
            "does not take the wheel (status 400, taken already)",
        ),
        (Answer(503, "Busy", "<html>"), 503, "fails (status 503, Busy): try again later"),
        (Answer(599, "Strange"), 599, "fails (status 599, Strange): try again later"),
    ],
    ids=["in both", "in the body", "in JSON", "retried", "unknown"],
)
def test_a_refusal_has_the_status_and_the_whole_reason(
    answer: Answer, status: int, told: str, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    with answering({"/simple/": answer}) as server:
        error = failure(wheel, target(server))
    assert isinstance(error, AnswerError)
    assert error.status == status
    assert told in str(error)


def test_a_redirect_is_told_with_its_address(wheel: Path) -> None:
    moved = Answer(301, headers={"Location": "https://feed.example/upload/"})
    with answering({"/simple/": moved}) as server:
        line = str(failure(wheel, target(server)))
    assert line.startswith("twine could not upload to")
    assert "RedirectDetected" in line
    assert "https://feed.example/upload/" in line


def test_a_server_that_gives_no_answer_is_a_line(wheel: Path) -> None:
    url = f"http://127.0.0.1:{process.free_port()}/"
    line = str(failure(wheel, Target(url, Index(url, "me", PASSWORD))))
    assert line == f"{url} cannot be reached (ConnectionError): is it up, is the address right?"


def test_the_ca_of_a_pip_conf_holds_for_the_upload(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca, leaf = certificate("127.0.0.1")
    with answering({"/simple/": Answer()}, leaf) as server:
        line = str(failure(wheel, target(server)))
        assert "has a certificate that this machine does not trust" in line
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
        known = Connection(cert=trusted(ca, tmp_path))
        index = Index(server.index.url, "mé", "pässwörd€", known)
        upload.upload(wheel, Target(index.url, index))
    assert server.asked[-1] == ("127.0.0.1", "/simple/", True)


@pytest.mark.parametrize(
    ("name", "told"),
    [("mine-1.0-py3-none-any.whl", "BadZipFile: "), ("mine.txt", "InvalidDistribution: Unknown")],
)
def test_what_twine_refuses_by_itself_is_a_line(name: str, told: str, tmp_path: Path) -> None:
    broken = tmp_path / name
    broken.write_bytes(b"no wheel")
    line = str(failure(broken, Target("http://127.0.0.1:1/", Index("", "me", PASSWORD))))
    assert line.startswith("twine could not upload to http://127.0.0.1:1/: ")
    assert told in line
