"""Publishing to each kind of package server: devpi itself, and others as stand-ins."""

import base64
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from mlflow_sealed import process
from mlflow_sealed.feed import commands, publish, reading, upload_address
from mlflow_sealed.feed.answers import AnswerError, FeedError
from mlflow_sealed.feed.credential import VARIABLES, Index
from mlflow_sealed.feed.publish import OtherBytesError, Outcome
from mlflow_sealed.feed.upload_address import Target
from tests.conftest import PACKAGE
from tests.environ import untraced
from tests.mlflow_sealed.feed.stand_ins import PASSWORD, SERVERS, Running, Server, running

pytestmark = pytest.mark.services


@pytest.fixture(params=list(SERVERS.values()), ids=list(SERVERS))
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    with running(request.param) as state:
        yield state


@pytest.fixture(scope="module")
def devpi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """An index of a real devpi-server, which keeps what it has."""
    folder = tmp_path_factory.mktemp("devpi")
    where = ("--serverdir", str(folder))
    program = str(Path(sys.executable).parent / "devpi-server")
    environ = untraced({"PATH": str(Path(sys.executable).parent)})
    made = [f"{Path(program).parent}/devpi-init", *where, "--no-root-pypi"]
    secret = ["--root-passwd", PASSWORD]
    subprocess.run([*made, *secret], env=environ, check=True, capture_output=True)
    port = process.free_port()
    command = [program, *where, "--host", "127.0.0.1", "--port", str(port)]
    with process.background(command, port=port, timeout_s=60, env=environ, log=folder / "log"):
        url = f"http://127.0.0.1:{port}"
        login = {"user": "root", "password": PASSWORD}
        answer = requests.post(f"{url}/+login", json=login, timeout=30)
        pair = f"root:{answer.json()['result']['password']}"
        token = {"X-Devpi-Auth": base64.b64encode(pair.encode()).decode()}
        kind: dict[str, Any] = {"type": "stage", "bases": [], "volatile": False}
        requests.put(f"{url}/root/dev", json=kind, headers=token, timeout=30).raise_for_status()
        yield Index(f"{url}/root/dev/+simple/", "root", PASSWORD)


def pypirc(path: Path, target: Target) -> Target:
    """Return the target that a .pypirc with an upload address gives."""
    login = (f"username = {target.index.username}", f"password = {target.index.password}")
    lines = ("[feed]", f"repository = {target.upload_url}", *login)
    path.write_text("\n".join(lines), encoding="utf-8")
    return upload_address.from_pypirc(path)


def other_bytes(wheel: Path, folder: Path) -> Path:
    """A file of the same name with other bytes."""
    copy = Path(shutil.copy(wheel, folder))
    copy.write_bytes(copy.read_bytes() + b"\n")
    return copy


def test_a_package_is_published_once_and_found_again(
    server: Running, wheel: Path, tmp_path: Path
) -> None:
    target = upload_address.from_index(server.index)
    assert reading.published_sha256(wheel.name, server.index) is None
    assert publish.publish(wheel, target) == Outcome(uploaded=True)
    assert publish.publish(wheel, target) == Outcome(uploaded=False)
    assert publish.publish(wheel, pypirc(tmp_path / ".pypirc", target)) == Outcome(uploaded=False)
    with pytest.raises(OtherBytesError, match="these sources give .*: raise the version"):
        publish.publish(other_bytes(wheel, tmp_path), target)
    reading.check_access(server.index, "mypreprocessing")
    posts = [path for method, path in server.asked if method == "POST"]
    assert posts == [server.server.upload]


def test_devpi_is_published_to_once_with_and_without_a_pypirc(
    devpi: Index, wheel: Path, tmp_path: Path
) -> None:
    target = upload_address.from_index(devpi)
    with_pypirc = pypirc(tmp_path / ".pypirc", target)
    assert reading.published_sha256(wheel.name, devpi) is None
    assert publish.publish(wheel, with_pypirc) == Outcome(uploaded=True)
    assert publish.publish(wheel, with_pypirc) == Outcome(uploaded=False)
    assert publish.publish(wheel, target) == Outcome(uploaded=False)
    with pytest.raises(OtherBytesError, match="these sources give .*: raise the version"):
        publish.publish(other_bytes(wheel, tmp_path), target)
    reading.check_access(devpi, "mypreprocessing")


def test_devpi_refuses_a_wrong_password_in_a_line(devpi: Index, toolkit: Path) -> None:
    wrong = Index(devpi.url, "root", "wr0ng")
    with pytest.raises(FeedError, match=r"refuses the user name or password \(status 40[13]") as e:
        publish.publish(toolkit, upload_address.from_index(wrong))
    assert "wr0ng" not in str(e.value)
    assert "\n" not in str(e.value)


def test_a_server_below_two_folders_is_not_only_taken_for_devpi(
    wheel: Path, tmp_path: Path
) -> None:
    """Its upload address has devpi's form, so that both indexes are looked at."""
    with running(Server("/team/feed/simple", "/team/feed/", (409, "Conflict"))) as server:
        target = pypirc(tmp_path / ".pypirc", upload_address.from_index(server.index))
        assert publish.publish(wheel, target) == Outcome(uploaded=True)
        assert publish.publish(wheel, target) == Outcome(uploaded=False)


@pytest.mark.parametrize(
    ("kind", "said"),
    [("GitLab", "status 400"), ("Gitea and Forgejo", "has a file of this name already")],
)
def test_a_file_that_the_index_does_not_show_yet_is_published_and_not_twice(
    kind: str, said: str, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "_WAITS_S", (0.0, 0.01))
    with running(SERVERS[kind]) as server:
        server.shows = False
        target = upload_address.from_index(server.index)
        unseen = Outcome(uploaded=True, unseen="it does not list the file")
        assert publish.publish(wheel, target) == unseen
        with pytest.raises(AnswerError, match=said):
            publish.publish(wheel, target)


def test_an_index_that_cannot_be_read_after_the_upload_is_no_failure(wheel: Path) -> None:
    with running(SERVERS["Nexus"]) as server:
        server.write_only = True
        outcome = publish.publish(wheel, upload_address.from_index(server.index))
    assert outcome.uploaded
    assert f"{server.index.url} refuses the user name or password (status 403)" in outcome.unseen


def test_what_is_not_shown_yet_is_told_with_both_addresses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(publish, "_WAITS_S", (0.0,))
    with running(SERVERS["Nexus"]) as server:
        server.shows = False
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", server.index.authenticated_url)
        assert commands.main(["publish", str(PACKAGE)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("published mypreprocessing-")
    upload = f"{server.url}{server.server.upload}"
    assert f" to {upload}; not shown by the index yet ({server.index.url}): it does" in said.out
    assert PASSWORD not in said.out + said.err


def test_an_upload_address_of_the_users_own_wins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As for a GitLab group, whose index is another one than its projects'."""
    group = Server("/api/v4/groups/7/-/packages/pypi/simple", "/elsewhere", (409, "Conflict"))
    with running(group) as server:
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", server.index.authenticated_url)
        assert commands.main(["publish", str(PACKAGE)]) == 1
        assert "takes no uploads: name the project's address" in capsys.readouterr().err
        own = f"--upload-url={server.url}/elsewhere"
        assert commands.main(["publish", own, str(PACKAGE)]) == 0
        assert "published mypreprocessing-" in capsys.readouterr().out
        monkeypatch.setenv("PYPIRC_PATH", "a file that is not read")
        assert commands.main(["publish", own, str(PACKAGE)]) == 1
        assert "--upload-url and PYPIRC_PATH both name" in capsys.readouterr().err
