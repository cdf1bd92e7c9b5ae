"""What ``mlflow-sealed feed doctor`` shows, for every source and every answer of a feed."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mlflow_sealed import process
from mlflow_sealed.feed import access, commands
from mlflow_sealed.feed.credential import Index
from mlflow_sealed.feed.local import LocalFeed
from tests.mlflow_sealed.feed.answering import Answer, answering
from tests.mlflow_sealed.feed.indexes import LOGIN, Wheel, serving
from tests.mlflow_sealed.feed.test_logins import keyring, netrc

PACKAGE = Wheel("mypreprocessing", "7.0", "")
USER, PASSWORD = "s3cret-user", LOGIN[1]

Doctor = Callable[..., tuple[int, str, str]]


@pytest.fixture
def doctor(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Doctor:
    """Run the command for a user who has these variables and no others; nothing shows a secret."""
    monkeypatch.setattr(access, "HOME", str(tmp_path / ".feed"))

    def run(**variables: str) -> tuple[int, str, str]:
        for name in [*os.environ]:
            monkeypatch.delenv(name)
        for name, value in {"HOME": str(tmp_path), "PATH": "", **variables}.items():
            monkeypatch.setenv(name, value)
        status = commands.main(["doctor"])
        output, errors = capfd.readouterr()
        for secret in (PASSWORD, "s3cr%2Ft", USER):
            assert secret not in output + errors
        return status, " ".join(output.split()), errors

    return run


@pytest.mark.services
def test_it_shows_the_source_what_each_tool_uses_and_what_the_feed_answers(doctor: Doctor) -> None:
    with serving(PACKAGE, login=(USER, PASSWORD)) as feed:
        url = Index(feed.url, USER, PASSWORD).authenticated_url
        status, output, errors = doctor(PIP_EXTRA_INDEX_URL=url)
    assert (status, errors) == (0, "")
    for line in (
        f"found: PIP_EXTRA_INDEX_URL {feed.url} (with a password) PIP_INDEX_URL - ",
        f"feed {feed.url}, login from PIP_EXTRA_INDEX_URL",
        f"pip, image build {feed.url}, the public index; the hash decides",
        "uv, MLflow the feed for mypreprocessing, mlflow-sealed; for others, the feed last",
        f"twine {feed.url.removesuffix('simple/')}",
        "read the feed takes the login list mypreprocessing 7.0",
        "download mypreprocessing-7.0-py3-none-any.whl: it gives the file",
        "publish this login may, as an empty form shows (status 400)",
    ):
        assert line in output


@pytest.mark.services
def test_each_source_is_named(doctor: Doctor, tmp_path: Path) -> None:
    with serving(PACKAGE, login=(USER, PASSWORD)) as feed:
        conf = tmp_path / "pip.conf"
        url = Index(feed.url, USER, PASSWORD).authenticated_url
        conf.write_text(f"[global]\nindex-url = {url}\n", encoding="utf-8")
        assert f"login from PIP_CONFIG_FILE ({conf})" in doctor(PIP_CONFIG_FILE=str(conf))[1]

        told = keyring(tmp_path / "bin", (feed.url, USER, PASSWORD))
        variables = {**told, "PIP_INDEX_URL": feed.url, "UV_KEYRING_PROVIDER": "subprocess"}
        output = doctor(**variables)[1]
        assert f"keyring {tmp_path}/bin/keyring (subprocess)" in output
        assert f"login from the keyring {tmp_path}/bin/keyring" in output
        assert f"uv, MLflow {feed.url} alone" in output

        netrc(tmp_path, f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
        status, output, _ = doctor(PIP_INDEX_URL=feed.url)
        assert status == 0
        assert f"PIP_INDEX_URL {feed.url} PIP" not in output
        assert f".netrc {tmp_path}/.netrc" in output
        assert f"login from {tmp_path}/.netrc" in output


@pytest.mark.services
def test_how_the_feed_is_reached_is_shown_without_the_proxys_password(
    doctor: Doctor, tmp_path: Path
) -> None:
    conf = tmp_path / "pip.conf"
    proxy = f"http://{USER}:s3cr%2Ft@proxy.example:3128"
    conf.write_text(f"[global]\nproxy = {proxy}\ntrusted-host = feed.example\n", encoding="utf-8")
    with serving(PACKAGE, login=LOGIN) as feed:
        url = Index(feed.url, *LOGIN).authenticated_url
        _, output, _ = doctor(
            PIP_CONFIG_FILE=str(conf), PIP_EXTRA_INDEX_URL=url, PIP_CERT="/ca.pem"
        )
    assert "CA bundle /ca.pem proxy of pip http://proxy.example:3128 trusted hosts" in output


@pytest.mark.services
@pytest.mark.parametrize(
    ("wheels", "login", "said", "failing"),
    [
        ((PACKAGE,), ("me", "other"), "read the feed refuses the login (status 401)", "read"),
        ((), LOGIN, "list mypreprocessing it lists none: publish it", "list mypreprocessing"),
        (
            (replace(PACKAGE, forbidden=True),),
            LOGIN,
            "mypreprocessing-7.0-py3-none-any.whl: the feed refuses the login (status 403)",
            "download",
        ),
    ],
    ids=["wrong password", "not published", "listed and not given"],
)
def test_what_an_installation_cannot_do_with_is_an_error(
    doctor: Doctor, wheels: tuple[Wheel, ...], login: tuple[str, str], said: str, failing: str
) -> None:
    with serving(*wheels, login=login) as feed:
        status, output, errors = doctor(PIP_INDEX_URL=Index(feed.url, *LOGIN).authenticated_url)
    assert status == 1
    assert said in output
    assert errors == f"error: {failing}: not as needed, the lines above say why\n"


@pytest.mark.services
def test_a_file_on_another_host_is_asked_for_without_the_login(doctor: Doctor) -> None:
    with answering({"/blob": Answer()}) as blobs:
        blob = blobs.index.url.replace("127.0.0.1", "localhost").replace("simple/", "blob")
        page = Answer(body=f'<a href="{blob}">{PACKAGE.name}-1.0-py3-none-any.whl</a>')
        with answering({"/simple/mypreprocessing/": page}) as server:
            assert "it gives the file" in doctor(PIP_INDEX_URL=server.index.authenticated_url)[1]
    assert blobs.asked == [("localhost", "/blob", False)]


@pytest.mark.services
def test_a_feed_that_is_down_and_one_that_is_none_are_told_apart(doctor: Doctor) -> None:
    down = f"http://me:{PASSWORD.replace('/', '%2F')}@127.0.0.1:{process.free_port()}/simple/"
    assert "read it cannot be reached (ConnectionError)" in doctor(PIP_INDEX_URL=down)[1]
    with serving() as other:
        url = Index(f"{other.url}files/", *LOGIN).authenticated_url
        assert "it lists none" in doctor(PIP_INDEX_URL=url)[1]


@pytest.mark.services
def test_without_a_credential_it_shows_what_was_looked_for_or_the_local_feed(
    doctor: Doctor, tmp_path: Path
) -> None:
    status, output, errors = doctor()
    assert status == 1
    assert "PIP_EXTRA_INDEX_URL - PIP_INDEX_URL - " in output
    assert errors.startswith("error: no feed credential: set PIP_CONFIG_FILE")
    with LocalFeed(tmp_path / ".feed").serving(process.free_port()):
        pass
    _, output, errors = doctor()
    assert "login from the local feed" in output
    assert "using the local feed" in errors
    assert "publish this login may" in output
