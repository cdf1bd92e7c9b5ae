"""What pip and uv ask of which index, and what they install, with what a credential gives them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mlflow_sealed import process
from mlflow_sealed.feed import credential
from mlflow_sealed.feed.credential import Credential, Index
from tests.environ import clean_environ
from tests.mlflow_sealed.feed.indexes import LOGIN, RecordingIndex, Wheel, installed, serving

Install = Callable[[Credential, Path], subprocess.CompletedProcess[str]]

MINE = Wheel("mine", "1.0", "right = 1")
PUBLIC = Wheel("other", "2.0", "right = 2")
LOCK = MINE.line + PUBLIC.line
ABROAD = "http://127.0.0.1:9"
"""A proxy that is not there: every request to another host than 127.0.0.1 fails."""


@pytest.fixture
def public() -> Iterator[RecordingIndex]:
    """The public index, on which an impostor has published our name, in two versions."""
    with serving(
        PUBLIC, Wheel("mine", "1.0", "impostor"), Wheel("mine", "99.0", "impostor")
    ) as index:
        yield index


def environ(folder: Path, **more: str) -> dict[str, str]:
    alone = {name: value for name, value in clean_environ().items() if "PROXY" not in name.upper()}
    own = {"UV_NO_CACHE": "1", "PIP_NO_CACHE_DIR": "1", "HOME": str(folder), "PIP_NO_INPUT": "1"}
    dead = {"HTTP_PROXY": ABROAD, "HTTPS_PROXY": ABROAD, "NO_PROXY": "127.0.0.1"}
    return {**alone, **own, **dead, "PIP_FIND_LINKS": "", "UV_HTTP_RETRIES": "0", **more}


def with_extra(
    feed: RecordingIndex, public: RecordingIndex, login: tuple[str, str] = LOGIN
) -> Credential:
    url = Index(feed.url, *login).authenticated_url
    found = credential.read({"PIP_EXTRA_INDEX_URL": url, "PIP_INDEX_URL": public.url})
    return replace(found, only=("mine",))


def uv(found: Credential, folder: Path, *, locked: bool = True) -> subprocess.CompletedProcess[str]:
    """Install the lock as MLflow does, with uv."""
    (folder / "lock.txt").write_text(LOCK, encoding="utf-8")
    command = ("uv", "pip", "install", "--no-deps", "--python", sys.executable)
    options = ("--target", str(folder / "made"), "-r", str(folder / "lock.txt"))
    given = credential.environment(found, environ(folder), locked=locked)
    return process.captured((*command, *options), env=given)


def pip(found: Credential, folder: Path) -> subprocess.CompletedProcess[str]:
    """Install the lock as an image's build does, with pip."""
    (folder / "lock.txt").write_text(LOCK, encoding="utf-8")
    credential.write_install_conf(found, folder / "pip.conf")
    command = (sys.executable, "-m", "pip", "install", "--no-deps", "--require-hashes")
    # It would ask the index for a newer pip now and then.
    alone = ("--disable-pip-version-check", "--target", str(folder / "made"))
    given = environ(folder, PIP_CONFIG_FILE=str(folder / "pip.conf"))
    return process.captured((*command, *alone, "-r", str(folder / "lock.txt")), env=given)


WAYS = pytest.mark.parametrize("install", [uv, pip], ids=["uv", "pip"])
RIGHT = {"mine": "right = 1", "other": "right = 2"}


@WAYS
@pytest.mark.parametrize(
    "also",
    [
        pytest.param((), id="nothing else"),
        pytest.param((Wheel("other", "3.0", "wrong"),), id="another version"),
        pytest.param((Wheel("other", "2.0", "wrong"),), id="other bytes"),
        pytest.param((replace(PUBLIC, forbidden=True),), id="a file that this login may not have"),
    ],
)
def test_what_else_the_feed_has_and_what_an_impostor_publishes_does_no_harm(
    tmp_path: Path, public: RecordingIndex, also: tuple[Wheel, ...], install: Install
) -> None:
    with serving(MINE, *also, login=LOGIN) as feed:
        done = install(with_extra(feed, public), tmp_path)
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path / "made") == RIGHT


@pytest.mark.parametrize(
    "also", [Wheel("other", "3.0", "wrong"), replace(PUBLIC, forbidden=True)], ids=str
)
def test_control_a_feed_that_comes_first_makes_an_installation_impossible(
    tmp_path: Path, public: RecordingIndex, also: Wheel
) -> None:
    with serving(MINE, also, login=LOGIN) as feed:
        done = uv(with_extra(feed, public), tmp_path, locked=False)
    assert done.returncode != 0
    assert installed(tmp_path / "made") == {}


def test_uv_asks_the_feed_for_what_only_it_has(tmp_path: Path, public: RecordingIndex) -> None:
    with serving(MINE, PUBLIC, login=LOGIN) as feed:
        assert uv(with_extra(feed, public), tmp_path).returncode == 0
    assert feed.names == {"mine"}


def test_where_versions_are_chosen_no_impostor_is(tmp_path: Path, public: RecordingIndex) -> None:
    """The public index has a later version, and the feed comes first all the same."""
    with serving(MINE, login=LOGIN) as feed:
        found = with_extra(feed, public)
        given = credential.environment(found, environ(tmp_path), locked=False)
        command = ("uv", "pip", "compile", "--generate-hashes", "--no-header", "-")
        done = subprocess.run(
            command, env=given, input="mine\n", capture_output=True, text=True, check=True
        )
    assert MINE.sha256 in done.stdout
    assert "99" not in done.stdout
    assert public.names == set()


@WAYS
def test_a_single_feed_is_asked_alone(
    tmp_path: Path, public: RecordingIndex, install: Install
) -> None:
    with serving(MINE, PUBLIC, login=LOGIN) as feed:
        url = Index(feed.url, *LOGIN).authenticated_url
        done = install(credential.read({"PIP_INDEX_URL": url}), tmp_path)
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path / "made") == RIGHT
    assert feed.names == {"mine", "other"}
    assert public.asked == []


@WAYS
@pytest.mark.parametrize("password", ["pässwörd", "пароль", "100%:@/ +"])
def test_a_password_of_any_characters_is_sent_in_utf_8(
    tmp_path: Path, public: RecordingIndex, password: str, install: Install
) -> None:
    login = ("mé", password)
    with serving(MINE, login=login) as feed:
        done = install(with_extra(feed, public, login), tmp_path)
    assert done.returncode == 0, done.stderr
    assert password not in done.stdout + done.stderr


def test_control_pip_sends_it_otherwise_by_itself(tmp_path: Path, public: RecordingIndex) -> None:
    login = ("me", "pässwörd")
    with serving(MINE, login=login) as feed:
        url = Index(feed.url, *login).authenticated_url
        given = environ(tmp_path, PIP_INDEX_URL=public.url, PIP_EXTRA_INDEX_URL=url)
        command = (sys.executable, "-m", "pip", "download", "--no-deps", "mine==1.0")
        done = process.captured((*command, "-d", str(tmp_path)), env=given)
    assert "/files/mine-1.0-py3-none-any.whl" not in feed.asked, done.stdout


def test_what_is_public_is_taken_from_the_index_that_stands_for_it(tmp_path: Path) -> None:
    """As .venv is made, with no package of ours at hand and all else out of reach."""
    with serving(PUBLIC, login=LOGIN) as feed, serving(PUBLIC, login=LOGIN) as extra:
        (tmp_path / "pip.conf").write_text(
            f"[global]\nindex-url = {Index(feed.url, *LOGIN).authenticated_url}\n"
            f"extra-index-url = {Index(extra.url, *LOGIN).authenticated_url}\n",
            encoding="utf-8",
        )
        (tmp_path / "lock.txt").write_text(PUBLIC.line, encoding="utf-8")
        command = ("-S", "-P", "-m", "mlflow_sealed.feed.public", "uv", "pip", "install")
        options = ("--target", str(tmp_path / "made"), "-r", str(tmp_path / "lock.txt"))
        sources = str(Path(credential.__file__).parents[2])
        given = environ(tmp_path, PIP_CONFIG_FILE=str(tmp_path / "pip.conf"), PYTHONPATH=sources)
        done = process.captured(
            (sys.executable, *command, "--python", sys.executable, *options), env=given
        )
    assert done.returncode == 0, done.stderr
    assert installed(tmp_path / "made") == {"other": "right = 2"}
    assert feed.names == {"other"}
    assert extra.asked == []
    assert "PIP_CONFIG_FILE" not in credential.public({**os.environ, **given})
